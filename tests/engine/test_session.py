"""A run that shares its target with another rollout, and the rollout that a run continues."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.caller import Caller
from rollout.core.clauses import PHASES
from rollout.core.errors import JournalError, NotCleared, RolloutError, TryLater
from rollout.core.policy import Policy
from rollout.core.request import Request
from rollout.core.scenario import Scenario
from rollout.core.target import Target
from rollout.engine import session as sessions
from rollout.engine.gates import concurrent_rollout, find_rivals
from rollout.engine.policy_proof import _opened_before
from rollout.engine.session import Session, _earlier, acquire_target, at_home, finish
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, LeaseHeld
from rollout.journal.record import Decision, Kind
from tests.support.decisions import applied, passed, session_of
from tests.support.decisions import begun as at_work
from tests.support.reads import counted_reads
from tests.support.rollouts import NEW, rollout_in
from tests.support.services import COMMIT, github, job_of

PLACE = "http://127.0.0.1:1"


def begun(folder: Path) -> RolloutContext:
    """Return a rollout whose run has just begun."""
    rollout = rollout_in(folder)
    rollout.append(Kind.OPENED, url=PLACE, change="openai:gpt-4o")
    rollout.append(Kind.RUN, run=rollout.run, phases=["precheck"], pid=1)
    return rollout


def other_writes(rollout: RolloutContext, *, url: str = PLACE, result: str = "done") -> None:
    """Let another rollout write to the gateway at `url`."""
    opened = rollout.journal.append("r-2", Kind.OPENED, {"url": url, "change": "vllm:gemma"})
    body = {"step": "APP-1.2", "direction": "forward", "to": "vllm:gemma"}
    intent = rollout.journal.append("r-2", Kind.INTENT, body)
    assert intent.seq == opened.seq + 1
    rollout.journal.append("r-2", Kind.OUTCOME, {"intent": intent.seq, "result": result, "detail": ""})


def test_a_rival_that_wrote_meanwhile_is_named(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout)
    assert str(concurrent_rollout(rollout)) == "rollout r-2 (vllm:gemma) changed this target meanwhile; run it again"


def test_a_write_to_another_target_is_no_concurrent_change(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout, url="http://127.0.0.1:2")
    assert concurrent_rollout(rollout) is None


def test_a_write_that_was_refused_changed_nothing(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout, result="refused")
    assert concurrent_rollout(rollout) is None


def test_a_change_before_the_run_began_is_no_concurrent_change(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout)
    rollout.clock.wait(1)
    rollout.append(Kind.RUN, run="run-2", phases=["precheck"], pid=1)
    assert concurrent_rollout(rollout) is None


def test_a_journal_that_is_gone_names_no_rival(tmp_path: Path):
    """The closure of a failed run calls it, and must show that run's own reason."""
    rollout = begun(tmp_path)
    other_writes(rollout)
    (tmp_path / "journal.sqlite").unlink()
    (tmp_path / "journal.sqlite").mkdir()
    assert concurrent_rollout(rollout) is None


def test_a_rollout_that_was_rolled_back_while_the_run_began_gets_no_lease(tmp_path: Path):
    """A watchdog that acts at the deadline ends between a late call's first read and its lease."""
    rollout = begun(tmp_path)
    for phase in ("precheck", "apply", "verify"):
        rollout.append(Kind.PHASE, phase=phase, passed=True, problems=[], run=rollout.run)
    session = Session(
        rollout=rollout,
        phases=("monitor",),
        left_out={},
        plan=(),
        refusal=None,
        resumed=True,
        embedded=None,
        journal_url="",
        exchanges=[],
    )
    acquire_target(session, "monitor")
    rollout.release_lease()
    rollout.append(Kind.CLOSED, decision=Decision.ROLLED_BACK, why="watchdog")
    with pytest.raises(NotCleared, match=r"r-1 ended at .*: rolled back"):
        acquire_target(session, "monitor")
    assert rollout.lease is None
    assert rollout.journal.holder(rollout.lease_target) is None


# Who may change the target (safety rule 3)


def test_another_rollout_in_flight_there_is_not_joined(tmp_path: Path):
    rollout = begun(tmp_path)
    rollout.append(Kind.PHASE, phase="precheck", passed=True, problems=[], run=rollout.run)
    other_writes(rollout)
    with pytest.raises(TryLater, match=r"rollout r-2 \(vllm:gemma\) is in flight on this target"):
        acquire_target(session_of(rollout), "apply")
    assert rollout.lease is None
    assert rollout.journal.holder(rollout.lease_target) is None, "the lease is released"


@pytest.mark.parametrize("how", ["elsewhere", "closed"])
def test_another_rollout_that_is_not_in_flight_there_is_no_obstacle(tmp_path: Path, how: str):
    rollout = begun(tmp_path)
    rollout.append(Kind.PHASE, phase="precheck", passed=True, problems=[], run=rollout.run)
    other_writes(rollout, url="http://127.0.0.1:2" if how == "elsewhere" else PLACE)
    if how == "closed":
        rollout.journal.append("r-2", Kind.CLOSED, {"decision": "kept", "fence": 0})
    acquire_target(session_of(rollout), "apply")
    assert rollout.lease is not None


def test_a_lease_that_another_rollout_holds_is_waited_for(tmp_path: Path):
    rollout = begun(tmp_path)
    rollout.journal.acquire(rollout.lease_target, "r-2", "bob", LEASE_S)
    with pytest.raises(LeaseHeld):
        acquire_target(session_of(rollout), "apply")


def test_a_phase_without_its_predecessor_gets_no_lease(tmp_path: Path):
    rollout = begun(tmp_path)
    with pytest.raises(NotCleared, match="needs a passed precheck"):
        acquire_target(session_of(rollout), "apply")
    assert rollout.journal.holder(rollout.lease_target) is None


# Which rollout a run continues

REQUEST = Request(
    Scenario("s", "s.yaml", "t", (NEW,), author="alice"), Target("t", "sandbox", url=PLACE), Policy("sandbox")
)
EMBEDDED = Request(REQUEST.scenario, Target("t", "sandbox"), REQUEST.policy)
DIGEST = "d" * 64


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    return rollout_in(tmp_path).journal


def known(
    journal: Journal, id_: str = "r-1", *, digest: str = DIGEST, url: str = PLACE, state: str = "cleared"
) -> None:
    """Enter a rollout: ``under way``, ``blocked``, ``cleared``, ``in flight``, or how it was closed."""
    journal.append(id_, Kind.OPENED, {"digest": digest, "url": url, "change": "openai:gpt-4o"})
    if state == "opened":
        return
    journal.append(id_, Kind.RUN, {"run": "run-1", "phases": ["precheck"], "pid": 1})
    if state != "under way":
        body = {"phase": "precheck", "passed": state != "blocked", "problems": ["PRE-2.1"], "run": "run-1"}
        journal.append(id_, Kind.PHASE, body)
    if state in ("in flight", *Decision):
        journal.append(id_, Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "openai:gpt-4o"})
    if state in tuple(Decision):
        journal.append(id_, Kind.CLOSED, {"decision": state, "fence": 1})


def continued(journal: Journal, *phases: str, request: Request = REQUEST) -> tuple[str | None, type | None]:
    """Return the id of the rollout that a run of these phases continues, and how it is refused."""
    record, refusal = _earlier(journal, request, DIGEST, phases)
    return None if record is None else record.id, None if refusal is None else type(refusal)


def test_in_an_empty_journal_a_precheck_opens_a_rollout_and_nothing_else_may_begin(journal: Journal):
    assert continued(journal, "precheck") == (None, None)
    assert continued(journal, "apply") == (None, NotCleared)


@pytest.mark.parametrize(
    ("state", "precheck", "apply"),
    [
        ("blocked", ("r-1", None), ("r-1", NotCleared)),
        ("cleared", ("r-1", None), ("r-1", None)),
        ("under way", (None, None), ("r-1", NotCleared)),
        ("opened", (None, None), ("r-1", NotCleared)),
        ("in flight", ("r-1", TryLater), ("r-1", None)),
        (Decision.KEPT, (None, None), ("r-1", None)),
        (Decision.ROLLED_BACK, (None, None), ("r-1", NotCleared)),
        (Decision.ROLLBACK_FAILED, (None, None), ("r-1", NotCleared)),
        (Decision.NOTHING_APPLIED, (None, None), (None, None)),
    ],
)
def test_what_a_run_continues(journal: Journal, state: str, precheck: Any, apply: Any):
    known(journal, state=state)
    assert continued(journal, "precheck") == precheck
    assert continued(journal, *PHASES) == precheck
    assert continued(journal, "apply") == apply


def test_another_content_is_not_continued(journal: Journal):
    known(journal, digest="e" * 64)
    assert continued(journal, "apply") == (None, NotCleared)
    assert continued(journal, "precheck") == (None, None)


@pytest.mark.parametrize("phases", [("precheck",), ("apply",), PHASES])
def test_another_content_in_flight_on_the_target_is_waited_for(journal: Journal, phases: tuple[str, ...]):
    known(journal, "r-2", digest="e" * 64, state="in flight")
    known(journal, state="cleared")
    assert continued(journal, *phases)[1] is TryLater


def test_what_is_in_flight_elsewhere_is_no_rival(journal: Journal):
    known(journal, "r-2", digest="e" * 64, state="in flight", url="http://127.0.0.1:2")
    assert continued(journal, "precheck") == (None, None)
    known(journal, "r-3", digest="e" * 64, state="in flight")
    assert continued(journal, "precheck", request=EMBEDDED) == (None, None), "each embedded gateway is its own"


def test_the_one_in_flight_is_continued_before_a_later_one_that_is_not(journal: Journal):
    known(journal, "r-1", state="in flight")
    known(journal, "r-2", state="blocked")
    assert continued(journal, "verify")[0] == "r-1"


# A file that another host wrote


def moved(tmp_path: Path, state: str) -> Journal:
    """Return the journal of another host, as it is found here."""
    with Journal.open(str(tmp_path / "journal.sqlite"), clock=rollout_in(tmp_path).clock, host="there") as there:
        there.lock_host()
        known(there, state=state)
    return rollout_in(tmp_path).journal


def test_a_journal_of_another_host_with_a_change_in_flight_is_refused(tmp_path: Path):
    journal = moved(tmp_path, "in flight")
    with pytest.raises(JournalError, match="belongs to there, where r-1 is in flight"):
        at_home(journal)
    assert journal.foreign_host() == "there"


def test_a_journal_of_another_host_without_one_is_this_hosts_from_now_on(tmp_path: Path):
    journal = moved(tmp_path, "cleared")
    at_home(journal)
    assert journal.foreign_host() is None


# A long history


def test_the_start_of_a_run_reads_no_more_where_more_rollouts_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of this content or another one; in the file of another host, too."""
    monkeypatch.setattr(Journal, "foreign_host", lambda _: "there")
    rollout, digests = rollout_in(tmp_path), (DIGEST, "e" * 64, REQUEST.digest(PLACE))

    def start(journal: Journal) -> None:
        at_home(journal)
        assert find_rivals(rollout) == []
        earlier, _ = _earlier(journal, REQUEST, DIGEST, ("apply",))
        opened_before = _opened_before(str(tmp_path / "journal.sqlite"), REQUEST, rollout.clock)
        assert earlier.decision is opened_before.decision is Decision.KEPT

    known(rollout.journal, "r-2", digest=digests[2], state=Decision.KEPT)
    known(rollout.journal, "r-3", state=Decision.KEPT)
    few = counted_reads(rollout.journal, start)
    for number in range(30):
        known(rollout.journal, f"r-{number + 4}", digest=digests[number % 3], state=Decision.KEPT)

    assert counted_reads(rollout.journal, start) == few


# What a run leaves behind


@pytest.mark.parametrize(("state", "released"), [("precheck", True), ("closed", True), ("in flight", False)])
def test_a_run_releases_the_target_unless_its_change_is_in_flight(tmp_path: Path, state: str, released: bool):
    rollout = at_work(tmp_path) if state == "precheck" else applied(tmp_path)
    passed(rollout, "precheck")
    if state == "closed":
        rollout.end(spools=False, decision=Decision.KEPT, why="")
    finish(session_of(rollout))
    holder = rollout_in(tmp_path, clock=rollout.clock).journal.holder(rollout.lease_target)
    assert (holder is None) is released


@pytest.mark.parametrize(
    ("state", "done"),
    [("precheck", ["hold False"]), ("closed", ["stop"]), ("in flight", ["hold True"])],
)
def test_an_embedded_gateway_lives_as_long_as_its_rollout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, done: list[str]
):
    rollout = at_work(tmp_path) if state == "precheck" else applied(tmp_path)
    if state == "closed":
        rollout.end(spools=False, decision=Decision.KEPT, why="")
    seen: list[str] = []
    monkeypatch.setattr(sessions, "hold", lambda _gateway, in_flight: seen.append(f"hold {in_flight}"))
    monkeypatch.setattr(sessions, "stop", lambda _gateway: seen.append("stop"))
    finish(session_of(rollout, embedded=SimpleNamespace()))
    assert seen == done


def test_a_closed_window_keeps_a_change_from_beginning_and_not_from_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def closed(_rollout: RolloutContext) -> None:
        raise TryLater("the window is closed")

    monkeypatch.setattr(sessions, "keep_to_window", closed)
    rollout = at_work(tmp_path)
    refused = sessions._closed_window(rollout, ("apply",))
    assert isinstance(refused, RolloutError)
    assert sessions._closed_window(rollout, ("precheck",)) is None
    rollout = applied(tmp_path / "other")
    assert sessions._closed_window(rollout, ("apply",)) is None


# Who runs it


def test_who_wrote_the_change_does_not_begin_it_and_may_go_on_with_it(tmp_path: Path):
    """The phases after apply are recorded, and not refused."""
    policy = Policy("lab", review="named", separate_duties=True)
    rollout = at_work(tmp_path, env=github("alice"), policy=policy)
    refused = sessions._joined_duties(rollout, ("apply", "verify"))
    assert isinstance(refused, NotCleared)
    assert "alice, the implementer of this run, is also the author" in str(refused)
    assert sessions._joined_duties(rollout, ("precheck", "apply")) is None, "PRE-2.2 judges it"
    rollout.env = github("carol")
    assert sessions._joined_duties(rollout, ("apply",)) is None
    rollout = applied(tmp_path / "other", env=github("alice"), policy=policy)
    assert [sessions._joined_duties(rollout, (phase,)) for phase in ("apply", "verify", "monitor")] == [None] * 3


def test_a_run_leaves_who_ran_it_and_whether_it_was_refused(tmp_path: Path):
    rollout = at_work(tmp_path, env=github("carol"))
    sessions._journal_run(rollout, ("apply",), has_checks=True, is_refused=False)
    sessions._journal_run(rollout, ("apply",), has_checks=False, is_refused=True)
    allowed, refused = (entry.body for entry in rollout.journal.entries(rollout.id, Kind.RUN)[-2:])
    by = {"name": "carol", "service": "GitHub Actions", "job": job_of(), "commit": COMMIT}
    assert (allowed["by"], refused["by"]) == (by, by)
    assert (allowed.get("refused"), refused["refused"], refused["checks"]) == (None, True, False)
    (implementer,) = rollout.record().implementers
    assert (implementer.caller, implementer.phases) == (Caller(**by), ("apply",))
