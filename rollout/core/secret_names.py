"""Which names stand for a secret: of a field in an answer, and of a variable in an environment or a `.env` file.

A variable's name distinguishes it from others, so that one word in it is enough (``DB_PASS``, ``JWT``). A field is
named for what it holds, and ``key``, ``session`` or ``credentials`` may be a name, a number or a list.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_ENDINGS = (
    *("token", "secret", "password", "passwd", "passphrase", "apikey", "passwort", "kennwort", "kennworte"),
    *(
        "motdepasse",
        "contrasena",
        "contraseña",
        "senha",
        "parola",
        "wachtwoord",
        "lozinka",
        "heslo",
        "haslo",
        "salasana",
    ),
)
_SECRET_WORDS = frozenset(
    {
        "secrets",
        "passwords",
        "pwd",
        "authorization",
        "cookie",
        "cookies",
        "webhook",
        "jwt",
        "bearer",
        "geheimnis",
        "pem",
    }
)
_KEY_OWNERS = frozenset(
    {
        *("api", "private", "access", "secret", "ssh", "signing", "encryption", "decryption", "auth", "account"),
        *("license", "master", "salt", "subscription", "shared", "admin", "root", "client", "storage", "hmac", "aes"),
        *("azure", "openai", "anthropic", "vault", "webhook", "session", "service", "signature"),
    }
)
# `token_env`, `max_token_count`, `SSH_KEY_PATH`: about a secret, not one.
_HARMLESS_ENDINGS = frozenset(
    {"path", "file", "dir", "env", "name", "type", "count", "limit", "ttl", "expires", "expiry", "id"}
)

_KEYS = frozenset({"key", "keys"})
_OF_VARIABLES = frozenset(
    {
        *(
            "key",
            "keys",
            "pass",
            "pw",
            "pin",
            "passcode",
            "credential",
            "credentials",
            "creds",
            "salt",
            "pepper",
            "hash",
        ),
        *(
            "clave",
            "schluessel",
            "schlussel",
            "cle",
            "chiave",
            "chave",
            "geheim",
            "sleutel",
            "otp",
            "totp",
            "mfa",
            "nonce",
        ),
        *("private", "certificate", "cert", "seed", "mnemonic", "kubeconfig", "npmrc", "netrc"),
    }
)
_OF_VARIABLES_PERHAPS = frozenset(
    {"auth", "session", "sessions", "sas", "dsn", "connection", "conn", "connstr", "signature", "sig", "oauth", "hook"}
)
_ENDINGS_OF_VARIABLES = ("pass", "key", "pwd", "creds", "secrets", "tokens")
_OTHER_WORDS = frozenset(
    {
        *("bypass", "compass", "trespass", "surpass", "overpass", "underpass", "monkey", "turkey", "donkey", "hockey"),
        *("whiskey", "jockey", "hotkey", "keypass", "oldpwd", "tokens"),
    }
)
# `PRIMARY_KEY=id`: keys that records are found by, and public keys.
_OWNERS_OF_OTHER_KEYS = frozenset({"primary", "public", "foreign", "sort", "partition", "cache", "model", "provider"})
# The suite's own: it holds the path of a key, which messages show. The key itself in its place is a secret.
_NAMES_OF_FILES = frozenset({"ROLLOUT_SEAL_KEY"})
_HARMLESS_IF_PLAIN = frozenset(
    {
        *(
            "url",
            "uri",
            "endpoint",
            "host",
            "port",
            "enabled",
            "disabled",
            "required",
            "algorithm",
            "alg",
            "issuer",
            "mode",
        ),
        *(
            "sock",
            "socket",
            "manager",
            "address",
            "days",
            "hours",
            "minutes",
            "seconds",
            "timeout",
            "length",
            "size",
            "user",
        ),
        *("header", "prefix", "version", "region", "store", "backend", "provider", "rotation"),
    }
)


class NameKind(Enum):
    """What a variable's name means for its value."""

    SECRET = "a secret"  # noqa: S105 - a word about one
    PERHAPS = "a secret, unless the value is plain"
    OPEN = "nothing"


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a field of that name holds a secret: ``OPENAI_API_KEY`` does, ``total_tokens`` does not."""
    words = _words(name)
    if not words or words[-1] in _HARMLESS_ENDINGS:
        return False
    if any(word.endswith(_SECRET_ENDINGS) or word in _SECRET_WORDS for word in words):
        return True
    if any(second in _KEYS and first in _KEY_OWNERS for first, second in pairwise(words)):
        return True
    # In capitals it is a variable, wherever it stands; of one word alone it may be a heading: `PASS: 3`.
    return name.isupper() and "_" in name and classify_name(name) is NameKind.SECRET


@lru_cache(maxsize=4096)
def classify_name(variable: str) -> NameKind:
    """Return what the name of a variable means for its value: ``DB_PASS`` is a secret, ``LOG_LEVEL`` nothing."""
    words = _words(variable)
    if not words or words[-1] in _HARMLESS_ENDINGS:
        return NameKind.OPEN
    if variable in _NAMES_OF_FILES:
        return NameKind.PERHAPS
    certain = any(_is_certain(word) for word in words) or _names_a_key(words)
    if certain:
        return NameKind.PERHAPS if words[-1] in _HARMLESS_IF_PLAIN else NameKind.SECRET
    return NameKind.PERHAPS if _OF_VARIABLES_PERHAPS.intersection(words) else NameKind.OPEN


def _is_certain(word: str) -> bool:
    if word in _OTHER_WORDS or word in _KEYS:
        return False
    return word in _SECRET_WORDS or word in _OF_VARIABLES or word.endswith(_SECRET_ENDINGS + _ENDINGS_OF_VARIABLES)


def _names_a_key(words: list[str]) -> bool:
    return any(
        word in _KEYS and (at == 0 or words[at - 1] not in _OWNERS_OF_OTHER_KEYS) for at, word in enumerate(words)
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]
