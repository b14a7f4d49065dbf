"""Files with settings, as bytes: read keys, edit them, compare two versions, and put keys back (APP-2.1, RBK-3.1).

A key of YAML, JSON or TOML is spelled as in `rollout.core.key_paths`; a key of a `.env` file stands as it is. Every
edit is read back before it is returned: the keys have their new values, and every other key has the value that it had.
A format's module is imported where a file of that format is edited.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rollout.core.errors import Problem
from rollout.core.key_paths import spell_key
from rollout.core.writes import Codec
from rollout.gateway.host import env_text
from rollout.gateway.host.env_text import EnvFileError
from rollout.gateway.host.plain_trees import differences, get
from rollout.gateway.host.settings_document import LARGEST_BYTES, Document, SettingsError, refuse_file
from rollout.gateway.host.text_tree import FormatError

T = TypeVar("T")


def read_keys(codec: Codec, data: bytes, keys: Iterable[str], *, file: str) -> dict[str, Any]:
    """Return the values of those keys that the file has.

    Args:
        codec: the file's format.
        data: its bytes.
        keys: the keys to read.
        file: its name, for messages.

    Raises:
        SettingsError: the file cannot be read, a key is not spelled as a key, leads through a scalar, or selects no
            entry of a list, or several.
    """
    wanted = tuple(keys)
    if codec == "env":
        found = _env(file, data, env_text.values)
        return {key: found[key] for key in wanted if key in found}
    document = Document.of(codec, data, file)
    paths = document.resolve_all(wanted)
    return {key: get(document.plain, path) for key, path in paths.items() if document.has(path)}


def edit(codec: Codec, data: bytes, values: Mapping[str, Any], remove: Iterable[str] = (), *, file: str) -> bytes:
    """Return the file with keys set and removed; everything else stays, byte for byte.

    Idempotent. A value that a key has already is not touched. A new key stands behind the last one of its mapping. A
    mapping is set key by key, and a list of the same length entry by entry, so that their comments stay; another
    collection is written on one line. Removing a key that is not there does nothing.

    Args:
        codec: the file's format.
        data: its bytes.
        values: key -> text, number, boolean, None, or a list or mapping of these; text for a `.env` file.
        remove: keys to remove; an entry of a list is not removed, the list is set instead.
        file: its name, for messages.

    Raises:
        SettingsError: as `read_keys`; or the format, or the text around the key, cannot take the new value.
    """
    gone = tuple(remove)
    if codec == "env":
        return _env(file, data, lambda found: env_text.edit(found, _env_values(file, values), gone))
    document = Document.of(codec, data, file)
    paths = document.resolve_all((*values, *gone))
    document.refuse_overlap(paths)
    document.change((key, functools.partial(document.put_new, paths[key], value)) for key, value in values.items())
    document.change((key, functools.partial(document.drop, paths[key])) for key in gone)
    return document.proven(paths)


def changed_keys(codec: Codec, before: bytes, after: bytes, *, file: str) -> tuple[str, ...]:
    """Return the keys whose values differ, innermost and in the order of the files; lists of other lengths as a whole.

    Raises:
        SettingsError: either file cannot be read.
    """
    if codec == "env":
        old, new = _env(file, before, env_text.values), _env(file, after, env_text.values)
        return tuple(key for key in dict.fromkeys((*old, *new)) if old.get(key, ...) != new.get(key, ...))
    one, other = (Document.of(codec, data, file).plain for data in (before, after))
    return tuple(spell_key(path) for path in differences(one, other))


def put_back(codec: Codec, now: bytes, backup: bytes, keys: Iterable[str], *, file: str) -> bytes:
    """Return `now` with these keys as the backup has them, or without them, and every other edit kept (RBK-3.1).

    If nothing else was edited, the result is the backup, byte for byte.

    Raises:
        SettingsError: either file cannot be read, or `now` was edited so that the keys cannot be put back into it.
    """
    own = tuple(keys)
    if codec == "env":
        return _env(file, now, lambda found: env_text.put_back(found, backup, own))
    document, saved = Document.of(codec, now, file), Document.of(codec, backup, file)
    if _without(document, saved, own).is_like(_without(saved, document, own)):
        return backup
    paths, saved_paths = document.resolve_all(own), saved.resolve_all(own)
    document.change(
        (key, functools.partial(document.take_over, path, saved, saved_paths[key])) for key, path in paths.items()
    )
    return document.proven(paths)


def _without(document: Document, other: Document, keys: tuple[str, ...]) -> Document:
    """Return the version without the keys; one that cannot be cut out, such as one that is merged, stays."""
    copy = dataclasses.replace(document)
    other_paths = other.resolve_all(keys)
    for key, path in copy.resolve_all(keys).items():
        with contextlib.suppress(FormatError):
            copy.drop_own(path, other, other_paths[key])
    return copy


def _env_values(file: str, values: Mapping[str, Any]) -> dict[str, str]:
    wrong = [key for key, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise SettingsError(
            Problem(file, None, key, "a value of a .env file is text; put the new one in quotes") for key in wrong
        )
    return dict(values)


def _env(file: str, data: bytes, work: Callable[[bytes], T]) -> T:
    if len(data) > LARGEST_BYTES:
        raise refuse_file(file, "is larger than 10 MB, which no file with settings is; check the path")
    try:
        return work(data)
    except EnvFileError as problem:
        raise refuse_file(file, str(problem)) from None
