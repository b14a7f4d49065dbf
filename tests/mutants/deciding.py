"""Defects in what decides what becomes of a rollout: closure, gates and claims."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

CLOSURE, DECISION = "rollout/engine/closure.py", "rollout/engine/decision.py"
RECORDS, ROLLBACK = "rollout/engine/closing_records.py", "rollout/engine/rollback_closure.py"
GATE, SESSION = "rollout/engine/gates.py", "rollout/engine/session.py"
DECIDES = "tests/engine/test_closure_decides.py"


MUTANTS: tuple[Mutant, ...] = (
    *of(
        CLOSURE,
        DECIDES,
        rows=(
            ("outcome.run != run:", "False:", "A pass of another run is no pass of this one."),
            ("elif not outcome.is_accepted:", "elif False:", "A clause that failed is not among those that passed."),
            (
                "    None: ExitCode.IN_PROGRESS,",
                "    None: ExitCode.KEPT,",
                "A run that was taken over is in progress until its successor has ended it.",
            ),
        ),
    ),
    *of(
        DECISION,
        DECIDES,
        rows=(
            (
                "if superseded or record.closed is not None:",
                "if superseded:",
                "A rollout that has ended is not ended again.",
            ),
            (
                "return superseded_closure(record, missing) if superseded else already_closed(record, missing)",
                "return already_closed(record, missing)",
                "A run that was taken over says so, with the code of its rollout.",
            ),
            (
                "if not record.wrote and not _is_in_effect_without_write(record, missing, phases):",
                "if not record.applied and not _is_in_effect_without_write(record, missing, phases):",
                "A write whose answer is not known is taken back, not left as nothing applied.",
            ),
            ("if missing or rollout.stop:", "if missing:", "A run that is asked to stop keeps nothing."),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = record.pauses and all(",
                "A run that is asked to stop in its window is taken back, not left in progress.",
            ),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = record.pauses and not rollout.stop and any(",
                "Another clause's failure is not left for a later slice of the window.",
            ),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = not rollout.stop and all(",
                "Only a window that was left in order goes on in a later call.",
            ),
            (
                "return _keep(rollout, record, env, lacking) if tuple(phases)[-1:] == PHASES[-1:] else",
                "return _keep(rollout, record, env, lacking) if phases else",
                "Only the last phase keeps; those before it hand over.",
            ),
            ("if record.closed is not None:", "if False:", "Without a journal an ending that is known still stands."),
            (
                "    if not record.wrote:",
                "    if True:",
                "Without a journal nothing was applied only if memory holds no write.",
            ),
            (
                "if not rollout.lease_runs():",
                "if rollout.lease is None:",
                "Without a journal and after its lease a run sends nothing.",
            ),
            (
                'missing = missing or {"closure": why}',
                "missing = missing or {}",
                "A phase whose verdict is on no disk has not passed.",
            ),
            (
                "failed = [phase for phase in PHASES if not _has_passed(record, phase)]",
                "failed = []",
                "Every phase has a pass in the journal before the change is kept.",
            ),
            (
                "return phase in record.phases and record.phases[phase].passed",
                "return phase in record.phases",
                "A phase that failed has not passed.",
            ),
            (
                "    if moved:",
                "    if False:",
                "What was changed outside since it was verified is not kept.",
            ),
            (
                "found = changed_since(rollout, backup) | no_longer_in_effect(rollout)",
                "found = no_longer_in_effect(rollout)",
                "An outside change beside ours keeps the change from being kept.",
            ),
            (
                "        return str(error)",
                '        return ""',
                "A gateway that does not answer at the end is not kept.",
            ),
            (
                "        rollout.end(spools=False, **closure.facts())",
                "        rollout.end(spools=True, **closure.facts())",
                "KEPT is on disk, or the change is taken back; it is never spooled.",
            ),
            (
                "        if not _is_kept_on_disk(rollout):",
                "        if True:",
                "KEPT that is on disk although its call failed is not taken back.",
            ),
            (
                "return record.decision is Decision.KEPT and rollout.lease is not None and",
                "return rollout.lease is not None and",
                "An open rollout is not kept because its journal answers again.",
            ),
            (
                "        return close_superseded(rollout, {})",
                "        return publish(rollout, closure, env)",
                "A run that is superseded while it keeps tells nobody that it kept.",
            ),
            (
                'return not missing and (_has_passed(record, "apply") or "apply" in phases)',
                "return not missing",
                "A precheck that passed is cleared, not in flight.",
            ),
            (
                '    if "apply" in phases:',
                "    if True:",
                "A precheck that failed leaves the rollout open for the next try.",
            ),
        ),
    ),
    *of(
        ROLLBACK,
        DECIDES,
        rows=(
            (
                "    if result.superseded:",
                "    if False:",
                "A rollback that was taken over leaves the ending to its successor.",
            ),
        ),
    ),
    *of(
        RECORDS,
        DECIDES,
        rows=(
            (
                "if lease is None or (stands.decision, stands.fence) != (Decision.KEPT, lease.token):",
                "if True:",
                "The journal does not go on saying KEPT of what this run has taken back.",
            ),
            (
                "    except (LeaseLost, LeaseHeld, AlreadyEnded):",
                "    except (LeaseHeld, AlreadyEnded):",
                "A run that is superseded at its ending says so and publishes nothing.",
            ),
            (
                'is_ours = rollout.lease is not None and body.get("fence") == rollout.lease.token',
                "is_ours = rollout.lease is not None",
                "What another process has ended is announced by that one.",
            ),
            (
                "or rollout.journal.entries(rollout.id, Kind.TRACES):",
                "or False:",
                "What was announced is not announced again.",
            ),
        ),
    ),
    *of(
        GATE,
        "tests/engine/test_gates.py",
        rows=(
            (
                "if record is None or not record.in_flight:",
                "if record is None or record.closed is not None:",
                "A new precheck waits only for what has written.",
            ),
            (
                "if record is None or not record.in_flight:",
                "if True:",
                "A new precheck waits while its content is in flight.",
            ),
            (
                "predecessor = PHASES[PHASES.index(phases[0]) - 1]",
                "predecessor = PHASES[0]",
                "A phase needs its own predecessor's pass.",
            ),
            ("    if record is None:", "    if False:", "A later phase needs a rollout of this very content."),
            (
                "if record.decision in (Decision.ROLLED_BACK, Decision.ROLLBACK_FAILED):",
                "if record.decision is Decision.ROLLED_BACK:",
                "No phase goes on after a rollback that failed.",
            ),
            (
                "if record.decision in (Decision.ROLLED_BACK, Decision.ROLLBACK_FAILED):",
                "if record.closed is not None:",
                "A change that was kept may be looked at again.",
            ),
            ("    if not verdict.passed:", "    if False:", "A phase that failed clears nothing."),
            ("    if age <= age_s:", "    if age < age_s:", "A clearance is valid up to the policy's age."),
            ("    if age <= age_s:", "    if True:", "A clearance expires."),
            (
                "min(len(passed), len(PHASES) - 1)",
                "max(len(passed) - 1, 0)",
                "People are sent to the phase that comes next.",
            ),
        ),
    ),
    *of(
        SESSION,
        "tests/engine/test_session.py",
        rows=(
            (
                "refuse_rivals(rivals) or gates.refusal((phase,), rollout.record(), rollout.digest)",
                "refusal((phase,), rollout.record(), rollout.digest)",
                "A target with another rollout in flight is not claimed.",
            ),
            (
                "refuse_rivals(rivals) or gates.refusal((phase,), rollout.record(), rollout.digest)",
                "refuse_rivals(rivals)",
                "The gate is asked again with the lease in hand.",
            ),
            (
                "rivals = gates.find_rivals(rollout)",
                "rivals = gates.others_here(rollout)",
                "A rollout that has ended is no rival.",
            ),
            (
                "    if record.closed is not None or not record.wrote:",
                "    if record.closed is not None:",
                "A run that wrote nothing gives the target back.",
            ),
            (
                "    if record.closed is not None or not record.wrote:",
                "    if True:",
                "A change in flight keeps its target.",
            ),
            (
                "hold(session.embedded, in_flight=record.in_flight)",
                "hold(session.embedded, in_flight=True)",
                "A gateway on demand ends when idle, unless a change is in flight there.",
            ),
            (
                'same = [record for record in in_flight if record.opened["digest"] == digest]',
                "same = in_flight",
                "Only this very content is continued.",
            ),
            (
                "latest = same[-1] if same else newest_record(journal, digest)",
                "latest = newest_record(journal, digest)",
                "What is in flight is continued before a later rollout that is not.",
            ),
            (
                "rivals = [r for r in in_flight if url is not None",
                "rivals = [r for r in same if url is not None",
                "Another content in flight on the target is waited for.",
            ),
            (
                "if latest is None or latest.decision is Decision.NOTHING_APPLIED:",
                "if latest is None:",
                "A rollout that ended with nothing applied is not continued.",
            ),
            (
                "(latest.closed is not None or _is_under_way(journal, latest))",
                "latest.closed is not None",
                "A run that is at it now is not joined.",
            ),
            (
                "(latest.closed is not None or _is_under_way(journal, latest))",
                "_is_under_way(journal, latest)",
                "A new precheck after an ending opens a new rollout.",
            ),
            (
                "if url is not None and r.opened",
                "if url is None or r.opened",
                "Two gateways on demand never meet.",
            ),
            (
                "    if in_flight:",
                "    if False:",
                "A copy of another host's journal with a change in flight is refused.",
            ),
            (
                'return phases[0] == "apply" and not record.wrote and record.closed is None',
                'return phases[0] == "apply" and record.closed is None',
                "A change that has begun goes on although its window has closed.",
            ),
            (
                "        keep_duties_apart(rollout)",
                "        pass",
                "Who wrote a change does not begin it in a run of their own.",
            ),
            (
                '**({"refused": True} if is_refused else {})',
                "**{}",
                "A run that is refused says so.",
            ),
        ),
    ),
    *of(
        GATE,
        "tests/engine/test_session.py",
        rows=(
            (
                'if any(write.result != "refused" and write.at >= began for write in other.writes):',
                "if any(write.at >= began for write in other.writes):",
                "A write that was refused crossed nobody.",
            ),
            (
                'if any(write.result != "refused" and write.at >= began for write in other.writes):',
                'if any(write.result != "refused" for write in other.writes):',
                "What was written before this run began crossed nobody.",
            ),
            (
                'lambda opened: opened["url"] == rollout.lease_target',
                "lambda _: True",
                "What is changed on another target is no rival.",
            ),
        ),
    ),
)
