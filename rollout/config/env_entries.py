"""Validators of entries of a `.env` file. A value that may be a secret is never repeated."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from rollout.core.redaction import SHORTEST, Redactor, is_secret_name
from rollout.core.schemas.validators import VARIABLE, InvalidValue, require
from rollout.core.units import shown

_IN_CAPITALS = re.compile(r"[A-Z_][A-Z0-9_]{0,127}", re.ASCII)
_LONGEST_VALUE = 10_000
_REDACTOR = Redactor()


def key(value: Any) -> str:
    """Return the name of a key."""
    if not isinstance(value, str) or not VARIABLE.fullmatch(value):
        written = shown(_REDACTOR.text(value) if isinstance(value, str) else value)
        raise InvalidValue(
            f"{written} is no name of a key; use letters, digits and '_', no digit first, such as LOG_LEVEL"
        )
    return value


def value(found: Any) -> str:
    """Return a value: text as it is, without NUL and other control characters than tab and line feed."""
    if found is None:
        raise InvalidValue('is empty; write "" if an empty value is meant, or name the key under `remove`')
    if not isinstance(found, str):
        raise InvalidValue(f"text is expected here, not {shown(found)}")
    if len(found) > _LONGEST_VALUE:
        raise InvalidValue(f"is {len(found):,} characters long; {_LONGEST_VALUE:,} are the most")
    for character in found:
        if unicodedata.category(character) == "Cc" and character not in "\t\n":
            raise InvalidValue(
                f"holds a control character (U+{ord(character):04X}), which no .env file keeps; remove it"
            )
    return found


def holder(found: Any) -> str:
    """Return the name of the environment variable that holds a secret.

    Capitals only: a secret pasted here by mistake is none as a rule, and is not shown.
    """
    if not isinstance(found, str) or not _IN_CAPITALS.fullmatch(found) or _REDACTOR.text(found) != found:
        raise InvalidValue(
            "must be the name of an environment variable that holds the value, in capitals, such as NEW_OPENAI_KEY; "
            "the secret itself stays out of files"
        )
    return found


def by_key(example: str) -> Callable[[Any], dict[str, Any]]:
    """Return a validator of mappings that repeats nothing of what stands in a mapping's place."""

    def read(found: Any) -> dict[str, Any]:
        if not isinstance(require(found), dict):
            raise InvalidValue(f"keys and values are expected here; write them, such as `{example}`")
        return dict(found)

    return read


def explain_not_plain(name: str, text: str) -> str | None:
    """Return why this value may not stand in a file; None if it may.

    A value that the report hides is refused: the records would not show what was written.
    """
    if text and is_secret_name(name):
        reason = "is a secret by its name"
    elif _REDACTOR.text(text) != text:
        reason = "has a value that looks like a secret"
    else:
        return None
    return (
        f"{reason}; write `secret: {{{name}: VARIABLE}}`, VARIABLE being an environment variable that holds the value"
    )


def explain_no_secret(secret: str) -> str | None:
    """Return what is wrong with the content of the environment variable that holds a secret; None if nothing is."""
    if not secret:
        return "is not set; export it with the new value before the run"
    if not secret.isprintable():
        return "holds a line break or another character that cannot be seen; set it to the value alone"
    if len(secret.strip()) < SHORTEST:
        return f"holds fewer than {SHORTEST} characters, too few to keep them out of the report; use a longer secret"
    return None
