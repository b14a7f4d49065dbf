"""PromQL's instant vector selectors, ``name{label="value", …}``: read, filled in, and written with safe quotes.

A selector, and no expression: ``sum()`` hides the restart of a single process among its series, and ``rate()`` and
``increase()`` lose the first value of a counter that is born in the middle of a window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

EXAMPLE = 'llm_requests_total{provider="{provider}"}'

_NAME = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)?\s*")
_MATCHER = re.compile(
    r"""\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<op>=~|!~|!=|=)\s*"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')\s*"""
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t"}
_PLACEHOLDER = re.compile(r"{([a-z_]+)}")
# Characters with a special meaning in RE2.
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: `operator` is ``=``, ``!=``, ``=~`` or ``!~``."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        """Write it as PromQL does."""
        return f"{self.label}{self.operator}{quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector; `metric` is empty where only the matchers choose."""

    metric: str
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        """Write it as PromQL does."""
        return f"{self.metric}{{{','.join(map(str, self.matchers))}}}" if self.matchers else self.metric

    def filled(self, values: Mapping[str, str]) -> Selector:
        """Return it with the placeholders filled in; in a regular expression a value stands for itself."""
        return replace(self, matchers=tuple(_filled(matcher, values) for matcher in self.matchers))


def parse(text: str, placeholders: frozenset[str] = frozenset({"provider", "model"})) -> Selector:
    """Return the selector that `text` is.

    Raises:
        ValueError: it is none, or it names a placeholder that there is not; the message says how to mend it.
    """
    name = _NAME.match(text)
    metric = (name and name[1]) or ""
    rest = text[name.end() :] if name else text
    matchers: tuple[Matcher, ...] = ()
    if rest.startswith("{"):
        matchers, rest = _matchers(rest[1:], placeholders)
    if rest.strip():
        raise ValueError(
            f"has {rest.strip()[:20]!r} where a selector ends; write a selector such as `{EXAMPLE}` and no function "
            "or operator, because increases are counted here, series by series"
        )
    if not metric and not any(each.operator == "=" and each.value for each in matchers):
        raise ValueError(f"chooses no metric; write a selector such as `{EXAMPLE}`")
    return Selector(metric, matchers)


def matcher(text: str) -> Matcher:
    """Return the one matcher that `text` is, such as ``severity="critical"``. Raises ValueError."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError('is no matcher; write one such as severity="critical"')
    return _matcher(found)


def quoted(value: str) -> str:
    """Return `value` as a PromQL string in double quotes."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{plain}"'


def escaped(value: str) -> str:
    """Return a regular expression (RE2) that matches `value` and nothing else."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", value)


def _matchers(rest: str, placeholders: frozenset[str]) -> tuple[tuple[Matcher, ...], str]:
    """Read matchers up to the closing brace, and return them with what follows it."""
    found: list[Matcher] = []
    while not (ends := re.match(r"\s*}", rest)):
        match = _MATCHER.match(rest)
        if match is None:
            raise ValueError(
                f'has {rest.strip()[:20]!r} where a matcher is expected; write label="value" (or !=, =~, !~), such '
                f"as `{EXAMPLE}`"
            )
        found.append(_known(_matcher(match), placeholders))
        rest = rest[match.end() :]
        if rest.startswith(","):
            rest = rest[1:]
        elif not rest.startswith("}"):
            raise ValueError(f"has {rest.strip()[:20]!r} after {found[-1]}; put a comma between matchers, a brace last")
    return tuple(found), rest[ends.end() :]


def _matcher(match: re.Match[str]) -> Matcher:
    raw = match["single"] if match["double"] is None else match["double"]
    return Matcher(match["label"], match["op"], _ESCAPE.sub(_unescaped, raw))


def _unescaped(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPES:
        raise ValueError(f"has an escape {found[0]} that PromQL does not know; a backslash itself is written \\\\")
    return _ESCAPES[found[1]]


def _known(found: Matcher, placeholders: frozenset[str]) -> Matcher:
    unknown = next((name for name in _PLACEHOLDER.findall(found.value) if name not in placeholders), None)
    if unknown is not None:
        known = " and ".join(f"{{{name}}}" for name in sorted(placeholders, reverse=True))
        raise ValueError(f"has a placeholder {{{unknown}}} that there is not; {known} are filled in")
    return found


def _filled(found: Matcher, values: Mapping[str, str]) -> Matcher:
    if found.operator in {"=~", "!~"}:
        values = {name: escaped(value) for name, value in values.items()}
    return replace(found, value=_PLACEHOLDER.sub(lambda match: values[match[1]], found.value))


_BRACKETS = {")": "(", "]": "[", "}": "{"}
_TOKEN = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|["'`]|[()\[\]{}]""")
_LITERAL = re.compile(r"""\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*""")


def check_expression(text: str) -> None:
    """Check what the text alone tells of an expression: quotes, brackets, placeholders, and that it is one number.

    Raises:
        ValueError: the expression is refused; the message says how to mend it.
    """
    if _LITERAL.fullmatch(text):
        raise ValueError("is a string, which is no number; write an expression such as `sum(llm_queue_depth)`")
    open_: list[str] = []
    for token in _TOKEN.findall(_PLACEHOLDER.sub("", text)):
        if token in {'"', "'", "`"}:
            raise ValueError(f"has a quote {token} that is not closed")
        if token in _BRACKETS.values():
            open_.append(token)
        elif token in _BRACKETS and (not open_ or open_.pop() != _BRACKETS[token]):
            raise ValueError(f"has a bracket {token} that closes none")
    if open_:
        raise ValueError(f"has a bracket {open_[-1]} that is not closed")
    if text.rstrip().endswith("]"):
        raise ValueError("is a range of samples, which is no number; put it into a function, such as `rate(…[5m])`")
    fill_expression(text, {"provider": "provider", "model": "model"})


def fill_expression(text: str, values: Mapping[str, str]) -> str:
    """Return an expression with the placeholders in its matchers filled in; the other text stays as it is.

    Raises:
        ValueError: a matcher names a placeholder that there is not.
    """
    known = frozenset(values)
    return _MATCHER.sub(lambda match: str(_filled(_known(_matcher(match), known), values)), text)
