"""Setting governance limits (APP-3, RBK-3.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from rollout.changes import executor
from rollout.changes.backup import Backup, differences, recorded
from rollout.changes.read_back import require_shown
from rollout.context import RolloutContext
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import LimitChange
from rollout.core.schemas.validators import suggest
from rollout.core.snapshot import GovernanceLimits
from rollout.core.target import Target
from rollout.core.wishes import SetLimit
from rollout.gateway.client import Gateway
from rollout.journal.record import What, Write


def in_effect(rollout: RolloutContext, change: LimitChange) -> bool:
    """Return whether governance status shows exactly these limits.

    Raises:
        GatewayError: it cannot be read.
    """
    return _is(_here(rollout.gateway, change), change.values)


def own(_target: Target, change: LimitChange) -> frozenset[str]:
    """Return the limits that the change may move, as differences from the backup name them."""
    return frozenset({f"{change.kind} limits {change.reported_scope}"})


def steps(rollout: RolloutContext, change: LimitChange) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps: set the limit, and see that it and no other changed."""
    yield "APP-3.1", lambda: _set(rollout, change)
    yield "APP-3.2", lambda: _verify(rollout, change)


def by_name(of: Backup | GovernanceLimits) -> dict[str, LimitChange]:
    """Return limits by their names, such as ``cost provider:openai``, each as the change that sets it again.

    A call asks for ``openai`` where the gateway reports ``provider:openai`` (deviation 20).
    """
    return {
        f"{kind} {scope}": LimitChange(kind, _asked(scope), values)
        for kind, limits in (("cost", of.cost_limits), ("rate", of.rate_limits))
        for scope, values in limits.items()
    }


def moved(gateway: Gateway, backup: Backup) -> frozenset[str]:
    """Return the limits of the backup, as ``cost global``, that are not as they were.

    Raises:
        GatewayError: they cannot be read.
    """
    now = by_name(gateway.limits())
    return frozenset(name for name, limit in by_name(backup).items() if not _is(now.get(name), limit.values))


def restore(rollout: RolloutContext, gateway: Gateway, backup: Backup, *, lost: Collection[str] | None) -> str:
    """Restore limits from the backup: those of this rollout, and those that a restart lost (RBK-3.4).

    Limits that were changed outside this rollout are not overwritten.

    Args:
        rollout: the rollout whose limits are restored.
        gateway: its gateway.
        backup: the limits before the change.
        lost: those that this rollout's restart has lost; None where that is unknown: then all of them are restored.

    Raises:
        GatewayError: one could not be set, or a scope has limits now that had none and cannot lose them.
        RolloutError: limits that this rollout has set were changed since.
    """
    ours, to_undo = {_named(change) for change in _changes(rollout)}, _limits_to_undo(rollout)
    before, now = by_name(backup), by_name(gateway.limits())
    sent, foreign = [], []
    for name, saved in before.items():
        if _is(now.get(name), saved.values) and name not in to_undo:
            continue
        if _is_foreign(rollout, name, saved.values, _values(now.get(name))):
            foreign.append(name)
        elif name in to_undo or lost is None or name in lost or name in ours or name not in now:
            _send(rollout, gateway, saved, step="RBK-3.4", direction="back")
            sent.append(name)
    stuck = [
        name
        for change in _changes(rollout)
        if (name := _named(change)) not in before
        if name in now or _is_confirmed(rollout, change)
    ]
    _refuse_foreign(foreign)
    _refuse_stuck(stuck)
    return f"put back: {', '.join(sent)}" if sent else "they are as they were"


def _limits_to_undo(rollout: RolloutContext) -> frozenset[str]:
    """Return the limits, as ``cost provider:openai``, that this rollout has set and that only a write undoes (rule 9).

    Reads may lag behind the write, so a read without the effect does not prove that there is none.
    """
    written = rollout.last_known_record().to_undo(What.LIMITS)
    return frozenset(_named(change) for change in _changes(rollout) if any(_is_of(write, change) for write in written))


def _is_of(write: Write, change: LimitChange) -> bool:
    """Return whether a write sets the limits that a change sets; a provider's scope has two names (deviation 20)."""
    return write.to.replace(" of provider:", " of ") == str(change).replace(" of provider:", " of ")


def _is_confirmed(rollout: RolloutContext, change: LimitChange) -> bool:
    """Return whether the gateway has confirmed these limits, and no write has undone them: a read may lag."""
    return any(
        write.result == "done" for write in rollout.last_known_record().to_undo(What.LIMITS) if _is_of(write, change)
    )


def undo(rollout: RolloutContext, gateway: Gateway, backup: Backup, change: LimitChange) -> str:
    """Restore the limits of one change from the backup (RBK-3.4).

    Raises:
        GatewayError: they could not be set, or the scope has limits now that had none and cannot lose them.
    """
    named, before = _named(change), by_name(backup).get(_named(change))
    to_undo = named in _limits_to_undo(rollout)
    try:
        here = _here(gateway, change)
    except GatewayError:
        if before is None or not to_undo:
            raise
        # What was written is undone by a write, whether it can be read or not (safety rule 9).
        here = before
    if before is None:
        _refuse_stuck([named] if _values(here) or _is_confirmed(rollout, change) else [])
        return f"{named} never came to be"
    if _is(here, before.values) and not to_undo:
        return f"{named} is as it was"
    _refuse_foreign([named] if _is_foreign(rollout, named, before.values, _values(here)) else [])
    _send(rollout, gateway, replace(change, values=before.values), step="RBK-3.4", direction="back")
    return f"put back: {named}"


def put_back_lost(rollout: RolloutContext) -> str:
    """Set the limits again that this rollout's restart has lost: those of the backup, and those set by earlier changes.

    Returns:
        what was put back; empty if nothing was lost.

    Raises:
        GatewayError: they cannot be read, or one could not be set.
    """
    record = rollout.record()
    set_by_us = {write.to for write in record.writes if write.step == "APP-3.1" and write.result == "done"}
    wanted = by_name(recorded(record.backup))
    for change in _changes(rollout):
        if str(change) in set_by_us:
            saved = wanted.get(_named(change))
            # The values that the change leaves out stay as they were saved.
            wanted[_named(change)] = replace(change, values={**(saved.values if saved else {}), **change.values})
    in_order = dict(sorted(wanted.items(), key=lambda item: item[1].kind))
    sent = put_back(rollout, rollout.gateway, in_order, step="APP-2.4", direction="forward")
    return f"the restart lost limits, which were put back: {', '.join(sent)}" if sent else ""


def put_back(
    rollout: RolloutContext, gateway: Gateway, before: Mapping[str, LimitChange], *, step: str, direction: str
) -> list[str]:
    """Set every limit again that is not as it was in `before`, and return their names: what a restart may lose.

    Raises:
        GatewayError: they cannot be read, or one could not be set.
    """
    now = by_name(gateway.limits())
    lost = [name for name, limit in before.items() if not _is(now.get(name), limit.values)]
    for name in lost:
        _send(rollout, gateway, before[name], step=step, direction=direction)
    return lost


def _is(here: LimitChange | None, wanted: Mapping[str, float]) -> bool:
    return all(_values(here).get(name) == value for name, value in wanted.items())


def _values(limit: LimitChange | None) -> Mapping[str, float]:
    return limit.values if limit else {}


def _is_foreign(rollout: RolloutContext, named: str, before: Mapping[str, float], here: Mapping[str, float]) -> bool:
    """Return whether limits of this rollout are neither as in the backup nor as this rollout set them."""
    ours = [change.values for change in _changes(rollout) if _named(change) == named]
    known = [before, *ours]
    return bool(ours) and any(
        value not in [values.get(name) for values in known] for name, value in here.items() if name in before
    )


def _refuse_foreign(foreign: list[str]) -> None:
    if foreign:
        raise RolloutError(f"{', '.join(foreign)} limits were changed since, and are not overwritten; compare them")


def _named(change: LimitChange) -> str:
    return f"{change.kind} {change.reported_scope}"


def _refuse_stuck(stuck: list[str]) -> None:
    if stuck:
        raise GatewayError(
            "POST governance/limits",
            f"{', '.join(sorted(stuck))} had no limits before, and the gateway cannot take limits away; "
            "remove them in its configuration",
        )


def all_for_good(rollout: RolloutContext, backup: Backup) -> list[str]:
    """Return that a limit could not be removed again, for each whose scope has none now (deviation 15)."""
    return [
        f"{change.reported_scope} has no {change.kind} limits now, and the gateway cannot take limits away again"
        for change in _changes(rollout)
        if _named(change) not in by_name(backup)
    ]


def unknown_scopes(rollout: RolloutContext, providers: Sequence[str]) -> list[str]:
    """Return, for every limit of the scenario whose scope is neither global nor a provider, the message.

    Only the gateway knows its providers, so no file can be refused for it: the precheck is the first to know.
    """
    known = ("global", *providers)
    return [
        f"the gateway knows no scope {change.scope!r} for {change.kind} limits; "
        f"{suggest(_asked(change.scope), known)}it knows {', '.join(known)}"
        for change in _changes(rollout)
        if _asked(change.scope).casefold() not in {name.casefold() for name in known}
    ]


def _set(rollout: RolloutContext, change: LimitChange) -> str:
    if in_effect(rollout, change):
        return "in effect already; nothing was sent"
    _send(rollout, rollout.gateway, change, step="APP-3.1", direction="forward")
    return ", ".join(f"{name} = {value:g}" for name, value in change.values.items())


def _send(rollout: RolloutContext, gateway: Gateway, change: LimitChange, *, step: str, direction: str) -> None:
    wish = SetLimit(change.kind, change.scope, change.values)
    executor.send(rollout, gateway, wish, step=step, direction=direction, to=str(change), what=What.LIMITS)


def _verify(rollout: RolloutContext, change: LimitChange) -> str:
    require_shown(rollout, "GET governance/status", lambda: _otherwise(rollout, change))
    ours = {name for other in _changes(rollout) for name in own(rollout.target, other)}
    found = differences(recorded(rollout.record().backup), rollout.gateway, rollout.redactor.value)
    moved = sorted(name for name in found.keys() - ours if " limits " in name)
    if moved:
        raise GatewayError("GET governance/status", f"other limits changed too: {', '.join(moved)}")
    return "governance status shows them, and no other limit changed"


def _otherwise(rollout: RolloutContext, change: LimitChange) -> str:
    now = _here(rollout.gateway, change)
    return "" if _is(now, change.values) else f"{change} are {dict(_values(now))} instead of {dict(change.values)}"


def _here(gateway: Gateway, change: LimitChange) -> LimitChange | None:
    return by_name(gateway.limits()).get(_named(change))


def _changes(rollout: RolloutContext) -> list[LimitChange]:
    return [change for change in rollout.scenario.changes if isinstance(change, LimitChange)]


def _asked(scope: str) -> str:
    """Return the scope as a call asks for it: the gateway reports ``provider:openai`` for ``openai`` (deviation 20)."""
    return scope.removeprefix("provider:")
