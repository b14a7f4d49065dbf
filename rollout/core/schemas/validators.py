"""Validators of single values. Every refusal says what was expected and gives an example.

A value that may be a secret in the wrong place (a URL, a variable name) is never repeated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from rollout.core import promql
from rollout.core.applicability import OBSERVES
from rollout.core.clauses import CLAUSES, PHASES, why_never_left_out
from rollout.core.redaction import Redactor
from rollout.core.units import shown

GLOBAL = "global"
"""The scope of a governance limit that is for all providers together."""

_LONGEST_LINE = 500
_LONGEST_PROSE = 10_000
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""The name of a provider, and any other that may stand in a file's name or a URL."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
"""The name of an environment variable, or of a key of a `.env` file."""

_MARKUP = frozenset("<>&`*|")
_CONTACT = re.compile(r"(?P<name>[^<>]*\S)\s*<(?P<contact>[^<>]+)>")
PLACEHOLDER = re.compile(r"{([^{}]*)}")
"""A placeholder of a path or a body, such as ``{provider}``."""

_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/{}-]*", re.ASCII)
_HARMLESS = ("", "PRE-1.1", "passed", "openai:gpt-4o", "http://127.0.0.1:8000", "2026-01-01T00:00:00.000Z", 64 * "0")

T = TypeVar("T")


class InvalidValue(ValueError):
    """A value that its key does not accept; pydantic collects these."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? `` where a known word is close, else an empty text."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(word.casefold(), folded, 1)
    return f"did you mean {folded[close[0]]!r}? " if close else ""


def require(value: T | None) -> T:
    """Return the value, if there is one."""
    if value is None:
        raise InvalidValue("is empty; write a value, or remove the line")
    return value


def text(value: Any, *, longest: int = _LONGEST_LINE, breaks: str = "") -> str:
    """Return one line of visible text; a whole number is taken as written.

    Raises:
        ValueError: it is no text, empty, too long, or holds characters that cannot be seen.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (bool, float)):
        raise InvalidValue(f"{shown(value)} is not text; put it in quotes if it is meant as text")
    value = require(value)
    if not isinstance(value, str):
        raise InvalidValue(f"text is expected here, not {shown(value)}")
    line: str = require(value.strip() or None)
    if len(line) > longest:
        raise InvalidValue(f"is {len(line):,} characters long; {longest:,} are the most")
    for character in line:
        if unicodedata.category(character) in _HIDDEN and character not in breaks:
            raise InvalidValue(f"holds a character that cannot be seen (U+{ord(character):04X}); remove it")
    return line


def person(value: Any) -> str:
    """Return a person's name, which stands in reports, messages and files' names."""
    found = text(value)
    if set(found) & _MARKUP:
        raise InvalidValue(
            f"{shown(found)} is no name: it holds one of {' '.join(sorted(_MARKUP))}; write one such as bob"
        )
    return found


def prose(value: Any) -> str:
    """Return text that may have several lines."""
    return text(value, longest=_LONGEST_PROSE, breaks="\n\t")


def provider(value: Any) -> str:
    """Return a provider's name; it becomes a part of the gateway's URLs."""
    return _matching(value, PROVIDER, "a provider's name (letters, digits, '.', '_', '-'); write one such as openai")


def provider_and_model(value: Any) -> str:
    """Return ``provider:model``; a model's name may have colons of its own."""
    found = text(value)
    name, colon, model = found.partition(":")
    if not (PROVIDER.fullmatch(name) and colon and model.strip()):
        raise InvalidValue(f"{shown(found)} names no provider and model; write one such as openai:gpt-4o")
    return found


def scope(value: Any) -> str:
    """Return the scope of a governance limit; ``provider:openai``, as the gateway reports it, is ``openai``."""
    found = text(value)
    lone = found.removeprefix("provider:")
    if not PROVIDER.fullmatch(lone) or (lone != found and lone.casefold() == GLOBAL):
        raise InvalidValue(f"{shown(found)} is no scope; write {GLOBAL}, or a provider's name such as openai")
    return GLOBAL if lone.casefold() == GLOBAL else lone


def name(value: Any) -> str:
    """Return a name that may stand in a file's name."""
    return _matching(value, PROVIDER, "a name of letters, digits, '.', '_' and '-'; write one such as openai-gpt-4o")


def variable(value: Any) -> str:
    """Return the name of an environment variable; a value that is none may be the secret itself: it is not shown."""
    if not isinstance(value, str) or not VARIABLE.fullmatch(value):
        raise InvalidValue(
            "must be the name of an environment variable, such as GATEWAY_TOKEN; secrets stay out of files"
        )
    return value


def channel(value: Any) -> str:
    """Return ``log`` or the name of an environment variable with an Apprise URL, which may hold a secret: not shown."""
    if not isinstance(value, str) or (value != "log" and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value)):
        raise InvalidValue(
            "must be `log` or the name of an environment variable that holds an Apprise URL, in capitals"
        )
    return value


def header(value: Any) -> str:
    """Return text that an HTTP header can carry."""
    found = text(value)
    if not found.isascii():
        raise InvalidValue(
            f"{shown(found)} goes into an HTTP header, which takes plain ASCII only; write it without accents"
        )
    return found


def clause(value: Any) -> str:
    """Return the id of a clause of the procedure."""
    found = text(value).upper()
    if found not in CLAUSES:
        raise InvalidValue(f"{shown(value)} is no clause of the procedure; write one such as PRE-2.1")
    return found


def waivable(value: Any) -> str:
    """Return the id of a clause that may be waived: of any scenario, or where the gateway lacks what it observes."""
    found = clause(value)
    if (why := why_never_left_out(found)) and (found not in OBSERVES or CLAUSES[found].phase not in PHASES):
        raise InvalidValue(f"{found} cannot be waived: {why}")
    return found


def observing(value: Any) -> str:
    """Return the id of a clause that is not applicable on a gateway without what the clause observes."""
    found = clause(value)
    if found not in OBSERVES:
        raise InvalidValue(f"{found} needs an outcome on every gateway already; write some of {', '.join(OBSERVES)}")
    return found


def dispensable(value: Any) -> str:
    """Return the id of a clause that a policy may leave out: one of a rollout only if it may be waived."""
    found = clause(value)
    why = why_never_left_out(found)
    if why and CLAUSES[found].phase in (*PHASES, "rollback"):
        raise InvalidValue(f"{found} cannot be left out: {why}")
    return found


def flag(value: Any) -> bool:
    """Return a yes or no."""
    if not isinstance(value, bool):
        raise InvalidValue(f"{shown(value)} is neither true nor false; write one of the two")
    return value


def choice(*allowed: str) -> Callable[[Any], str]:
    """Return a validator of one of the `allowed` words."""
    either = " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))

    def read(value: Any) -> str:
        if value not in allowed:
            raise InvalidValue(f"{shown(value)} is not possible here; write {either}")
        return str(value)

    return read


def true_or_only(value: Any) -> str | bool:
    """Return ``true`` or ``only``: whether the single-request test is all of a canary."""
    if value is not True and value != "only":
        raise InvalidValue(f"{shown(value)} is not possible here; write true or only")
    return True if value is True else "only"


def strategy(value: Any) -> Any:
    """Return the word ``canary`` as the mapping that it abbreviates; a mapping as it is."""
    if value == "canary":
        return {}
    if not isinstance(require(value), dict):
        raise InvalidValue(
            f"{shown(value)} is no strategy; write canary, or a mapping such as `stages: [{{share: 10%, for: 1h}}, …]`"
        )
    return value


def pattern(value: Any) -> str:
    """Return a regular expression that compiles."""
    found = text(value)
    try:
        re.compile(found)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidValue(f"{shown(found)} is not a regular expression ({error}); mend it or escape it") from None
    return found


def secret_pattern(value: Any) -> str:
    """Return a regular expression that finds secrets: neither what records consist of, nor itself in a record."""
    found = pattern(value)
    greedy = next((harmless for harmless in _HARMLESS if re.search(found, harmless)), None)
    if greedy is not None:
        raise InvalidValue(
            f"{shown(found)} finds {shown(greedy)} too, and would empty the records; describe the secret alone"
        )
    if Redactor(patterns=[found]).text(found) != found:
        # A rollback has the pattern from the journal.
        raise InvalidValue(
            f"{shown(found)} is taken for a secret itself in the records; write a class for a letter: [s]k-"
        )
    return found


def file(value: Any) -> Path:
    """Return an absolute path: the phases of one rollout may start in different directories."""
    found = Path(text(value))
    if not found.is_absolute():
        raise InvalidValue(f"{shown(value)} is not an absolute path; write it from the root, such as /srv/gateway/.env")
    return found


def file_or_none(value: Any) -> Path | None:
    """Return an absolute path, or None for ``none``: a file that cannot be reached, which is stated."""
    return None if value == "none" else file(value)


def path(value: Any) -> str:
    """Return the path of a call that concerns no particular provider."""
    return _path(value, [], "/healthz")


def provider_path(value: Any) -> str:
    """Return the path of a call that names its provider as ``{provider}``."""
    return _path(value, ["provider"], "/api/v1/providers/{provider}/status")


def ticket_url(value: Any) -> str:
    """Return the address of a ticket with ``{ticket}`` in it."""
    found = text(value)
    if not re.match(r"https?://[^/@\s]+/", found) or "@" in found.partition("//")[2].partition("/")[0]:
        raise InvalidValue(
            "must be an address without credentials, such as https://tracker.example.com/browse/{ticket}"
        )
    if PLACEHOLDER.findall(found) != ["ticket"]:
        raise InvalidValue("must contain {ticket} once, such as https://tracker.example.com/browse/{ticket}")
    return found


def counter(value: Any) -> str:
    """Return an instant vector selector of raw counters, as it is written."""
    found = text(value)
    promql.parse(found)
    return found


def matcher(value: Any) -> str:
    """Return a matcher such as ``severity="critical"``, as it is written."""
    if isinstance(require(value), dict):
        raise InvalidValue("is a mapping; put the whole matcher in quotes: 'severity=\"critical\"'")
    found = promql.matcher(text(value))
    if found.operator in {"=~", "!~"}:
        try:
            re.compile(found.value)
        except re.error as error:
            raise InvalidValue(f"has a regular expression that is none ({error}); mend it or escape it") from None
    return str(found)


def contact(value: Any) -> Any:
    """Return ``carol <carol@example.com>`` as the mapping that it abbreviates; anything else as it is."""
    if not isinstance(value, str):
        return value
    match = _CONTACT.fullmatch(value.strip())
    if match is None:
        raise InvalidValue(f"{shown(value)} names no contact; write `carol <carol@example.com>`")
    return match.groupdict()


def mapping(example: str) -> Callable[[Any], dict[str, Any]]:
    """Return a validator of mappings."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidValue(
                f"a mapping is expected here, not {shown(value)}; write keys and values such as `{example}`"
            )
        return value

    return read


def items(value: Any) -> list[Any]:
    """Return a list; a single value is a list of one."""
    return value if isinstance(require(value), list) else [value]


def once(values: list[str]) -> list[str]:
    """Return each of the values once, where it stands first."""
    return list(dict.fromkeys(values))


def _matching(value: Any, expression: re.Pattern[str], expected: str) -> str:
    found = text(value)
    if not expression.fullmatch(found):
        raise InvalidValue(f"{shown(found)} is not {expected}")
    return found


def _path(value: Any, placeholders: list[str], example: str) -> str:
    found = text(value)
    if not _PATH.fullmatch(found) or PLACEHOLDER.findall(found) != placeholders:
        wanted = f"with {{{placeholders[0]}}} in it once" if placeholders else "without placeholders"
        raise InvalidValue(f"{shown(found)} is not a path {wanted}; write one such as {example}")
    return found
