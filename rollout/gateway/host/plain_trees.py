"""What a file with settings holds, as plain values: find, compare and change them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rollout.core.key_paths import Selector, Step, spell_key
from rollout.gateway.host.text_tree import FormatError, Path


def resolve(plain: Any, steps: tuple[Step, ...]) -> Path:
    """Return the path of a key: its selectors are numbers. The last names of the key may not be there yet.

    Raises:
        FormatError: it leads through a scalar, or selects no entry, or several.
    """
    path: list[str | int] = []
    now, is_there = plain, True
    for step in steps:
        around = spell_key(path)
        if isinstance(step, str):
            if is_there and not isinstance(now, dict):
                raise _refused(f"{around} is {_kind(now)}, and has no keys; correct the key, or set {around} itself")
            path.append(step)
            is_there = is_there and step in now
            now = now[step] if is_there else None
        else:
            if not is_there or not isinstance(now, list):
                raise _refused(f"{around} is {_kind(now) if is_there else 'not there'}, and has no entries")
            number = _selected(now, step, around)
            path.append(number)
            now = now[number]
    return tuple(path)


def _selected(items: list[Any], step: int | Selector, around: str) -> int:
    if isinstance(step, int):
        if step >= len(items):
            raise _refused(f"{around} has {len(items)} entries, counted from 0; to add one, set {around} as a whole")
        return step
    found = [number for number, item in enumerate(items) if _scalar_text(item, step.names) == step.value]
    if len(found) != 1:
        raise _refused(f"[{step}] selects {len(found) or 'no'} entries of {around}; name a value that one entry has")
    return found[0]


def _scalar_text(item: Any, names: tuple[str, ...]) -> str | None:
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    if isinstance(item, bool | int | float):
        return json.dumps(item)
    return item if isinstance(item, str) else None


def _kind(value: Any) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "empty"
    return "a single value"


def _refused(message: str) -> FormatError:
    return FormatError([(None, message)])


def get(plain: Any, path: Path) -> Any:
    """Return the value at `path`.

    Raises:
        KeyError: there is none.
        IndexError: there is none.
    """
    for step in path:
        holds_it: Any = plain if isinstance(plain, list if isinstance(step, int) else dict) else {}
        plain = holds_it[step]
    return plain


def with_value(plain: Any, path: Path, value: Any) -> Any:
    """Return a copy with another value at `path`; only the collections around it are copied."""
    if not path:
        return value
    step = path[0]
    copy = plain.copy()
    below = copy.get(step) if isinstance(copy, dict) else copy[step]
    copy[step] = with_value(below, path[1:], value)
    return copy


def without_value(plain: Any, path: Path) -> Any:
    """Return a copy without the key at `path`."""
    copy: Any = plain.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without_value(copy[path[0]], path[1:])
    return copy


def differences(one: Any, other: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths at which two values differ, in the order of their keys; lists of other lengths as a whole.

    Type and text are compared: 1, 1.0 and true differ, and a number that is none (NaN) equals itself. The order of keys
    does not count.
    """
    if isinstance(one, dict) and isinstance(other, dict) and (one or other):
        for name in dict.fromkeys((*one, *other)):
            yield from differences(_value_or(other, one, name), _value_or(one, other, name), (*path, name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, (*path, number))
    elif type(one) is not type(other) or isinstance(one, list) or repr(one) != repr(other):
        yield path


_ABSENT = object()


def _value_or(other: dict[str, Any], one: dict[str, Any], name: str) -> Any:
    """Return the value in `one`; where it lacks a mapping, an empty one, so that its keys are named one by one."""
    return one[name] if name in one else {} if isinstance(other[name], dict) and other[name] else _ABSENT


def is_same(one: Any, other: Any) -> bool:
    """Return whether both are the same values of the same types."""
    return next(differences(one, other), None) is None


def to_plain(value: Any) -> Any:
    """Return a new value as dictionaries, lists and scalars.

    Raises:
        FormatError: it holds something else.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping() if all(isinstance(name, str) for name in value):
            return {name: to_plain(each) for name, each in value.items()}
        case list() | tuple():
            return [to_plain(each) for each in value]
    raise _refused("the new value is no text, number, boolean, null, list or mapping with names; give one of these")
