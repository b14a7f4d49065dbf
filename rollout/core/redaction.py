"""Redaction: everything that the process writes passes here first, and secrets are replaced.

Four rules, because each has gaps: values under names that mean a secret, values in the form of one, what the policy's
own patterns describe, and the exact values of the known secrets, in the encodings in which they occur.

What none of the rules replaces: a known value of fewer than four characters; one of fewer than eight under the name
of a secret where it is a plain word or a short number (``admin``, ``8000``); an encoding of fewer than six characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from rollout.core.plain_values import is_plain
from rollout.core.secret_names import NameKind, classify_name, is_secret_name
from rollout.core.spellings import BOUND_BELOW, Spellings

__all__ = ["REDACTED", "SHORTEST", "Redactor", "is_secret_name", "knowing"]

REDACTED = "[redacted]"

# Shorter values occur by chance in any text, and hiding them would make it unreadable.
SHORTEST = 4
# These are not named one by one, and some are "test" or "ollama", set only because a key must not be empty.
SHORTEST_FOUND = 8
SHORTEST_NUMBER = 6
SHORTEST_IN_URL = 12
# The keys and words of a sample recur in each of a window's thousand.
LONGEST_REMEMBERED = 200
MOST_REMEMBERED = 1000
_PARTS_OF_URL = re.compile(r"[/:@?&=#,]+")
_FILLER = re.compile(
    r"change[-_ ]?(?:me|this|it)|your[-_ ].*|none|null|nil|unset|empty|dummy|placeholder"
    r"|(?:not[-_ ])?(?:required|needed)|<.*>|x+|\*+|\.+|sk-x+|test|example",
    re.IGNORECASE,
)

# A shell's working directories, whose names end like a password's.
_WORKING_DIRECTORIES = frozenset({"PWD", "OLDPWD"})

# As a shell writes one: in manual commands, which must work when an operator runs them.
_VARIABLE = re.compile(r"(?:\w+ )?\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
_MASKED = re.compile(r".{0,4}(?:\*{3,}|…).{0,4}", re.DOTALL)

# A name begins a word, or follows the two dashes of an option that do.
_ANY_KEY = r"(?:(?<![\w.-])|(?<=--)(?<![\w.-]--))([A-Za-z][\w.-]{0,80}+)(\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)"
_ASSIGNMENT = re.compile(_ANY_KEY + r"([^\s\"'\\,;&<>(){}\[\]]{4,}+)")
_HEADERS = ("proxy-authorization", "authorization", "set-cookie", "cookie")
_HEADER = re.compile(rf"\b({'|'.join(_HEADERS)})(\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)([^\r\n\"'\\]+)", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_TIMES = frozenset({"first_token", "first_token_ms"})
_TOKENS = (
    (("sk-",), re.compile(r"(?<![A-Za-z0-9])sk-[\w-]{8,}")),
    (("aiza",), re.compile(r"(?<![A-Za-z0-9])AIza[\w-]{10,}")),
    (
        ("gh", "github_pat_", "glpat-", "xox", "xapp-", "hf_", "gsk_", "npm_", "pypi-"),
        re.compile(
            r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|xapp-|hf_|gsk_|npm_|pypi-)[\w-]{8,}"
        ),
    ),
    (("akia", "asia"), re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    (("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")),
)
# Each with a sign that every match contains, in lower case: most texts have none and need no search. A pattern stands
# once for each of its signs. The sign of one that ignores case has no i, k or s, for which further characters stand.
_KNOWN = (
    ("-----begin ", _PRIVATE_KEY, REDACTED),
    ("://", re.compile(r"([A-Za-z][\w+.-]{0,20}://[^\s/:@\"']{0,200}):[^\s/\"']{1,400}@"), rf"\1:{REDACTED}@"),
    ("://", re.compile(r"([A-Za-z][\w+.-]{0,20}://)[^\s/:@\"'\[\]]{16,400}@"), rf"\1{REDACTED}@"),
    ("hooks.slack.com/", re.compile(r"(hooks\.slack\.com/services/)[\w/-]+"), rf"\1{REDACTED}"),
    (
        "bearer",
        re.compile(r"\b(bearer)\s+(?!tokens?\b|auth\w*\b)[\w.~+/=-]{4,}", re.IGNORECASE),
        rf"\1 {REDACTED}",
    ),
    *((sign, pattern, REDACTED) for signs, pattern in _TOKENS for sign in signs),
)
_URL = re.compile(r"[A-Za-z][\w+.-]{0,20}://[^\s\"'<>]{1,2000}")
_LONG_USER = 16


class Redactor:
    """Replaces secrets by ``[redacted]``. Idempotent; safe to share between threads."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Register `secrets`, the exact values to look for, and `patterns`, regular expressions for others."""
        self._known: frozenset[str] = frozenset()
        self._alone: frozenset[str] = frozenset()
        self._unnamed: frozenset[str] = frozenset()
        self._public: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._spellings: Spellings | None = None
        self._redacted: dict[str, str] = {}
        self._patterns = tuple(map(re.compile, patterns))
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str, *, alone: bool = False) -> None:
        """Register one more value; shorter than four characters is ignored, for it would match by chance.

        Args:
            secret: the value.
            alone: whether it counts only where no letter or digit is beside it.
        """
        if len(secret.strip()) < SHORTEST:
            return
        new = frozenset({secret, secret.strip()})
        if alone:
            self._alone |= new
        else:
            self._known |= new
        self._spellings = None

    def add_url(self, url: str) -> None:
        """Register a channel's URL, and the parts of it that may be tokens: errors repeat the parts."""
        self.add(url)
        for part in map(unquote, _PARTS_OF_URL.split(url)):
            is_digit = {character.isdigit() for character in part if character.isalnum()}
            if len(part) >= SHORTEST_IN_URL and "." not in part and is_digit == {True, False}:
                self.add(part)

    def learn_file(self, variables: Mapping[str, str | None], public: Iterable[str] = ()) -> None:
        """Register every value of a `.env` file that is not plain, whatever its name, and what `learn` does.

        Args:
            variables: key -> value, None for a key without one.
            public: as `learn` has it.
        """
        self.learn(variables, public, whole_file=True)

    def publish(self, names: Iterable[str]) -> None:
        """Register names of providers and models as public: none is hidden because a `.env` file holds it.

        A value under the name of a secret stays one, also where it is listed.
        """
        fresh = frozenset(name.casefold() for name in names) - self._listed
        if fresh:
            self._listed |= fresh
            self._unnamed = frozenset(value for value in self._unnamed if not self._is_open(value))
            self._spellings = None

    def learn(
        self, variables: Mapping[str, str | None], public: Iterable[str] = (), *, whole_file: bool = False
    ) -> None:
        """Register the values under the name of a secret in an environment, and what in others has the form of one.

        A value that also stands under another name, or among the words in `public`, is no secret: hiding the name
        of a provider because a local one takes any key, its own name for instance, would make the journal unreadable.

        Args:
            variables: name -> value.
            public: what is public anyway, for this redaction from here on: the words of scenario and target.
            whole_file: whether values count too that are not plain, whatever their name.
        """
        found = {name: value for name, value in variables.items() if value and name not in _WORKING_DIRECTORIES}
        self._public |= frozenset(word.casefold() for word in public)
        plain = {
            value.casefold()
            for name, value in found.items()
            if classify_name(name) is NameKind.OPEN and is_plain(value)
        }
        known = self._public | plain
        self._unnamed = frozenset(value for value in self._unnamed if not self._is_open(value))
        self._spellings = None
        for name, value in found.items():
            for part in _parts(value):
                self.add(part)
            if value.casefold() in known:
                continue
            if _is_worth_hiding(value) and _is_named(name, value):
                self.add(value, alone=len(value.strip()) < BOUND_BELOW)
            elif whole_file and len(value.strip()) >= SHORTEST_FOUND and not is_plain(value):
                self._add_unnamed(value)

    def _add_unnamed(self, value: str) -> None:
        if not self._is_open(value):
            self._unnamed |= {value, value.strip()}
            self._spellings = None

    def _is_open(self, value: str) -> bool:
        """Return whether a value is listed, or a part of what is public: of the gateway's URL, of a path in use."""
        word = value.strip().casefold()
        return word in self._listed or any(word in other for other in self._public)

    def _found(self) -> Spellings:
        # Built when it is needed: secrets are registered one by one, and most processes hide nothing before the last.
        spellings = self._spellings
        if spellings is None:
            spellings = Spellings(self._known | self._unnamed, self._alone - self._known)
            # A new one, not cleared: a thread that still redacts with the former spellings must not add to this one.
            self._redacted = {}
            self._spellings = spellings
        return spellings

    def text(self, text: str) -> str:
        """Return `text` with every secret in it replaced."""
        if len(text) > LONGEST_REMEMBERED:
            return self._without_secrets(text)
        redacted = self._redacted if self._spellings is not None else {}
        if (known := redacted.get(text)) is None:
            if len(redacted) >= MOST_REMEMBERED:
                redacted.clear()
            known = redacted[text] = self._without_secrets(text)
        return known

    def _without_secrets(self, text: str) -> str:
        text = self.known(text)
        for own in self._patterns:
            text = own.sub(REDACTED, text)
        lower = text.lower()
        for sign, pattern, replacement in _KNOWN:
            if sign in lower:
                text = pattern.sub(replacement, text)
        if ":" not in lower and "=" not in lower:
            return text
        if "auth" in lower or "coo" in lower:
            text = _HEADER.sub(_hide_value, text)
        return _ASSIGNMENT.sub(_hide_value_of_secret_name, text)

    def known(self, text: str) -> str:
        """Return `text` with the registered values replaced, and nothing else in the form of a secret."""
        return self._found().replaced(text, REDACTED)

    def value(self, value: Any) -> Any:
        """Return a copy of `value`, any nesting of mappings and lists, with every secret in it replaced.

        Mappings become dicts and bytes become text; numbers, booleans and None stay, except numbers under a secret's
        name other than a token's (fencing tokens are numbers). A value that its sender has masked already
        (``first4***last4``) stays: it is evidence (deviation 12).
        """
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, (int, float)):
            return value
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
        # A time to the first token, and a limit for it, are numbers too; a text under that name may be a secret.
        is_time = name in _TIMES and not isinstance(value, (str, bytes))
        return _hidden(value) if is_secret_name(name) and not (number_of_a_token or is_time) else self.value(value)


def knowing(env: Mapping[str, str]) -> Redactor:
    """Return a redactor that hides the values of the environment's variables whose name means a secret."""
    redactor = Redactor()
    redactor.learn(env)
    return redactor


def _is_named(name: str, value: str) -> bool:
    """Return whether the value is a secret by its name."""
    kind = classify_name(name)
    return kind is NameKind.SECRET or (kind is NameKind.PERHAPS and not is_plain(value))


def _is_worth_hiding(value: str) -> bool:
    """Return whether the value under a secret's name can be one, and hiding it leaves other texts readable."""
    text = value.strip()
    if text.isdigit():
        return len(text) >= SHORTEST_NUMBER
    if _FILLER.fullmatch(text):
        return False
    return len(text) >= SHORTEST_FOUND or (len(text) >= SHORTEST and not text.isalpha())


def _parts(value: str) -> Iterator[str]:
    """Yield what in a value is a secret whatever its name: a URL's password, a private key, a token of a known form."""
    for pattern in (_PRIVATE_KEY, *(pattern for _, pattern in _TOKENS)):
        yield from (match[0] for match in pattern.finditer(value))
    for url in _URL.findall(value) if "://" in value else ():
        try:
            parts = urlsplit(url)
            named = parse_qsl(parts.query)
        except ValueError:
            continue
        found = [parts.password or "", *(part for name, part in named if classify_name(name) is NameKind.SECRET)]
        if not parts.password and len(parts.username or "") >= _LONG_USER:
            found.append(parts.username or "")
        for part in found:
            yield from (each for each in {part, unquote(part)} if not _FILLER.fullmatch(each))


def _hidden(value: Any) -> Any:
    """Hide every leaf of a secret's value; a leaf that is empty, masked or a variable's name stays."""
    if isinstance(value, Mapping):
        return {str(key): _hidden(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(part) for part in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    is_harmless = isinstance(value, str) and (_MASKED.fullmatch(value) or _VARIABLE.fullmatch(value))
    return value if is_harmless else REDACTED


def _hide_value(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{_hidden(match[3])}"


def _hide_value_of_secret_name(match: re.Match[str]) -> str:
    # A header's value, spaces included, is judged by `_HEADER`: here it would end at the first space.
    judged = match[1].casefold() in _HEADERS
    return _hide_value(match) if is_secret_name(match[1]) and not judged else match[0]
