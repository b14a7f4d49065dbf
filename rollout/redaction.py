"""Secrets leave the process through one door, and this is its lock: what is written down passes here first.

Four nets, because each has holes: values under names that mean a secret, values that look like one, what the policy's
own patterns describe, and the exact values of the secrets we know, in the encodings in which they travel.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus, unquote

REDACTED = "[redacted]"

# Shorter values occur by chance in any text, and would shred it.
SHORTEST = 4
# Nobody names these one by one, and among them stand "test" and "ollama", put there because a key must not be empty.
SHORTEST_FOUND = 8
SHORTEST_IN_URL = 12
_PARTS_OF_URL = re.compile(r"[/:@?&=#,]+")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_ENDINGS = ("token", "secret", "password", "passwd", "passphrase", "apikey")
_SECRET_WORDS = {"secrets", "passwords", "pwd", "authorization", "cookie", "cookies", "webhook"}
# Where a shell stands, which its name makes a password of.
_WORKING_DIRECTORY = "PWD"
_KEY_OWNERS = {"api", "private", "access", "secret", "ssh", "signing", "encryption", "auth", "account", "license"}
# `token_env`, `max_token_count`, `SSH_KEY_PATH`: about a secret, not one.
_HARMLESS_ENDINGS = {"path", "file", "dir", "env", "name", "type", "count", "limit", "ttl", "expires", "expiry", "id"}

# As a shell writes one down: in a command for people to paste, which must work when they do.
_VARIABLE = re.compile(r"(?:\w+ )?\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
_MASKED = re.compile(r".{0,4}(?:\*{3,}|…).{0,4}", re.DOTALL)

# A name begins a word, or follows the two dashes of an option that do.
_ANY_KEY = r"(?:(?<![\w.-])|(?<=--)(?<![\w.-]--))([A-Za-z][\w.-]{0,80}+)(\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)"
_ASSIGNMENT = re.compile(_ANY_KEY + r"([^\s\"'\\,;&<>(){}\[\]]{4,}+)")
_HEADERS = ("proxy-authorization", "authorization", "set-cookie", "cookie")
_HEADER = re.compile(rf"\b({'|'.join(_HEADERS)})(\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)([^\r\n\"'\\]+)", re.IGNORECASE)
_KNOWN = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    (re.compile(r"([A-Za-z][\w+.-]{0,20}://[^\s/:@\"']{0,200}):[^\s/\"']{1,400}@"), rf"\1:{REDACTED}@"),
    (re.compile(r"([A-Za-z][\w+.-]{0,20}://)[^\s/:@\"'\[\]]{16,400}@"), rf"\1{REDACTED}@"),
    (re.compile(r"(hooks\.slack\.com/services/)[\w/-]+"), rf"\1{REDACTED}"),
    (re.compile(r"\b(bearer)\s+(?!tokens?\b|auth\w*\b)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(?<![A-Za-z0-9])sk-[\w-]{8,}"), REDACTED),
    (re.compile(r"(?<![A-Za-z0-9])AIza[\w-]{10,}"), REDACTED),
    (re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|hf_)[\w-]{8,}"), REDACTED),
    (re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), REDACTED),
)


class Redactor:
    """Replaces secrets by ``[redacted]``. Idempotent; safe to share between threads."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Register `secrets`, the exact values to look for, and `patterns`, regular expressions for others."""
        self._spellings: frozenset[str] = frozenset()
        self._registered: re.Pattern[str] | None = None
        self._patterns = tuple(map(re.compile, patterns))
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Register one more value; shorter than four characters is ignored, for it would match by chance."""
        if len(secret.strip()) < SHORTEST:
            return
        self._spellings |= frozenset(_spellings(secret)) | frozenset(_spellings(secret.strip()))
        longest_first = sorted(self._spellings, key=len, reverse=True)
        self._registered = re.compile("|".join(map(re.escape, longest_first)))

    def add_url(self, url: str) -> None:
        """Register a channel's URL, and what in it looks like a token of its own: errors repeat the parts."""
        self.add(url)
        for part in map(unquote, _PARTS_OF_URL.split(url)):
            if len(part) >= SHORTEST_IN_URL and "." not in part and {"1", "a"} <= set(_kinds(part)):
                self.add(part)

    def learn(self, variables: Mapping[str, str | None], public: Iterable[str] = ()) -> None:
        """Register the values that stand under the name of a secret in an environment or a `.env` file.

        A value that also stands under another name, or among the words in `public`, gives nothing away: hiding the name
        of a provider because a local one takes any key, its own name for instance, would make the journal unreadable.
        """
        found = {name: value for name, value in variables.items() if value and name != _WORKING_DIRECTORY}
        known = {word.casefold() for word in (*public, *(v for k, v in found.items() if not is_secret_name(k)))}
        for name, value in found.items():
            if is_secret_name(name) and len(value.strip()) >= SHORTEST_FOUND and value.casefold() not in known:
                self.add(value)

    def text(self, text: str) -> str:
        """Return `text` with every secret in it replaced."""
        if self._registered is not None:
            text = self._registered.sub(REDACTED, text)
        for own in self._patterns:
            text = own.sub(REDACTED, text)
        for pattern, replacement in _KNOWN:
            text = pattern.sub(replacement, text)
        text = _HEADER.sub(_hide_value, text)
        return _ASSIGNMENT.sub(_hide_value_of_secret_name, text)

    def value(self, value: Any) -> Any:
        """Return a copy of `value`, any nesting of mappings and lists, with every secret in it replaced.

        Mappings become dicts and bytes become text; numbers, booleans and None stay, except numbers under a secret's
        name other than a token's (fencing tokens are numbers). A value that its sender has masked already
        (``first4***last4``) stays: it is evidence (deviation 12).
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._under(str(key), part) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(self.value(part) for part in value)
        return [self.value(part) for part in value] if isinstance(value, list) else value

    def _under(self, name: str, value: Any) -> Any:
        # Fencing tokens are numbers, bearer tokens never are.
        number_of_a_token = isinstance(value, int) and name.casefold().endswith("token")
        return _hidden(value) if is_secret_name(name) and not number_of_a_token else self.value(value)


def knowing(env: Mapping[str, str]) -> Redactor:
    """Return what hides the values of the environment's variables that are called like a secret."""
    redactor = Redactor()
    redactor.learn(env)
    return redactor


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a field of that name holds a secret: ``OPENAI_API_KEY`` does, ``total_tokens`` does not."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _HARMLESS_ENDINGS:
        return False
    if any(word.endswith(_SECRET_ENDINGS) or word in _SECRET_WORDS for word in words):
        return True
    return any(second in {"key", "keys"} and first in _KEY_OWNERS for first, second in pairwise(words))


def _kinds(text: str) -> Iterator[str]:
    return ("1" if character.isdigit() else "a" for character in text if character.isalnum())


def _hidden(value: Any) -> Any:
    """Hide every leaf of a secret's value; what is empty or masked already gives nothing away."""
    if isinstance(value, Mapping):
        return {str(key): _hidden(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(part) for part in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    told = isinstance(value, str) and (_MASKED.fullmatch(value) or _VARIABLE.fullmatch(value))
    return value if told else REDACTED


def _hide_value(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{_hidden(match[3])}"


def _hide_value_of_secret_name(match: re.Match[str]) -> str:
    # What a header's whole value is has been judged already: here it would end at the first space.
    judged = match[1].casefold() in _HEADERS
    return _hide_value(match) if is_secret_name(match[1]) and not judged else match[0]


def _spellings(secret: str) -> Iterator[str]:
    """Yield `secret` as it may appear in text: as it is, escaped, percent-encoded, in base64."""
    yield secret
    for escaped in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        yield escaped[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield html.escape(secret)
    for encoded in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield from _in_base64(secret.encode())


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield the characters that `secret` alone determines, for each of the three places it may start at in a group."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        own = encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
        yield own
        yield own.replace("+", "-").replace("/", "_")
