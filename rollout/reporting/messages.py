"""The messages of a rollout: the verdict first, then why, then what the operator does now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollout.approvals.review import acknowledging
from rollout.context import RolloutContext
from rollout.core.clauses import is_document
from rollout.core.errors import JournalError
from rollout.core.scenario import Operator
from rollout.core.text import one_line
from rollout.gateway import manual_commands
from rollout.journal.record import RolloutRecord
from rollout.monitoring.verdict import show_span
from rollout.reporting.timings import effect_of, entries_of, moments, seconds
from rollout.reporting.window_end import describe_ending, describe_shares, what_it_could_tell

LONGEST_SUBJECT = 150
A_PERSON_IS_NEEDED = "A PERSON IS NEEDED"

Part = tuple[str, str]
"""The name of a line and its text; a line with an empty text is left out."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        subject: one line, the verdict first.
        body: plain text.
        gist: what the operations log has beside the subject, one line.
    """

    subject: str
    body: str
    gist: str = ""


def plan(rollout: RolloutContext) -> Message:
    """Return the message about a planned change, sent before anything is changed (PRE-4.2)."""
    scenario, record = rollout.scenario, rollout.last_known_record()
    names = ", ".join(dict.fromkeys(each.caller.name for each in record.implementers))
    run_by = f", run by {names}" if names else ""
    gist = f"by {scenario.author}, approved by {record.approvers}{run_by}, ticket {scenario.ticket}"
    message = _message(rollout, f"PLANNED: {_what(rollout)}", [*_intended(rollout), *_if_it_goes_wrong(rollout)])
    return replace(message, gist=gist)


def stand_by(rollout: RolloutContext, operator: Operator) -> Message:
    """Return the message to the rollback operator: that they stand by, and how they roll back (PRE-4.3)."""
    parts = [
        ("For", f"{operator.name}: you stand by to roll this change back, until it is closed"),
        ("Acknowledge", "" if rollout.policy.operator_ack_max_age_s is None else acknowledging(rollout)),
    ]
    return _message(
        rollout, f"YOU STAND BY: {_what(rollout)}", [*parts, *_if_it_goes_wrong(rollout), *_intended(rollout)]
    )


def verdict(
    rollout: RolloutContext,
    record: RolloutRecord,
    closed: Mapping[str, Any],
    next_step: str,
    undocumented: Sequence[str] = (),
) -> Message:
    """Return the message about the end of a rollout.

    Args:
        rollout: the rollout.
        record: the record of the rollout, read from the journal.
        closed: the closure's facts: word, why, rollback, commands, not_passed.
        next_step: what the operator does now.
        undocumented: which documents could not be written, and why.
    """
    commands = closed["commands"]
    parts = [
        ("Why", closed["why"]),
        ("Ended", describe_ending(record)),
        ("It could tell", what_it_could_tell(record)),
        *(describe_shares(record).items() if record.breach is None else ()),
        *(("NOT GREEN", exception) for exception in record.exceptions),
        *_rollback_parts(rollout, record, [row for row in closed["rollback"] if not is_document(row["clause"])]),
        ("NOT DOCUMENTED", "; ".join(undocumented)),
        *([] if commands else [("Next", next_step)]),
    ]
    return _message(rollout, f"{closed['word']}: {_what(rollout)}", parts, commands)


def emergency(rollout: RolloutContext, word: str, parts: Iterable[Part], commands: Sequence[str]) -> Message:
    """Return the message about an emergency: that the safe provider was activated, and how that ended (EMG-3)."""
    return _message(rollout, f"{word}: {_what(rollout)}", list(parts), commands)


def trouble(rollout: RolloutContext, word: str, why: str, commands: Sequence[str] = ()) -> Message:
    """Return the message about trouble during a rollout: an unavailable source, a change that is unattended."""
    return _message(rollout, f"{word}: {_what(rollout)}", [("Why", why)], commands)


def _message(rollout: RolloutContext, headline: str, parts: Sequence[Part], commands: Sequence[str] = ()) -> Message:
    text = rollout.redactor.text
    subject = one_line(text(headline))
    lines = [subject, ""]
    lines += [f"{name}: {one_line(text(words))}" for name, words in parts if words]
    if commands:
        # Each command is unaltered and on a line of its own: a command that is cut or joined does something else.
        lines += ["", f"{A_PERSON_IS_NEEDED}. Check the gateway, then run:", *map(text, reversed(commands))]
    lines += ["", *(f"{name}: {one_line(text(words))}" for name, words in _about(rollout) if words)]
    return Message(
        one_line(subject, LONGEST_SUBJECT),
        "\n".join(lines) + "\n",
        next((one_line(text(words)) for _, words in parts), ""),
    )


def _what(rollout: RolloutContext) -> str:
    return f"{rollout.change_text} on {rollout.target.name}"


def _intended(rollout: RolloutContext) -> Iterator[Part]:
    scenario = rollout.scenario
    record = rollout.last_known_record()
    if record.backup is not None:
        yield "Now", f"{record.previous} is active"
    if scenario.impact is not None:
        yield "Risk", scenario.impact.risk
        yield "Affects", scenario.impact.affects
        yield "Cost", scenario.impact.cost
    window = f"{show_span(scenario.monitor.window_s)}, at most {show_span(scenario.monitor.at_most_s)},"
    yield "Watched", f"for {window} once it is applied; at the first breach of a limit it is rolled back automatically"


def _if_it_goes_wrong(rollout: RolloutContext) -> Iterator[Part]:
    yield "To stop it", f"rollout abort {rollout.id} --reason='what you saw'"
    yield "In an emergency", manual_commands.emergency(rollout.target, rollout.origin) or ""


def _rollback_parts(
    rollout: RolloutContext, record: RolloutRecord, steps: Sequence[Mapping[str, Any]]
) -> Iterator[Part]:
    """Yield the state of the gateway, how long the rollback took, and what was not restored."""
    if not steps:
        return
    at = moments(record, entries_of(rollout))
    yield "Now", next((step["seen"] for step in steps if step["clause"] == "RBK-2.2"), "")
    yield "In effect", str(effect_of(record))
    took = seconds(at.decided, at.verified)
    if took is not None:
        yield "Rollback", f"verified {took:.1f} s after it was decided"
    failed = [f"{step['clause']} {step['step']}: {step['seen']}" for step in steps if step["outcome"] == "failed"]
    yield "Not restored or not proven", "; ".join(failed) or "nothing"


def _about(rollout: RolloutContext) -> Iterator[Part]:
    scenario, target, policy = rollout.scenario, rollout.target, rollout.policy
    record = rollout.last_known_record()
    yield "Target", f"{target.name} ({target.url}), policy {policy.name}"
    yield "Who", f"{scenario.author}, approved by {record.approvers}"
    yield "Run by", record.run_by
    if scenario.operator is not None:
        yield "Rollback operator", f"{scenario.operator.name} ({scenario.operator.contact})"
    ticket = scenario.ticket or ""
    link = policy.ticket_url.replace("{ticket}", ticket) if policy.ticket_url and ticket else ""
    yield "Ticket", f"{ticket} {link}".strip()
    yield "Rollout", rollout.id
    yield "Evidence", f"{rollout.folder} on {rollout.journal.host}"
    yield "Journal head", _head(rollout)


def _head(rollout: RolloutContext) -> str:
    """Return the journal's head, which `verify-journal --head` compares with the file, or why it cannot be read."""
    try:
        return rollout.journal.head_text()
    except JournalError as error:
        return f"cannot be read: {error}"
