"""Keys of files with nested settings: ``router_settings.timeout``, ``model_list[model_name=chat].model_info.id``.

A name with a dot, a bracket, a blank, ``=`` or a quote stands in double quotes, as in JSON: ``aliases."gpt-4.1"``. An
entry of a list is addressed by its number, from 0, or by a scalar that only this entry has:
``model_list[model_info.id=prod-1]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from rollout.core.errors import RolloutError

_NAME = r'"(?:[^"\\]|\\.)*"|[^\s."\[\]=\\]+'
_NAMES = rf"(?:{_NAME})(?:\.(?:{_NAME}))*"
_NUMBER = r"0|[1-9][0-9]{0,8}"
_STEP = re.compile(
    rf'\[(?P<number>{_NUMBER})\]|\[(?P<names>{_NAMES})=(?P<value>"(?:[^"\\]|\\.)*"|[^"\]]+)\]'
    rf"|(?P<dot>\.?)(?P<name>{_NAME})"
)
_EACH_NAME = re.compile(_NAME)
_BARE = re.compile(r'[^\s."\[\]=\\]+')


class InvalidKey(RolloutError):
    """A key that is not spelled as this module reads it."""


@dataclass(frozen=True, slots=True)
class Selector:
    """The one entry of a list whose scalar at `names` reads `value`.

    Attributes:
        names: the names from the entry to the scalar.
        value: the scalar's text; of a number or a boolean, as JSON spells it.
    """

    names: tuple[str, ...]
    value: str

    def __str__(self) -> str:
        """Return it as it stands between brackets."""
        bare = self.value and not re.search(r'["\]]', self.value)
        return f"{spell_key(self.names)}={self.value if bare else json.dumps(self.value)}"


Step = str | int | Selector
"""One step from a collection to a value: a name, an entry's number, or an entry's selector."""


def parse_key(key: str) -> tuple[Step, ...]:
    """Return the steps of a key, outermost first; at least one, and the first is a name.

    Raises:
        InvalidKey: the key is not spelled so.
    """
    steps: list[Step] = []
    at = 0
    while at < len(key):
        found = _STEP.match(key, at)
        if found is None or (found["name"] is not None and bool(found["dot"]) != bool(steps)):
            _refuse(key, at)
        steps.append(_step(key, at, found))
        at = found.end()
    if not steps or not isinstance(steps[0], str):
        _refuse(key, 0)
    return tuple(steps)


def spell_key(steps: Iterable[Step]) -> str:
    """Return the key of these steps; `parse_key` reads it back."""
    parts: list[str] = []
    for step in steps:
        if isinstance(step, str):
            parts.append("." * bool(parts) + (step if _BARE.fullmatch(step) else json.dumps(step)))
        else:
            parts.append(f"[{step}]")
    return "".join(parts)


def _step(key: str, at: int, found: re.Match[str]) -> Step:
    if found["number"] is not None:
        return int(found["number"])
    try:
        if found["name"] is not None:
            return _unquoted(found["name"])
        names = tuple(_unquoted(each[0]) for each in _EACH_NAME.finditer(found["names"]))
        return Selector(names, _unquoted(found["value"]))
    except ValueError:
        _refuse(key, at)


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def _refuse(key: str, at: int) -> NoReturn:
    raise InvalidKey(
        f"{json.dumps(key)} is no key, from its character {at + 1} on; write names with dots between them, a name with "
        'other characters in double quotes ("gpt-4.1"), and an entry of a list as [0] or [name=value]'
    )
