"""The kind of a target, and the settings of its kind.

The settings of the default kind are fields of the target, whichever of two spellings the file has: below ``settings:``,
or directly in the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.config.schemas.targets import TargetSchema
from rollout.config.source import Source
from rollout.config.validation import fill_schema, validate_settings
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.request import EMBEDDED
from rollout.core.schemas.deviations import DeviationsSchema
from rollout.core.units import shown
from rollout.gateway.drivers.registry import load_driver


def read_kind(name: str, parsed: TargetSchema, source: Source) -> tuple[TargetSchema, dict[str, Any]]:
    """Return the target with the settings of the default kind among its keys, and the settings of any other kind.

    Args:
        name: the target's name.
        parsed: what the file says.
        source: the targets' file; what is wrong with kind and settings is refused there.
    """
    kind = parsed.kind or DEFAULT_KIND
    if kind == DEFAULT_KIND:
        return _with_deviations(name, parsed, source), {}
    _refuse_foreign(name, kind, parsed, source)
    driver = source.accept((name, "kind"), load_driver, kind)
    if driver is None:
        return parsed, {}
    return parsed, validate_settings(driver.settings, parsed.settings or {}, source, (name, "settings"))


def _with_deviations(name: str, parsed: TargetSchema, source: Source) -> TargetSchema:
    """Return the target with the deviations that stand below ``settings:`` in their former places."""
    if parsed.settings is None:
        return parsed
    for key in _stated(parsed):
        if key in parsed.settings:
            line = source.lines.get((name, key))
            source.refuse(
                (name, "settings", key), f"stands directly in the target, too, in line {line}; keep one of the two"
            )
    below = fill_schema(DeviationsSchema, parsed.settings, source, (name, "settings"))
    return parsed.model_copy(update={key: getattr(below, key) for key in below.model_fields_set})


def _refuse_foreign(name: str, kind: str, parsed: TargetSchema, source: Source) -> None:
    """Refuse what only the default kind has: its settings, and the embedded gateway."""
    for key in _stated(parsed):
        source.refuse(
            (name, key),
            f"is a setting of kind {DEFAULT_KIND}, and this target is of kind {shown(kind)}, whose settings stand "
            "below `settings:`; remove it",
        )
    if parsed.embedded or name == EMBEDDED:
        source.refuse((name, "kind"), f"the embedded gateway is of kind {DEFAULT_KIND}; remove `kind:` or `embedded:`")


def _stated(parsed: TargetSchema) -> Iterator[str]:
    """Yield the settings of the default kind that stand directly in the target."""
    return (key for key in DeviationsSchema.model_fields if key in parsed.model_fields_set)
