"""A file with settings while it is edited: its text, and the plain values that the text must read as."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, Self, cast

from rollout.core.errors import Problem, RolloutError
from rollout.core.key_paths import InvalidKey, parse_key
from rollout.core.writes import Codec
from rollout.gateway.host.plain_trees import get, is_same, resolve, to_plain, with_value, without_value
from rollout.gateway.host.text_tree import FormatError, Path

LARGEST_BYTES = 10_000_000
_BOM = "\ufeff"


class SettingsError(RolloutError):
    """A file with settings cannot be read or edited; nothing is changed. No message holds a value.

    Attributes:
        problems: every one, with file and line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in the order in which they are found."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Format(Protocol):
    """What a format's module does with a text."""

    def load(self, text: str) -> Any:
        """Return what the text holds."""

    def put(self, text: str, path: Path, value: Any, spelled: str | None = None) -> str:
        """Return the text with a value set."""

    def drop(self, text: str, path: Path) -> str:
        """Return the text without a key."""

    def spelling(self, text: str, path: Path) -> str | None:
        """Return how the text spells a scalar; None where another text cannot take it over."""

    def comparable(self, text: str) -> str:
        """Return what of the text two versions are compared by."""

    def line(self, text: str, path: Path) -> int | None:
        """Return the line of a value."""


@dataclass(slots=True)
class Document:
    """A file while it is edited.

    Attributes:
        format: the module of its format.
        file: its name, for messages.
        bom: the byte order mark at its beginning; empty where there is none.
        text: the rest.
        plain: what the text must read as.
    """

    format: Format
    file: str
    bom: str
    text: str
    plain: Any

    @classmethod
    def of(cls, codec: Codec, data: bytes, file: str) -> Self:
        """Read a file.

        Raises:
            SettingsError: it is larger than 10 MB, no UTF-8, not of its format, or no mapping at its top.
        """
        if len(data) > LARGEST_BYTES:
            raise refuse_file(file, "is larger than 10 MB, which no file with settings is; check the path")
        try:
            content = data.decode()
        except UnicodeDecodeError as problem:
            line = data.count(b"\n", 0, problem.start) + 1
            raise refuse_file(file, "is not UTF-8 text; save it as UTF-8", line) from None
        text = content.removeprefix(_BOM)
        module = format_of(codec)
        try:
            plain = module.load(text)
        except FormatError as problem:
            raise SettingsError(Problem(file, line, "", message) for line, message in problem.problems) from None
        if not isinstance(plain, dict):
            raise refuse_file(file, "is no mapping at its top; a file with settings has keys", 1)
        return cls(module, file, content[: len(content) - len(text)], text, plain)

    def has(self, path: Path) -> bool:
        """Return whether the file has the value."""
        try:
            get(self.plain, path)
        except (KeyError, IndexError):
            return False
        return True

    def resolve_all(self, keys: Iterable[str]) -> dict[str, Path]:
        """Return each key's path.

        Raises:
            SettingsError: names every key that leads nowhere.
        """
        paths: dict[str, Path] = {}
        problems: list[Problem] = []
        for key in keys:
            try:
                paths[key] = resolve(self.plain, parse_key(key))
            except InvalidKey as problem:
                problems.append(Problem(self.file, None, "", str(problem)))
            except FormatError as problem:
                problems += self._problems(key, problem)
        if problems:
            raise SettingsError(problems)
        return paths

    def refuse_overlap(self, paths: Mapping[str, Path]) -> None:
        """Raise a `SettingsError` where a key is given twice, or another one is within it."""
        ordered = sorted(paths.items(), key=lambda each: [str(step) for step in each[1]])
        for (outer, one), (inner, other) in itertools.pairwise(ordered):
            if other[: len(one)] == one:
                raise refuse_file(self.file, f"{outer} and {inner} are edited at once, and one is in the other")

    def change(self, works: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Edit keys, each by its own work.

        Raises:
            SettingsError: names every key that cannot be edited.
        """
        problems: list[Problem] = []
        for key, work in works:
            try:
                work()
            except FormatError as problem:
                problems += self._problems(key, problem)
        if problems:
            raise SettingsError(problems)

    def put_new(self, path: Path, value: Any) -> None:
        """Set a value of the caller's: text, a number, a boolean, None, a list or a mapping; another is refused."""
        self.put(path, to_plain(value))

    def put(self, path: Path, value: Any) -> None:
        """Set a value: a mapping key by key, a list of the same length entry by entry."""
        if not self.has(path):
            self._put_missing(path, value)
            return
        now = get(self.plain, path)
        if is_same(now, value):
            return
        if isinstance(now, dict) and isinstance(value, dict) and now and value:
            for name, each in value.items():
                self.put((*path, name), each)
            for name in [name for name in now if name not in value]:
                self.drop((*path, name))
        elif isinstance(now, list) and isinstance(value, list) and len(now) == len(value):
            for number, each in enumerate(value):
                self.put((*path, number), each)
        else:
            self._set(path, value)

    def _put_missing(self, path: Path, value: Any) -> None:
        """Set a value of which the file may not even have the mappings around it."""
        while not self.has(path[:-1]):
            path, value = path[:-1], {path[-1]: value}
        self._set(path, value)

    def _set(self, path: Path, value: Any, spelled: str | None = None) -> None:
        self.text = self.format.put(self.text, path, value, spelled)
        self.plain = with_value(self.plain, path, value)

    def drop(self, path: Path) -> None:
        """Remove a key; nothing where it is not there."""
        if not self.has(path):
            return
        if isinstance(path[-1], int):
            raise FormatError([(None, "is an entry of a list, which is not removed; set the list without it")])
        self.text = self.format.drop(self.text, path)
        self.plain = without_value(self.plain, path)

    def take_over(self, path: Path, saved: Document, saved_path: Path) -> None:
        """Give a key the value that it has in another version, in its spelling there, or remove it."""
        if not saved.has(saved_path):
            self.drop_own(path, saved, saved_path)
            return
        value = get(saved.plain, saved_path)
        if self.has(path) and is_same(get(self.plain, path), value):
            return
        spelled = saved.format.spelling(saved.text, saved_path)
        if spelled is None or not self.has(path[:-1]):
            self.put(path, value)
        else:
            self._set(path, value, spelled)

    def drop_own(self, path: Path, other: Document, other_path: Path) -> None:
        """Remove a key, with the mappings around it that only this version has and that hold nothing else."""
        while self.has(path) and len(get(self.plain, path[:-1])) == 1 and not other.has(other_path[:-1]):
            path, other_path = path[:-1], other_path[:-1]
        self.drop(path)

    def is_like(self, other: Document) -> bool:
        """Return whether both have the same text, as far as an edit keeps it."""
        one, two = self.format.comparable(self.text), self.format.comparable(other.text)
        return (self.bom, one) == (other.bom, two)

    def proven(self, keys: Mapping[str, Path]) -> bytes:
        """Return the bytes.

        Args:
            keys: the keys that were edited, and their paths.

        Raises:
            SettingsError: the text does not read as it must, or a key no longer selects the entry that was edited.
        """
        if self.resolve_all(keys) != keys:
            raise refuse_file(self.file, f"{', '.join(keys)} would select another entry after the edit; use its number")
        try:
            is_proven = is_same(self.format.load(self.text), self.plain)
        except FormatError:
            is_proven = False
        if not is_proven:
            raise refuse_file(
                self.file,
                f"{', '.join(keys)} cannot be edited so that the rest reads as before; edit the file by hand",
            )
        try:
            return (self.bom + self.text).encode()
        except UnicodeEncodeError:
            raise refuse_file(
                self.file, "a new value holds half a Unicode character; give the character itself"
            ) from None

    def _problems(self, key: str, problem: FormatError) -> list[Problem]:
        return [Problem(self.file, line or self._line(key), key, message) for line, message in problem.problems]

    def _line(self, key: str) -> int | None:
        """Return the line of the key, or of the innermost mapping around it that has one."""
        path = tuple(step for step in parse_key(key) if isinstance(step, str | int))
        try:
            while path and not self.has(path):
                path = path[:-1]
            return self.format.line(self.text, path) if path else None
        except (FormatError, LookupError):
            return None


def format_of(codec: Codec) -> Format:
    """Return the module of a format, and import it."""
    module: ModuleType
    match codec:
        case "yaml":
            from rollout.gateway.host import yaml_text as module  # noqa: PLC0415
        case "json":
            from rollout.gateway.host import json_text as module  # noqa: PLC0415
        case "toml":
            from rollout.gateway.host import toml_text as module  # noqa: PLC0415
        case "env":
            raise AssertionError("a .env file is edited by env_text")
    return cast("Format", module)


def refuse_file(file: str, message: str, line: int | None = None) -> SettingsError:
    """Return the error about a file as a whole."""
    return SettingsError([Problem(file, line, "", message)])
