"""Secrets under every name, in every encoding, and a search for pieces of any of them in whatever a run left.

planted = plants()                       # name -> its secret
leak = everything(planted.values())      # a text that holds each of them in each encoding
Search(planted).within(data)             # {("DB_PASS", "percent twice"), …}
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import textwrap
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tests.support.secrets import unpacked

IN_FILE = (
    *("LITELLM_MASTER_KEY", "LITELLM_SALT_KEY", "AZURE_OPENAI_KEY", "ANTHROPIC_KEY", "SUBSCRIPTION_KEY", "DB_PASS"),
    *("JWT", "MY_CREDENTIALS", "SERVICE_PASSWORT", "WHATEVER"),
)
IN_ENVIRONMENT = ("MASTER_KEY", "CI_DB_PASS")
PIECE = 10


def plants() -> Mapping[str, str]:
    """Return name -> a secret of its own: letters, digits and signs that every encoding has to encode."""
    return {name: _secret(name) for name in (*IN_FILE, *IN_ENVIRONMENT)}


def _secret(name: str) -> str:
    digest = base64.b85encode(hashlib.sha256(name.encode()).digest()).decode()
    letters = "".join(each for each in digest if each.isalnum())
    return f"{letters[:7]}/{letters[7:13]}+&{letters[13:19]}<{letters[19:24]}"


def encodings(secret: str) -> Mapping[str, str]:
    """Return name -> the secret as it may be spelt."""
    data = secret.encode()
    spelt = {
        "plain": secret,
        "JSON": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "unicode escapes": "".join(f"\\u{ord(each):04x}" for each in secret),
        "some unicode escapes": "".join(f"\\u{ord(c):04x}" if at % 2 else c for at, c in enumerate(secret)),
        "entities": html.escape(secret),
        "decimal entities": "".join(f"&#{ord(each)};" for each in secret),
        "hexadecimal entities": "".join(f"&#x{ord(each):x};" for each in secret),
        "percent": quote(secret, safe=""),
        "all percent": "".join(f"%{each:02X}" for each in data),
        "percent twice": quote(quote(secret, safe=""), safe=""),
        "hexadecimal": data.hex(),
        "capitals": data.hex().upper(),
        "colons": data.hex(":"),
        "blanks": data.hex(" "),
        "base32": base64.b32encode(b"u" + data + b"u").decode(),
        "wrapped": "\n    ".join(textwrap.wrap(secret, 12)),
    }
    for before in range(3):
        packed = base64.b64encode(b"u" * before + data + b":").decode()
        spelt |= {f"base64 {before}": packed, f"URL-safe base64 {before}": packed.replace("+", "-").replace("/", "_")}
    return spelt


def everything(secrets: Iterable[str]) -> str:
    """Return a text that holds every secret in every encoding."""
    return "; ".join(f"it is {spelt} there" for secret in secrets for spelt in encodings(secret).values())


class Search:
    """Searches for pieces of secrets, in each encoding."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        """Prepare to search for these."""
        self.wanted = {(name, how) for name, secret in planted.items() for how in encodings(secret)}
        self._pieces: dict[bytes, set[tuple[str, str]]] = {}
        for name, secret in planted.items():
            for how, spelt in encodings(secret).items():
                own = spelt[4:-8] if how.startswith(("base", "URL")) else spelt
                for at in range(len(own) - PIECE + 1):
                    self._pieces.setdefault(own[at : at + PIECE].encode(), set()).add((name, how))

    def within(self, data: bytes) -> set[tuple[str, str]]:
        """Return which secrets have a piece in these bytes, or in what they hold packed, and how it is encoded."""
        found: set[tuple[str, str]] = set()
        for content in unpacked(data):
            for at in range(len(content) - PIECE + 1):
                if (piece := content[at : at + PIECE]) in self._pieces:
                    found |= self._pieces[piece]
        return found
