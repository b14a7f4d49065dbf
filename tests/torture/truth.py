"""The judge of a case: the gateway's own state and the requests that it served, not the suite's output."""

from __future__ import annotations

import re
from dataclasses import replace

from rollout.journal.record import Decision, RolloutRecord
from rollout.journal.replay import replay
from tests.support.forks import Child
from tests.support.liar import Request
from tests.torture.support import NEVER_WROTE, Bench, Gateway, agrees, is_write

NEW = "openai:gpt-4o"
CODES = {Decision.KEPT: 0, Decision.ROLLED_BACK: 10, Decision.ROLLBACK_FAILED: 11}
"""The exit code that belongs to each decision."""


def id_of(run: Child) -> str:
    """Return the id of the rollout that a run works on; empty before it is printed."""
    found = re.search(r"(?m)^rollout: (\S+) \(", run.text)
    return found[1] if found else ""


def record_of(bench: Bench, rollout: str) -> RolloutRecord | None:
    """Return a rollout's record in the journal; None where the journal holds none."""
    entries = bench.entries(rollout)
    return replay(rollout, entries) if entries else None


def true_code(bench: Bench, code: int, *, may_not_know: bool = False) -> None:
    """Assert that the exit code agrees with the gateway's state.

    Args:
        bench: the case.
        code: the run's exit code.
        may_not_know: whether 11 is allowed in every state of the gateway, because the state could not be proven.
    """
    now, described = bench.look(), f"exit code {code}; {bench.state()['active']} is active\n{bench.output}"
    if code == 0:
        # Where reads lag, a canary may mistake its own weights for those that the activation left, and sends all there.
        agrees(bench, replace(now, weights={}) if now.weights == {NEW: 1.0} else now, is_kept=True)
        assert now.pending is None, f"kept, and a restart would bring {now.pending}"
        _served(bench, NEW if bench.shape.moves else bench.before.active)
    elif code == 10:
        assert not bench.before.against(now), f"{bench.before.against(now)}\n{described}"
        _served(bench, bench.before.active)
    elif code == 11:
        assert may_not_know, f"what can be shown is not shown: {described}"
    else:
        assert code in NEVER_WROTE, described
        assert not bench.before.against(now), f"{bench.before.against(now)}\n{described}"


def _served(bench: Bench, place: str) -> None:
    """Assert that a request was really answered by `place` since the last activation, or the last start."""
    state = bench.state()
    since = max((each["time"] for each in state["activations"]["last"]), default="")
    by = {f"{provider}:{model}" for at, provider, model, status in state["served"] if at >= since and status == 200}
    assert place in by, (
        f"since {since or 'the start'} only {by or 'no provider'} has served, not {place}\n{bench.output}"
    )


def undone(bench: Bench) -> None:
    """Assert that after the last forward write of each kind an undo of it was sent."""
    sent = [each for each in list(bench.liar.requests) if _is_ours(each)]
    for kind, forward in {"activation": _activates_new, "limits": _sets_new, "weights": _shifts}.items():
        there = [n for n, each in enumerate(sent) if forward(each)]
        if there:
            after = sent[there[-1] + 1 :]
            writes = [f"{each.method} {each.path}" for each in sent]
            assert any(_BACK[kind](each) for each in after), f"no undo of the {kind} was sent: {writes}\n{bench.output}"


def _is_ours(request: Request) -> bool:
    return is_write(f"{request.method} {request.path}") and not request.path.startswith("/twin/")


def _activates_new(request: Request) -> bool:
    return request.path.endswith("/openai/activate")


def _activates_old(request: Request) -> bool:
    return request.path.endswith("/activate") and not _activates_new(request)


def _sets_new(request: Request) -> bool:
    return request.path.endswith("/limits") and request.json["hard_limit_usd"] == 250


def _sets_old(request: Request) -> bool:
    return request.path.endswith("/limits") and not _sets_new(request)


def _shifts(request: Request) -> bool:
    return request.path.endswith("/weights") and NEW in request.json["weights"]


def _shifts_back(request: Request) -> bool:
    return _activates_old(request) or (request.path.endswith("/weights") and not _shifts(request))


_BACK = {"activation": _activates_old, "limits": _sets_old, "weights": _shifts_back}


def at_most_one_ending(bench: Bench) -> None:
    """Assert that no rollout of the journal has ended twice."""
    closed = [entry.rollout for entry in bench.entries() if entry.kind == "closed"]
    assert len(closed) == len(set(closed)), f"a rollout has two endings: {closed}\n{bench.output}"


def as_recorded(bench: Bench, code: int | None, rollout: str) -> None:
    """Assert that gateway, journal and exit code of the one rollout that there is agree.

    Args:
        bench: the case.
        code: the run's exit code; None where it was killed, or another process ended its rollout.
        rollout: its id; empty where it was never printed.
    """
    record, now = record_of(bench, rollout) if rollout else None, bench.look()
    if record is None or not record.wrote:
        assert not bench.before.against(now), f"{bench.before.against(now)}\n{bench.output}"
        assert code is None or code in NEVER_WROTE, f"exit code {code}, and nothing was written\n{bench.output}"
        return
    assert record.decision is not None, f"the verdict is not recorded\n{bench.output}"
    wanted = CODES.get(record.decision)
    assert code is None or code == wanted, f"exit code {code}, but {record.decision}\n{bench.output}"
    assert record.decision in {Decision.KEPT, Decision.ROLLED_BACK}, f"{record.closed}\n{bench.output}"
    agrees(bench, now, is_kept=record.decision is Decision.KEPT)


def is_back(bench: Bench, now: Gateway | None = None) -> bool:
    """Return whether the gateway is what it was before, and stays so after a restart."""
    return not bench.before.against(now or bench.look())
