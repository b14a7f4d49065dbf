"""The changes at a gateway that no rollout made: ``rollout status --reconcile``, which only reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rollout.changes import provider
from rollout.changes.backup import Backup, is_same_provider, recorded
from rollout.changes.catalogue import kind_of
from rollout.core.canonical_json import to_json
from rollout.core.clock import Clock
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.redaction import REDACTED, Redactor
from rollout.core.request import as_opened
from rollout.core.scenario import LimitChange, ProviderChange
from rollout.core.snapshot import GovernanceLimits
from rollout.core.target import Target
from rollout.engine.credentials import connect, learn_env_files, redactor_for
from rollout.engine.verification import moment
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import AuditEntry
from rollout.journal.record import Decision, RolloutRecord, What, Write

AUDIT_READ = 1000
"""How many of the gateway's latest audit entries are read."""

SKEW_S = 60.0
"""How many seconds the gateway's clock may differ from ours."""

# Actions that a gateway may record although they change nothing.
_READS = re.compile(r"test|preflight|check|health|read|view|list|get|login|export", re.IGNORECASE)
_KINDS = (("activat", What.PROVIDER), ("limit", What.LIMITS), ("weight", What.WEIGHTS), ("routing", What.WEIGHTS))


@dataclass(frozen=True, slots=True)
class Outside:
    """One change that no rollout made.

    Attributes:
        when: its time, UTC, or the two rollouts between which it was made.
        what: how the gateway differs, or the audit entry.
    """

    when: str
    what: str


@dataclass(slots=True)
class Reconciled:
    """The comparison of a gateway with the journal.

    Attributes:
        target: its name and URL.
        rollouts: how many rollouts of the target the journal holds.
        since: when the first of them was opened, UTC.
        outside: the changes that none of them made.
        unknown: what could not be compared, and why.
    """

    target: str
    rollouts: int
    since: str
    outside: list[Outside] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class State:
    """An observed or expected state of a gateway.

    Attributes:
        who: the rollout that read or left it, or ``now``.
        place: the active provider and model.
        config: the configuration, redacted; None where it is not known.
        limits: ``cost limits SCOPE`` -> its limits.
        free: the keys and limits that are not compared.
    """

    who: str
    place: ProviderChange
    config: Mapping[str, Any] | None = None
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()


def reconcile(records: Iterable[RolloutRecord], wanted: str, env: Mapping[str, str], clock: Clock) -> Reconciled:
    """Compare a gateway's present state and its audit log with every rollout of it.

    Args:
        records: the journal's rollouts, oldest first.
        wanted: the target's name, or its URL.
        env: the environment variables, for tokens.
        clock: the time.

    Raises:
        RolloutError: the journal holds no such target, or the gateway does not answer.
    """
    known = list(records)
    names = {(record.opened["target"]["name"], record.opened["url"]) for record in known}
    url = next((url for name, url in sorted(names, key=str) if wanted in (name, url)), None)
    if url is None:
        listed = ", ".join(sorted(f"{name} ({url})" for name, url in names)) or "none"
        raise RolloutError(f"no rollout of this journal went to {wanted!r}; it knows {listed}")
    there = [record for record in known if record.opened["url"] == url]
    request = as_opened(there[-1].opened)
    redactor = redactor_for(request, env)
    learn_env_files(redactor, request.target, there[-1])
    reconciled = Reconciled(f"{request.target.name} at {url}", len(there), there[0].opened_at)
    with closing(connect(request.target, env, clock=clock, redactor=redactor)) as gateway:
        left = _compare_rollouts(reconciled, there)
        if left is not None:
            reconciled.outside += _differences(left, _now(gateway, request.target, redactor), "now")
        _compare_audit_log(reconciled, there, request.target, gateway)
    reconciled.outside = [Outside(each.when, redactor.text(each.what)) for each in reconciled.outside]
    return reconciled


def text(reconciled: Reconciled) -> str:
    """Return the comparison as text for a terminal."""
    lines = [f"OUTSIDE  {each.when}: {each.what}" for each in reconciled.outside]
    lines.append(
        f"{len(reconciled.outside) or 'no'} change(s) outside of rollouts at {reconciled.target}; "
        f"{reconciled.rollouts} rollout(s) since {reconciled.since}"
    )
    return "\n".join([*lines, *(f"not known: {line}" for line in reconciled.unknown)]) + "\n"


def _compare_rollouts(reconciled: Reconciled, records: Sequence[RolloutRecord]) -> State | None:
    """Compare each rollout's backup with the state after the rollout before it.

    Returns:
        the state after the last rollout; None where it is not known.
    """
    left: State | None = None
    for record in records:
        if record.backup is not None:
            backup = recorded(record.backup)
            found = State(record.id, backup.previous, backup.config, _limits(backup))
            if left is not None:
                reconciled.outside += _differences(left, found, f"between {left.who} and {record.id}")
            left = found
        if record.in_flight or record.decision is Decision.ROLLBACK_FAILED:
            why = "is in flight" if record.in_flight else "could not be rolled back"
            reconciled.unknown.append(f"{record.id} {why}, so the state after it is not compared")
            left = None
        elif record.wrote:
            left = _left(record)
    return left


def _now(gateway: Gateway, target: Target, redactor: Redactor) -> State:
    now = gateway.snapshot()
    config = redactor.value(dict(now.config))
    return State("now", now.active, config, _limits(now.limits), _keys_of_a_place(target))


def _left(record: RolloutRecord) -> State | None:
    """Return the state after a closed rollout: its last writes over its backup; None where neither is known."""
    done = [write.to for write in record.writes if write.result == "done" and write.what is What.PROVIDER]
    last = ProviderChange.from_text(done[-1]) if done else None
    if record.backup is None:
        # An emergency saves only the active provider.
        return State(record.id, last) if last else None
    request, backup = as_opened(record.opened), recorded(record.backup)
    free, limits = _keys_of_a_place(request.target), _limits(backup)
    for change in request.scenario.changes if record.decision is Decision.KEPT else ():
        own: frozenset[str] = kind_of(change).own(request.target, change)
        if isinstance(change, LimitChange):
            limits |= {name: {**limits.get(name, {}), **change.values} for name in own}
        else:
            free |= own
    return State(record.id, last or backup.previous, backup.config, limits, free)


def _keys_of_a_place(target: Target) -> frozenset[str]:
    # The active provider and model are compared by their place, so these keys are not compared again.
    return provider.own(target, ProviderChange("", ""))


def _limits(of: Backup | GovernanceLimits) -> dict[str, Mapping[str, float]]:
    both = (("cost", of.cost_limits), ("rate", of.rate_limits))
    return {f"{kind} limits {scope}": to_json(values) for kind, limits in both for scope, values in limits.items()}


def _differences(before: State, now: State, when: str) -> Iterator[Outside]:
    if not is_same_provider(before.place, now.place):
        yield Outside(when, f"{now.place} is active; {before.who} left {before.place}")
    if before.config is None or now.config is None:
        return
    for one, other in ((before.config, now.config), (before.limits, now.limits)):
        for key in sorted((one.keys() | other.keys()) - before.free - now.free):
            was, is_ = one.get(key, "absent"), other.get(key, "absent")
            if was != is_ and REDACTED not in f"{was}{is_}":
                yield Outside(when, f"{key} is {_shown(is_)}; {before.who} left {_shown(was)}")


def _shown(value: Any) -> str:
    is_limit = isinstance(value, Mapping)
    return ", ".join(f"{name} {part:g}" for name, part in sorted(value.items())) if is_limit else str(value)


def _compare_audit_log(
    reconciled: Reconciled, records: Sequence[RolloutRecord], target: Target, gateway: Gateway
) -> None:
    """Match the gateway's audit log with the writes of the journal, one to one."""
    try:
        entries = sorted(gateway.audit(limit=AUDIT_READ), key=lambda entry: moment(entry.timestamp))
    except GatewayError as error:
        reconciled.unknown.append(f"what the gateway recorded: its audit log cannot be read ({error})")
        return
    since = datetime.fromisoformat(reconciled.since)
    if len(entries) >= AUDIT_READ:
        reconciled.unknown.append(
            f"what was recorded before {entries[0].timestamp}: no more than {AUDIT_READ} are read"
        )
    unused = [write for record in records for write in record.writes if write.result != "refused"]
    for entry in entries:
        is_change = entry.result.casefold() in ("success", "ok") and not _READS.search(entry.action)
        if not is_change or moment(entry.timestamp) < since:
            continue
        ours = next((write for write in unused if _is_of(entry, write, target)), None)
        if ours is None:
            reconciled.outside.append(Outside(entry.timestamp, _words(entry)))
        elif _kind(entry.action) is not None:
            unused.remove(ours)
    lost = [write for write in unused if write.result == "done" and write.what in (What.PROVIDER, What.LIMITS)]
    if lost:
        first = f"{lost[0].step} {lost[0].to} at {lost[0].at}"
        reconciled.unknown.append(
            f"what others changed and changed back: the gateway's audit log lacks {len(lost)} writes of the journal "
            f"(the first: {first}), so it keeps none of them, or a restart has lost them"
        )


def _is_of(entry: AuditEntry, write: Write, target: Target) -> bool:
    """Return whether an entry can record a write, by time, user, kind, provider and model."""
    apart = moment(entry.timestamp) - datetime.fromisoformat(write.at)
    latest = timedelta(seconds=SKEW_S + target.timeouts.activate_s)
    if not -timedelta(seconds=SKEW_S) <= apart <= latest:
        return False
    # A gateway may record no user (deviation 19).
    if entry.user.casefold() not in (target.user.casefold(), "unknown", ""):
        return False
    kind = _kind(entry.action)
    if kind is not What.PROVIDER or entry.provider is None:
        return kind in (None, write.what)
    name, _, model = write.to.partition(":")
    names = {name.casefold(), driver_of(target).reported_as(name).casefold()}
    return write.what is kind and entry.provider.casefold() in names and entry.details.get("model", model) == model


def _kind(action: str) -> What | None:
    return next((kind for word, kind in _KINDS if word in action.casefold()), None)


def _words(entry: AuditEntry) -> str:
    of = f" of {entry.provider}" if entry.provider else ""
    details = ", ".join(f"{name}={value}" for name, value in entry.details.items())
    return f"{entry.action}{of} by {entry.user or 'an unnamed user'} ({details or 'no details'}); no rollout wrote it"
