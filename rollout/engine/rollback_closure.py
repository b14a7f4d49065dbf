"""The closure of a change that is not kept: the rollback, the diagnosis, the post-mortem and the next step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rollout.changes.rollback import RolledBack, roll_back, table
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clauses import is_document
from rollout.core.errors import JournalError
from rollout.engine.closing_records import close_superseded, record_ending
from rollout.engine.closure import WORDS, Closure
from rollout.gateway.diagnosis import diagnose_provider, diagnosed
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind
from rollout.journal.spool import SPOOL
from rollout.monitoring.aggregates import BAD_STATUS
from rollout.monitoring.power import POWER
from rollout.reporting.documents import document, errors_seen, last_status, undocumented
from rollout.reporting.post_mortem import write_post_mortem
from rollout.reporting.window_end import what_it_could_tell

_OUT_OF_REACH = frozenset({"MON-1", "VER-1", "APP-1.1"})
"""Clauses whose failure means that the new provider is out of reach."""


def roll_back_and_close(
    rollout: RolloutContext, why: str, missing: Mapping[str, str], env: Mapping[str, str]
) -> Closure:
    """Roll back, close and record; the closure holds whatever fails.

    A process that is superseded meanwhile sends nothing more and leaves the ending to its successor.
    """
    try:
        result = roll_back(rollout, why)
    except LeaseLost:
        return close_superseded(rollout, missing)
    if result.superseded:
        return close_superseded(rollout, missing)
    _diagnose(rollout, why)
    steps = table(result.steps)
    documents: dict[str, Callable[[], str]] = {
        "RBK-5.2": lambda: "; ".join(map(str, errors_seen(rollout))) or "no error was seen",
        "RBK-5.3": lambda: str(write_post_mortem(rollout, why, steps)),
        "RBK-5.4": lambda: _describe_trail(rollout),
    }
    steps += [document(rollout, clause, work) for clause, work in documents.items()]
    failed = "; ".join(f"{step.clause} {step.message}" for step in result.steps if step.outcome == "failed")
    closure = Closure(
        result.decision,
        WORDS[result.decision],
        why if result.verified else f"{why}; and the rollback is not verified: {failed}",
        missing,
        _describe_next_step(rollout, result, steps),
        steps,
        result.commands,
        undocumented=undocumented(row for row in steps if is_document(row["clause"])),
    )
    return record_ending(rollout, closure, env)


def _diagnose(rollout: RolloutContext, why: str) -> None:
    """Diagnose a new provider that is out of reach, after the rollback; nothing depends on the result."""
    try:
        status = last_status(rollout)
        bad = status is not None and status.status.casefold() in BAD_STATUS
        if not bad and why.partition(":")[0] not in _OUT_OF_REACH:
            return
        provider = rollout.expected_active.provider
        seen = diagnose_provider(rollout.gateway.uninterruptible(), provider, status if bad else None, rollout.clock)
        found = diagnosed(provider, seen)
        if found is not None:
            rollout.append_or_spool(Kind.DIAGNOSIS, **to_json(found), text=found.text())
    except JournalError:
        return
    except Exception as error:  # noqa: BLE001 - a diagnosis that fails must not stop the closure, whatever it is
        rollout.append_or_spool(Kind.DIAGNOSIS, text=f"there is no diagnosis: {error!r}")


def _describe_trail(rollout: RolloutContext) -> str:
    """Return how many entries the journal holds.

    Raises:
        JournalError: the journal did not accept some, which are spooled.
    """
    held = f"{len(rollout.journal.entries(rollout.id))} entries in the journal"
    if rollout.unwritten:
        raise JournalError(f"{held}, and {len(rollout.unwritten)} that it did not take wait in {SPOOL}")
    return f"{held}, the closure follows"


def _describe_next_step(rollout: RolloutContext, result: RolledBack, steps: Sequence[Mapping[str, Any]]) -> str:
    if result.verified and any(row["clause"] == "RBK-5.3" and row["outcome"] == "failed" for row in steps):
        return f"the post-mortem could not be drafted, so read the report of the journal: rollout report {rollout.id}"
    if result.verified:
        read = f"read {rollout.folder / 'post-mortem.md'}"
        more = f"repeat it with a longer window, or with `synthetic: {{power: {POWER:g}}}` under `monitor:`"
        return f"{read}; or {more}" if what_it_could_tell(rollout.last_known_record()) else read
    return "A PERSON IS NEEDED. Check the gateway, then run: " + "  |  ".join(reversed(result.commands))
