"""What may happen to a rollout, as a journal: every end, with the kinds and keys that real runs write.

pen = tell(Tale(shape="failed", changes="all", seed=7))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from rollout.approvals.obligations import ObligationKind
from rollout.core.canonical_json import canonical, sha256
from rollout.core.clauses import PHASES
from rollout.core.clock import format_utc
from rollout.core.plan import left_out, plan
from rollout.core.policy import Policy
from rollout.core.scenario import Scenario
from rollout.core.target import Target
from rollout.engine.emergency import opening
from rollout.journal.record import Decision, Kind, What
from rollout.monitoring.window_state import JUDGE
from tests.support.bodies import SAFE, asked, backup, baseline, opened, order
from tests.support.clocks import BEGINNING
from tests.support.journals import NOW, Pen
from tests.support.rollouts import NEW, OLD

PROOF = {
    "RBK-2.2": f"the gateway reports {OLD} active",
    "RBK-4.1": f"a request was answered in 65 ms; the answer names {OLD.provider} and model {OLD.model}",
    "RBK-4.2": "ollama was connected 2 times in a row",
    "RBK-4.3": "the diff is empty",
}
NAMES = {
    "both": "the answer names openai and model gpt-4o",
    "provider": "the answer names openai and no model",
    "nobody": "the answer names no model and no provider; only openai's request counter shows the provider",
}
SHAPES = (
    *("nothing", "kept", "back", "failed", "hands off", "refused", "lost"),
    *("canary kept", "canary back", "single failed", "emergency", "emergency failed", "taken over", "superseded"),
)
CHANGES = ("provider", "environment", "limits", "all")


@dataclass(frozen=True, slots=True)
class Tale:
    """What happens in a journal.

    Attributes:
        shape: one of `SHAPES`.
        changes: one of `CHANGES`; a canary is of the provider.
        class_: the class of the change.
        slices: how many calls watch the window before the last one.
        excused: whether a clause is waived, and another one owed and settled.
        decides: what fails where something does: ``MON-2``, ``VER-2`` or ``MON-7``.
        unproven: the step of the proof that fails where the rollback fails.
        again: whether an operator starts another rollback afterwards, which is verified.
        names: whom VER-2's answer names.
        spooled: whether the rollback was written to the spool file, and reconciled at the end.
        set_back: whether the clock is set back two hours before the rollback.
        seed: of the dice for the time between two entries.
    """

    shape: str
    changes: str = "provider"
    class_: str = "normal"
    slices: int = 0
    excused: bool = False
    decides: str = "MON-2"
    unproven: str = "RBK-4.1"
    again: bool = False
    names: str = "both"
    spooled: bool = False
    set_back: bool = False
    seed: int = 0


def asked_of(tale: Tale) -> tuple[Scenario, Target, Policy]:
    """Return what a tale's rollout is asked."""
    return asked(*_key(tale), canary=_is_canary(tale))


def _key(tale: Tale) -> tuple[str, str]:
    return "provider" if _is_canary(tale) else tale.changes, tale.class_


def _is_canary(tale: Tale) -> bool:
    return tale.shape in ("canary kept", "canary back", "single failed")


# What happens


def tell(tale: Tale) -> Pen:
    """Return a tale's journal."""
    pen = Pen(tale.seed)
    if tale.shape in ("emergency", "emergency failed"):
        _emergency(pen, tale)
        return pen
    pen.write(Kind.OPENED, opened(*_key(tale), canary=_is_canary(tale)))
    _prechecked(pen, tale)
    if tale.shape == "nothing":
        _nothing_applied(pen, tale)
        return pen
    pen.armed()
    pen.clause("APP-0.1")
    pen.sends("APP-0.2", "proof", str(OLD), What.PROVIDER)
    pen.clause("APP-0.2")
    pen.write(Kind.COUNTERS, {"metrics": None, "fallbacks": 0})
    _after_the_proof(pen, tale)
    return pen


def _after_the_proof(pen: Pen, tale: Tale) -> None:
    match tale.shape:
        case "single failed":
            _single_request(pen, failed=True)
            _rolled_back(pen, tale, "CAN-1: the completion is empty")
        case "refused":
            pen.sends("APP-1.2", "forward", str(NEW), What.PROVIDER, "refused")
            pen.clause("APP-1.2", "failed", "refused")
            pen.phase("apply", {"APP-1.2": "refused"})
            _rolled_back(pen, tale, "APP-1.2: refused")
        case "lost":
            pen.sends("APP-1.2", "forward", str(NEW), What.PROVIDER, "unknown")
            pen.clause("APP-1.2", "failed", "no answer")
            pen.phase("apply", {"APP-1.2": "no answer"})
            _rolled_back(pen, tale, "APP-1.2: no answer")
        case "canary kept" | "canary back":
            _canary(pen, tale)
        case _:
            _applied(pen, tale)
            _ended(pen, tale)


def _prechecked(pen: Pen, tale: Tale) -> None:
    scenario, target, policy = asked_of(tale)
    pen.begins(*PHASES)
    pen.write(Kind.BACKUP, backup())
    failed = {"PRE-5.3": "a critical alert is firing"} if tale.shape == "nothing" else {}
    exceptions = {"PRE-4.1": ("waived", "WAIVED: outside"), "PRE-2.2": ("owed", "OWED: an approval")}
    for clause in plan(("precheck",), scenario, left_out(scenario, target, policy)):
        if clause.id in failed:
            pen.clause(clause.id, "failed", failed[clause.id])
        elif tale.excused and clause.id in exceptions:
            pen.clause(clause.id, *exceptions[clause.id])
        else:
            pen.clause(clause.id)
    notice = {"event": "planned", "channel": "MAIL", "accepted": not tale.excused, "detail": "said", "subject": "s"}
    pen.write(Kind.NOTIFIED, notice)
    pen.write(Kind.ALERTS, {"keys": []})
    pen.write(Kind.BASELINE, baseline())
    if tale.excused:
        pen.write(Kind.OWED, {"what": ObligationKind.APPROVAL, "due": "2026-11-30T12:00:00.000Z"})
    pen.phase("precheck", failed)


def _nothing_applied(pen: Pen, tale: Tale) -> None:
    why = "PRE-5.3: a critical alert is firing"
    pen.closes(Decision.NOTHING_APPLIED, "NOTHING APPLIED", why, not_passed={"PRE-5.3": "a critical alert is firing"})
    _documents(pen, tale)


_WAY_THERE = {
    "provider": (("APP-1.2", str(NEW), What.PROVIDER),),
    "environment": (("APP-2.1", ".env LOG_LEVEL", What.ENVIRONMENT), ("APP-2.2", "restart", What.RESTART)),
    "limits": (("APP-3.1", "cost limits of openai", What.LIMITS),),
}
_UNDO = {
    "provider": (("RBK-2.1", str(OLD), What.PROVIDER),),
    "environment": (("RBK-3.1", ".env", What.ENVIRONMENT), ("RBK-3.2", "restart", What.RESTART)),
    "limits": (("RBK-3.4", "cost limits of openai", What.LIMITS),),
}


def _kinds(tale: Tale) -> tuple[str, ...]:
    canary = tale.shape in ("canary kept", "canary back", "single failed", "refused", "lost")
    return ("provider",) if canary else CHANGES[:3] if tale.changes == "all" else (tale.changes,)


def _applied(pen: Pen, tale: Tale) -> None:
    pen.clause("APP-1.1")
    for kind in _kinds(tale):
        for step, to, what in _WAY_THERE[kind]:
            more = {"digest": "e" * 64} if what is What.ENVIRONMENT else {}
            pen.sends(step, "forward", to, what, **more)
            if what is What.RESTART:
                pen.write(Kind.RESTARTED, {"took_s": 0.1})
            pen.clause(step)
    pen.clause("APP-4.1")
    pen.phase("apply")


def _single_request(pen: Pen, *, failed: bool) -> None:
    pen.sends("CAN-1", "forward", str(NEW), What.PROVIDER)
    pen.sends("CAN-1", "back", str(OLD), What.PROVIDER)
    if failed:
        pen.clause("CAN-1", "failed", "the completion is empty")
        pen.phase("apply", {"CAN-1": "the completion is empty"})
    else:
        pen.clause("CAN-1", "passed", NAMES["both"], gone=NOW)


def _canary(pen: Pen, tale: Tale) -> None:
    _single_request(pen, failed=False)
    pen.phase("apply")
    pen.phase("verify")
    split = f"{NEW} 10%, {OLD} 90%"
    # The effect that counts from here on is the canary's own: the single request's is over.
    pen.sends("CAN-2.1", "forward", split, What.WEIGHTS, afresh=True)
    _window(pen, stage="CAN-2.1 10%", control_ms=[])
    if tale.shape == "canary back":
        _breached(pen, tale, stage="CAN-2.1 10%")
        return
    pen.sends("CAN-2.4", "forward", str(NEW), What.PROVIDER)
    _window(pen, stage="CAN-2.4 100%", control_ms=[])
    pen.phase("monitor")
    _kept(pen, tale)


def _verified(pen: Pen, tale: Tale) -> bool:
    """Write the checks of verify; return whether they passed."""
    pen.clause("VER-1")
    if tale.decides == "VER-2" and tale.shape != "kept":
        pen.clause("VER-2", "failed", "the completion is empty")
        pen.phase("verify", {"VER-2": "the completion is empty"})
        return False
    pen.clause("VER-2", "passed", NAMES[tale.names])
    if tale.names == "nobody":
        pen.write(Kind.FINDING, {"clause": "VER-2", "text": NAMES["nobody"]})
    pen.clause("VER-3")
    pen.clause("VER-4")
    pen.phase("verify")
    return True


def _ended(pen: Pen, tale: Tale) -> None:
    if tale.shape != "taken over" and not _verified(pen, tale):
        _rolled_back(pen, tale, "VER-2: the completion is empty")
        return
    if tale.shape == "superseded":
        # Another process has the newer token: nothing more comes of this one, and the successor rolls it back.
        pen.fence += 1
        _rolled_back(pen, tale, "recover: its lease has run out")
        return
    for number in range(tale.slices):
        _sliced(pen, first=number == 0)
    if tale.shape == "taken over":
        _window(pen)
        why = f"taken over by emergency e-1 (eve: fire), which went to {SAFE}"
        pen.fence += 1
        failed = any(kind != "provider" for kind in _kinds(tale))
        pen.closes(Decision.ROLLBACK_FAILED if failed else Decision.ROLLED_BACK, "TAKEN OVER", why, gone=not failed)
        return
    _window(pen)
    if tale.shape == "kept":
        pen.phase("monitor")
        _kept(pen, tale)
        return
    _breached(pen, tale)


def _window(pen: Pen, **stage: Any) -> None:
    pen.write(Kind.WINDOW, {"began_at": pen.now, "window_s": 9.0, "judge": JUDGE, "extends": True, **stage})
    for second, failed in ((0, 0), (4, 6), (8, 13)):
        sample = {"source": "metrics", "at_s": float(second), "at": pen.now, "took_s": 0.01}
        pen.write(Kind.SAMPLE, {**sample, "total": 100 + 20 * second, "failed": failed, "p95_ms": 60.0, "samples": 9})
        sample |= {"source": "synthetic", "ok": True, "latency_ms": 70.0, "provider": "openai", "model": "gpt-4o"}
        pen.write(Kind.SAMPLE, sample)


def _sliced(pen: Pen, *, first: bool) -> None:
    if first:
        pen.write(Kind.WINDOW, {"began_at": pen.now, "window_s": 9.0, "judge": JUDGE, "extends": True})
    left = {
        "left_s": 5.0,
        "extended_s": 0.0,
        "watched_s": 4.0,
        "at": pen.now,
        "memory": None,
        "quiet": {},
        "sources": ["status"],
    }
    pen.write(Kind.PAUSE, {**left, "standing": {"MON-1": "holding"}})
    pen.phase("monitor", {"MON-1": "IN PROGRESS: 5 s left"})
    pen.write(Kind.HANDOVER, {"deadline": format_utc(BEGINNING + timedelta(days=1))})
    pen.begins("monitor")
    pen.armed()


def _breached(pen: Pen, tale: Tale, **stage: str) -> None:
    if tale.decides == "MON-7":
        pen.write(Kind.ABORT, {"by": "carol", "reason": "looks bad"})
        _rolled_back(pen, tale, "MON-7: carol: looks bad")
        return
    message = "error rate 8.8 % is above 5 %"
    numbers = {"value": 0.088, "limit": 0.05, "samples": 147, "source": "users", "span": "the window's 8 s"}
    verdict = {"clause": "MON-2", "state": "breached", "message": message, "decided": True, "watched_s": 8.0}
    shares = {"interval": [0.05, 0.15], "effective_limit": None, "power": "", "undecided": False, "limit_share": None}
    pen.write(Kind.VERDICT, {**verdict, **numbers, **shares, "at": pen.now, **stage})
    _rolled_back(pen, tale, f"MON-2: {message}")


def _kept(pen: Pen, tale: Tale) -> None:
    pen.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")
    _documents(pen, tale)
    if tale.again:
        pen.fence += 1
        _roll_back(pen, tale, "carol: undo", verified=True)


def _rolled_back(pen: Pen, tale: Tale, why: str) -> None:
    if tale.set_back:
        pen.wait(-7200.0)
    failed = tale.shape in ("failed", "hands off")
    if tale.spooled:
        with pen.spooling():
            _roll_back(pen, tale, why, verified=not failed)
    else:
        _roll_back(pen, tale, why, verified=not failed)
    if failed and tale.again:
        pen.fence += 1
        _roll_back(pen, tale, "carol: once more", verified=True)


def _roll_back(pen: Pen, tale: Tale, why: str, *, verified: bool) -> None:
    changed_elsewhere = tale.shape == "hands off" and not verified
    pen.write(Kind.ROLLBACK, {"reason": why})
    rows = [pen.step("RBK-1.1", "groq:x is active", "failed" if changed_elsewhere else "passed")]
    if not changed_elsewhere:
        rows.append(pen.step("RBK-1.2", "no critical alert is firing"))
        rows += _undone(pen, tale)
        # The journal may be in reach again half-way: what waits is entered after what comes now.
        pen.is_spooling = pen.is_spooling and tale.seed % 2 == 0
    rows += _proven(pen, tale, verified=verified, changed_elsewhere=changed_elsewhere)
    rows.append(pen.step("RBK-5.1", why))
    rows.append(pen.step("RBK-5.3", "/nowhere/post-mortem.md"))
    facts = {"rollback": rows, "commands": [] if verified else ["curl -X POST http://x", "curl http://x"]}
    if verified:
        pen.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", why, **facts)
    else:
        missing = "; and the rollback is not verified: it failed"
        pen.closes(Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", why + missing, **facts)
    _documents(pen, tale)


def _undone(pen: Pen, tale: Tale) -> list[dict[str, Any]]:
    rows = []
    if tale.shape in ("single failed", "refused"):
        return [pen.step("RBK-2.1", f"{OLD} is active")]
    for kind in reversed(_kinds(tale)):
        for step, to, what in _UNDO[kind]:
            pen.sends(step, "back", to, what)
            rows.append(pen.step(step, "done"))
    return rows


def _proven(pen: Pen, tale: Tale, *, verified: bool, changed_elsewhere: bool) -> list[dict[str, Any]]:
    """Write the steps of the proof; the change is gone once those have passed that show it."""
    simple, rows, shown = _kinds(tale) == ("provider",), [], set()
    for clause, seen in PROOF.items():
        failed = not verified and (changed_elsewhere or clause == tale.unproven)
        if failed:
            rows.append(pen.step(clause, "not done" if changed_elsewhere else "not so", "failed"))
            continue
        shown.add(clause)
        shows = shown >= ({"RBK-2.2"} if simple else {"RBK-2.2", "RBK-4.3"})
        first = shows and pen.truth.since and not pen.truth.gone
        rows.append(pen.step(clause, seen, **({"gone": NOW} if first else {})))
    return rows


def _documents(pen: Pen, tale: Tale) -> None:
    pen.step("DOC-2", "/nowhere/operations.log")
    pen.step("DOC-3", "the journal's history holds it")
    pen.step("DOC-1", "/nowhere/change-record.json")
    if pen.truth.writes:
        traces = {"serving": None, "boot": None, "metrics": {}, "log": None, "errors": [], "lacking": {}}
        moments = {"at": pen.now, "review_from": pen.now, "log_file": None}
        pen.write(Kind.TRACES, {**traces, **moments})
        pen.write(Kind.OWED, {"what": ObligationKind.REVIEW, "due": "2026-12-06T12:00:00.000Z"})
        if tale.excused:
            pen.write(Kind.SETTLED, {"what": ObligationKind.REVIEW, "by": "bob"})


def _emergency(pen: Pen, tale: Tale) -> None:
    failed = tale.shape == "emergency failed"
    number: int | str = ""
    for kind, body in opening(order()):
        shown = {"writes": 1, "since": format_utc(BEGINNING)} if kind == Kind.INTENT else {}
        pen.truth, number = replace(pen.truth, **shown), sha256(canonical(body))[:12]
        pen.reconciled(kind, format_utc(BEGINNING), body, shown)
    result = "unknown" if failed else "done"
    landed = {} if failed else {"landed": True}
    pen.write(Kind.OUTCOME, {"intent": number, "result": result, "detail": ""}, **landed)
    if tale.excused:
        text = f"what was active could not be read in time; the entries of rollout r-0 say {OLD}"
        pen.write(Kind.FINDING, {"clause": "EMG-1", "text": text, "before": str(OLD)})
    pen.fence += 1
    if failed or tale.slices:
        pen.sends("EMG-1", "back", SAFE, What.PROVIDER, "unknown" if failed else "done")
    why = "it cannot be read" if failed else f"{SAFE} is active; a request was answered: the answer names vllm"
    pen.step("EMG-1", why, "failed" if failed else "passed")
    pen.step("EMG-2", "not needed")
    decision = Decision.ROLLBACK_FAILED if failed else Decision.KEPT
    word = "EMERGENCY NOT VERIFIED" if failed else "EMERGENCY DONE"
    pen.closes(decision, word, why, commands=["curl -X POST http://x"] if failed else [])
    pen.step("EMG-3", "notified: the operations log")
