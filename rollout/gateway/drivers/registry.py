"""The kinds of gateways that can be spoken to: the default one, and those that installed packages bring.

A package brings a kind by an entry point of the group `GROUP`: the kind's name, and the driver's class. Entry points
are read, and drivers imported, only where another kind than the default is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from rollout.core.errors import RolloutError
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.schemas.validators import suggest
from rollout.core.text import one_line
from rollout.core.units import shown
from rollout.gateway.drivers.protocol import Driver

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pydantic import BaseModel

GROUP = "rollout.drivers"
"""The group of the entry points."""

_METHODS = tuple(name for name, part in vars(Driver).items() if callable(part) and not name.startswith("_"))
"""What every driver can do."""


class UnusableKind(RolloutError, ValueError):
    """A kind that no package brings, that two bring, or whose driver cannot be used."""


@dataclass(frozen=True, slots=True)
class InstalledKind:
    """A kind that an installed package brings.

    Attributes:
        name: the kind.
        package: the package.
        version: its version.
        entry_point: where the driver is.
    """

    name: str
    package: str
    version: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        """Read as package and version."""
        return f"{self.package} {self.version}"

    def load_driver(self) -> type[Driver]:
        """Return the driver.

        Raises:
            UnusableKind: it cannot be imported, or lacks what every driver has.
        """
        try:
            driver: Any = self.entry_point.load()
        except Exception as error:  # noqa: BLE001 - a package of another author: whatever it raises is the reason
            why = f"cannot be imported ({one_line(f'{type(error).__name__}: {error}', 300)})"
        else:
            why = _explain_unfit(driver, self.name)
        if why:
            raise UnusableKind(
                f"{shown(self.name)} cannot be used: its driver {self.entry_point.value} in {self} {why}; install a "
                "version of the package that works with this one, or use another kind"
            )
        found: type[Driver] = driver
        return found


def installed_kinds() -> tuple[InstalledKind, ...]:
    """Return the kinds by name, one that two packages bring twice; no driver is imported."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - the default kind does without

    found = [
        InstalledKind(each.name, each.dist.name, each.dist.version, each)
        for each in entry_points(group=GROUP)
        if each.dist
    ]
    return tuple(sorted(found, key=lambda one: (one.name, one.package)))


def load_driver(kind: str) -> type[Driver]:
    """Return the driver of a kind; that of the default kind without reading entry points.

    Raises:
        UnusableKind: no package brings the kind, two do, or the driver cannot be used.
    """
    if kind == DEFAULT_KIND:
        from rollout.gateway.drivers.documented import Documented  # noqa: PLC0415 - only the driver that is asked for

        return Documented
    installed = installed_kinds()
    found = [one for one in installed if one.name == kind]
    if not found:
        known = sorted({DEFAULT_KIND, *(one.name for one in installed)})
        raise UnusableKind(
            f"{shown(kind)} is no installed kind of gateway; {suggest(kind, known)}the kinds are {', '.join(known)}; "
            "install the package that brings it, or write one of these"
        )
    refuse_ambiguous(found)
    return found[0].load_driver()


def refuse_ambiguous(brought: list[InstalledKind]) -> None:
    """Refuse a kind that several packages bring.

    Args:
        brought: the kind, as each of these packages brings it.

    Raises:
        UnusableKind: there are several.
    """
    if len(brought) > 1:
        packages = " and ".join(map(str, brought))
        raise UnusableKind(f"{shown(brought[0].name)} is brought by {packages}; uninstall all but one of them")


def _explain_unfit(driver: Any, kind: str) -> str:
    """Return what the driver lacks; empty where it has what every driver has."""
    from pydantic import BaseModel  # noqa: PLC0415 - only where there is a driver to judge

    name, summary, settings = (getattr(driver, part, None) for part in ("kind", "summary", "settings"))
    if name != kind:
        return f"does not say `kind = {kind!r}`"
    if not isinstance(summary, str) or not summary.strip():
        return "has no summary, one line of text"
    if not (isinstance(settings, type) and issubclass(settings, BaseModel)):
        return "has no settings, a model of pydantic"
    lacking = [method for method in _METHODS if not callable(getattr(driver, method, None))]
    if lacking:
        return f"has no {', '.join(lacking)}"
    lax = next(
        (model for model in _models_in(settings, BaseModel) if model.model_config.get("extra") != "forbid"), None
    )
    return f'accepts unknown keys in {lax.__name__}, which needs `extra="forbid"`' if lax else ""


def _models_in(annotation: Any, base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the models of an annotation, and those of their fields."""
    waiting, seen = [annotation], set()
    while waiting:
        part = waiting.pop()
        waiting += get_args(part)
        if isinstance(part, type) and issubclass(part, base) and part not in seen:
            seen.add(part)
            yield part
            waiting += [field.annotation for field in part.model_fields.values()]
