"""``rollout doctor --kinds``: the kinds of gateways that targets may name, and the packages that bring them."""

from __future__ import annotations

from rollout.core.text import one_line
from rollout.gateway.drivers.registry import InstalledKind, UnusableKind, installed_kinds, refuse_ambiguous


def describe_kinds() -> str:
    """Return a line for each installed kind: kind, package and version, and its summary or why it cannot be used."""
    installed = installed_kinds()
    rows = [(one.name, str(one), _summary(one, installed)) for one in installed]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(f"{kind:<{widths[0]}}  {package:<{widths[1]}}  {text}" for kind, package, text in rows)


def _summary(one: InstalledKind, installed: tuple[InstalledKind, ...]) -> str:
    try:
        refuse_ambiguous([other for other in installed if other.name == one.name])
        return one_line(one.load_driver().summary)
    except UnusableKind as problem:
        return str(problem)
