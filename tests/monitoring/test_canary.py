"""A canary on the clock of the tests: the whole schedule, in one piece and in slices, and a breach in each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.changes import canary
from rollout.changes.backup import recorded
from rollout.changes.catalogue import changed_since
from rollout.changes.rollback import roll_back
from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage, stages
from rollout.core.errors import GatewayError, JournalError, Refused, RolloutError
from rollout.core.scenario import Canary, ProviderChange
from rollout.gateway.responses import Completion, Connection
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind
from rollout.monitoring.verdict import State
from rollout.monitoring.window_outcome import IN_PROGRESS, Window
from rollout.monitoring.window_result import WindowResult
from rollout.reporting.html.story import _window
from tests.support.canaries import NEW, OLD, TARGET, CanaryLab

pytestmark = pytest.mark.usefixtures("polls_in_place")

TENTH = {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}
QUARTER = {"openai:gpt-4o": 0.25, "ollama:gemma3:4b": 0.75}
HALF = {"openai:gpt-4o": 0.5, "ollama:gemma3:4b": 0.5}
RISING = [f"PUT {TENTH}", f"PUT {QUARTER}", f"PUT {HALF}", f"POST {NEW}"]
HOUR_S = 3600.0


@pytest.fixture
def lab(in_memory: Path) -> Iterator[CanaryLab]:
    lab = CanaryLab(in_memory)
    with lab.rollout.journal:
        yield lab


def words(lab: CanaryLab) -> list[str]:
    """Return what was written, without the rollback."""
    return [what for what in lab.gateway.writes if what in RISING]


def outcomes(watched: WindowResult) -> list[str]:
    return [stage.outcome for stage in watched.stages]


HELD = ["held"] * 5
# 32 hours at the default paces are 38,000 entries: a minute of the processor's time.
PACES = dict.fromkeys(("metrics_every_s", "alerts_every_s", "way_back_every_s", "synthetic_every_s"), 300.0)


@pytest.mark.parametrize("slice_s", [None, 5 * HOUR_S])
def test_the_procedures_schedule_of_32_hours_passes_in_one_piece_and_in_slices(
    in_memory: Path, slice_s: float | None
) -> None:
    lab = CanaryLab(in_memory, Canary(), **PACES)
    with lab.rollout.journal:
        calls = 1
        while (watched := lab.watch(slice_s)).left_s:
            calls += 1
            assert Window(watched, _raise).watched.left_s == pytest.approx(32 * HOUR_S - lab.clock.monotonic(), abs=301)
        assert calls == (1 if slice_s is None else 7)
        assert watched.passed
        assert watched.watched_s == pytest.approx(32 * HOUR_S, abs=301)
        assert lab.gateway.writes == RISING, "each share once, and none again"
        assert [(stage.clause, stage.outcome) for stage in watched.stages] == [
            ("CAN-2.1", "held"),
            ("CAN-2.2", "held"),
            ("CAN-2.3", "held"),
            ("CAN-2.4", "held"),
            ("CAN-3", "held"),
        ]
        began = [entry.body["stage"] for entry in lab.rollout.journal.entries("r-1", Kind.WINDOW)]
        assert began == [stage.name for stage in stages(lab.rollout.scenario)]
        assert lab.gateway.active == NEW
        assert not changed_since(lab.rollout, recorded(lab.rollout.record().backup)), "kept: nothing else has changed"


def _raise(why: str) -> None:
    raise AssertionError(why)


def test_each_share_is_announced_before_it_is_set_and_read_back_after_it(lab: CanaryLab) -> None:
    assert lab.watch().passed
    assert lab.intents() == [
        ("CAN-2.1", "forward", "openai:gpt-4o 10%, ollama:gemma3:4b 90%", "done"),
        ("CAN-2.2", "forward", "openai:gpt-4o 25%, ollama:gemma3:4b 75%", "done"),
        ("CAN-2.3", "forward", "openai:gpt-4o 50%, ollama:gemma3:4b 50%", "done"),
        ("CAN-2.4", "forward", "openai:gpt-4o", "done"),
    ]


def test_a_gateway_that_keeps_weights_over_an_activation_is_given_all_of_them(lab: CanaryLab) -> None:
    lab.gateway.clears = False
    watched = lab.watch()
    assert watched.passed
    assert lab.gateway.writes == [*RISING, "PUT {'openai:gpt-4o': 1.0}"]
    assert not changed_since(lab.rollout, recorded(lab.rollout.record().backup))
    assert lab.take_back().verified
    assert (lab.gateway.active, lab.gateway.shares) == (OLD, {})


# Stage by stage: seconds from the beginning at which the new provider fails


@pytest.mark.parametrize(
    ("dies_at_s", "stage", "share"),
    [(300, 0, 0.1), (900, 1, 0.25), (1500, 2, 0.5), (2100, 3, 1.0), (2700, 4, 1.0)],
)
@pytest.mark.parametrize("slice_s", [None, 400.0])
def test_a_breach_in_any_stage_ends_it_and_everything_goes_back(
    lab: CanaryLab, dies_at_s: float, stage: int, share: float, slice_s: float | None
) -> None:
    lab.clock.later(dies_at_s, lambda: lab.gateway.fails.update(openai=1.0))
    while (watched := lab.watch(slice_s)).left_s:
        pass
    assert watched.breach is not None
    assert watched.breach.clause in ("MON-2", "MON-5")
    assert lab.clock.monotonic() - dies_at_s <= 120, "acted on within the stage, not at its end"
    assert outcomes(watched) == [*["held"] * stage, "failed", *["not reached"] * (4 - stage)]
    assert lab.gateway.share("openai") == share, "watching does not roll back by itself"
    result = lab.take_back()
    assert result.verified, result.steps
    assert (lab.gateway.share("openai"), lab.gateway.shares, lab.gateway.active) == (0.0, {}, OLD)


def test_a_breach_goes_back_to_nothing_by_one_call_while_the_previous_one_is_active(lab: CanaryLab) -> None:
    lab.clock.later(300, lambda: lab.gateway.fails.update(openai=1.0))
    lab.watch()
    lab.take_back()
    assert lab.gateway.writes == [f"PUT {TENTH}", "PUT {}"]
    assert lab.intents()[-1] == ("RBK-2.1", "back", "no weights", "done")


def test_a_stage_that_cannot_be_judged_is_not_passed_and_no_share_rises(lab: CanaryLab) -> None:
    """Too few requests in the stage: no data is not a pass, and waiting longer at the next share is no answer."""
    lab.rollout.scenario = replace(
        lab.rollout.scenario, monitor=replace(lab.rollout.scenario.monitor, min_requests=10_000, min_samples=10_000)
    )
    watched = lab.watch()
    assert watched.breach is None
    assert not watched.passed
    assert outcomes(watched) == ["failed", *["not reached"] * 4]
    assert "MON-2 is inconclusive" in watched.stages[0].message
    assert lab.gateway.writes == [f"PUT {TENTH}"]


# Between two calls


def test_a_provider_that_died_between_two_calls_is_found_before_the_share_rises(lab: CanaryLab) -> None:
    """The call ended exactly with the stage: the next call polls every source again before the next stage."""
    assert outcomes(lab.watch(600)) == ["in progress", *["not reached"] * 4]
    lab.clock.advance(300)
    lab.gateway.connection["openai"] = Connection("offline", "gone")
    watched = lab.watch(600)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-1"
    assert lab.gateway.writes == [f"PUT {TENTH}"]


def test_an_abort_between_two_stages_is_heard_before_the_share_rises(lab: CanaryLab) -> None:
    lab.watch(600)
    lab.rollout.append(Kind.ABORT, by="carol", reason="users complain")
    watched = lab.watch(600)
    assert watched.breach is not None
    assert "users complain" in watched.breach.message
    assert lab.gateway.writes == [f"PUT {TENTH}"]


def test_after_a_request_to_stop_the_share_does_not_rise(lab: CanaryLab) -> None:
    lab.clock.later(600, lambda: lab.rollout.stop.set("SIGTERM"))
    watched = lab.watch()
    assert watched.interrupted == "SIGTERM"
    assert lab.gateway.writes == [f"PUT {TENTH}"]


def test_a_stage_that_is_in_effect_is_recognised_and_nothing_is_sent_again(lab: CanaryLab) -> None:
    for _ in range(3):
        lab.watch(100)
    assert lab.gateway.writes == [f"PUT {TENTH}"]
    assert canary.enter(lab.rollout, stages(lab.rollout.scenario)[0]).endswith("in effect already; nothing was sent")
    assert len(lab.rollout.record().writes) == 1


def test_what_is_left_speaks_of_all_stages(lab: CanaryLab) -> None:
    watched = lab.watch(700)
    assert watched.left_s == 3300 - 700
    assert watched.watched_s == 700
    assert lab.rollout.record().pauses[-1]["left_s"] == 3300 - 700
    assert outcomes(watched) == ["held", "in progress", *["not reached"] * 3]
    reasons: list[str] = []
    window = Window(watched, reasons.append)
    assert window.stage("CAN-2.1").outcome == "held"
    window.stage("CAN-2.2")
    window.stage("CAN-2.3")
    assert [word.startswith(IN_PROGRESS) for word in reasons] == [True, True]


def test_weights_that_were_changed_elsewhere_end_the_canary_and_are_not_overwritten(lab: CanaryLab) -> None:
    lab.watch(100)
    lab.gateway.shares = {"vllm:x": 1.0}
    watched = lab.watch(100)
    assert watched.breach is not None
    assert (watched.breach.clause, watched.breach.source) == ("CAN-2.1", "weights")
    assert "the gateway was changed outside this rollout" in watched.breach.message
    result = lab.take_back()
    assert (result.verified, result.changed_elsewhere) == (False, True)
    assert lab.gateway.shares == {"vllm:x": 1.0}


def test_a_provider_that_was_activated_elsewhere_ends_the_canary(lab: CanaryLab) -> None:
    lab.watch(600)
    lab.gateway.active = ProviderChange("vllm", "x")
    watched = lab.watch(600)
    assert watched.breach is not None
    assert watched.breach.clause == "CAN-2.1"
    assert lab.take_back().changed_elsewhere


@pytest.mark.parametrize(("nth", "clause"), [(1, "CAN-2.1"), (2, "CAN-2.2"), (3, "CAN-2.3"), (4, "CAN-2.4")])
@pytest.mark.parametrize("error", [Refused("PUT weights", "no", status=400), GatewayError("PUT weights", "no answer")])
def test_a_share_that_cannot_be_set_ends_the_canary_there(
    lab: CanaryLab, nth: int, clause: str, error: GatewayError
) -> None:
    lab.gateway.refuses[nth] = error
    watched = lab.watch()
    assert watched.breach is not None
    assert watched.breach.clause == clause
    assert str(error) in watched.breach.message
    assert outcomes(watched) == [*["held"] * (nth - 1), "failed", *["not reached"] * (5 - nth)]
    recorded_breach = lab.rollout.record().breach
    assert recorded_breach is not None
    assert recorded_breach["clause"] == clause
    assert lab.take_back().verified
    assert (lab.gateway.shares, lab.gateway.active) == ({}, OLD)


def test_a_share_that_is_answered_with_success_and_not_set_is_none(lab: CanaryLab) -> None:
    lab.gateway.set_weights = lambda _shares: None  # type: ignore[method-assign]
    watched = lab.watch()
    assert watched.breach is not None
    assert "reports no weights, not openai:gpt-4o 10%" in watched.breach.message


def test_a_write_whose_answer_was_lost_is_waited_for_before_the_rollback_is_proven(lab: CanaryLab) -> None:
    """It lands after the rollback's first write, and the rollback finds it."""
    lost = GatewayError("PUT weights", "no complete answer within 30 s")
    lab.gateway.refuses[1] = lost
    lab.watch()
    lab.clock.later(20, lambda: lab.gateway.shares.update(TENTH))
    assert lab.take_back().verified
    assert lab.gateway.shares == {}


def test_a_journal_that_takes_no_intent_sends_no_share(lab: CanaryLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(type(lab.rollout), "_intent", refuse)
    with pytest.raises(JournalError, match="disk full"):
        lab.watch()
    assert lab.gateway.writes == []


def test_a_run_that_is_superseded_sends_no_share_and_records_nothing_for_a_stage_that_failed(
    lab: CanaryLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LeaseLost("somebody newer")

    monkeypatch.setattr(type(lab.rollout), "_intent", refuse)
    with pytest.raises(LeaseLost, match="somebody newer"):
        lab.watch()
    assert lab.gateway.writes == []


def test_a_runner_that_dies_between_two_stages_is_rolled_back_from_the_journal_alone(lab: CanaryLab) -> None:
    """What `recover` does: another process knows only what is in the journal; the share is at 25 % by then."""

    class Killed(BaseException):
        pass

    original = canary.enter

    def dies_before_the_third(rollout: object, stage: Stage) -> str:
        if stage.clause == "CAN-2.3":
            raise Killed
        return original(rollout, stage)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollout.changes.catalogue.canary.enter", dies_before_the_third)
        with pytest.raises(Killed):
            lab.watch()
    assert lab.gateway.shares == QUARTER
    successor = replace(lab.rollout, run="run-2", _known=None)
    assert successor.record().in_flight
    result = roll_back(successor, "recover: its runner and its watchdog are gone")
    assert result.verified
    assert (lab.gateway.shares, lab.gateway.active) == ({}, OLD)


# The control group


@pytest.fixture
def asking(in_memory: Path) -> Iterator[CanaryLab]:
    """A gateway without a histogram, of which the suite asks often enough to judge each stage by its own requests."""
    lab = CanaryLab(in_memory, synthetic_every_s=1.5, synthetic_at_most=5000)
    lab.gateway.has_histogram = False
    with lab.rollout.journal:
        yield lab


def windows(lab: CanaryLab) -> list[dict[str, Any]]:
    return [dict(entry.body) for entry in lab.rollout.journal.entries("r-1", Kind.WINDOW)]


def test_the_control_group_of_a_stage_is_the_next_ones_baseline_and_does_not_move_within_it(asking: CanaryLab) -> None:
    """Both are slow at the second share, as the network is: against the precheck's 100 ms that would be a breach."""
    asking.gateway.p95_ms = {"openai": 190.0, "ollama": 140.0}
    asking.clock.later(600, lambda: asking.gateway.p95_ms.update(openai=250.0, ollama=500.0))
    assert "(2 x baseline 100 ms)" in asking.watch(590).verdicts[2].message, "the first has no stage before it"
    first = asking.watch(300)
    second = asking.watch(250)
    for watched in (first, second):
        latency = watched.verdicts[2]
        assert latency.state is State.HOLDING, latency.message
        assert "2 x control group of the stage before 140 ms" in latency.message
        assert (latency.limit, latency.effective_limit) == (280.0, 280.0)
        assert "control group ollama: 0.0 % of" in watched.verdicts[1].message
    assert [each.get("control_ms", [])[:1] for each in windows(asking)] == [[], [140.0]]
    assert set(windows(asking)[1]["control_ms"]) == {140.0}


def test_a_control_group_whose_latencies_are_all_this_machines_lateness_is_no_baseline(lab: CanaryLab) -> None:
    """0 ms is what a lateness leaves of a latency that it covers."""
    lab.gateway.p95_ms = {"openai": 100.0, "ollama": 0.0}
    lab.watch(630)
    assert [each["control_ms"] for each in windows(lab)] == [[], []]


def test_a_canary_slower_than_its_control_group_is_rolled_back_although_the_precheck_would_let_it(
    asking: CanaryLab,
) -> None:
    asking.gateway.p95_ms = {"openai": 190.0, "ollama": 90.0}
    watched = asking.watch()
    assert watched.breach is not None
    assert outcomes(watched) == ["held", "failed", *["not reached"] * 3]
    assert (watched.breach.clause, watched.breach.limit) == ("MON-3", 180.0)
    assert "2 x control group of the stage before 90 ms" in watched.breach.message


def test_at_all_of_the_traffic_there_is_no_control_group_and_the_prechecks_baseline_decides(lab: CanaryLab) -> None:
    watched = lab.watch(2000)
    assert "2 x baseline 100 ms" in watched.verdicts[2].message
    assert "control group" not in watched.verdicts[1].message


def test_a_control_group_that_fails_is_not_the_canarys_fault(lab: CanaryLab) -> None:
    lab.gateway.fails["ollama"] = 0.5
    watched = lab.watch(590)
    assert watched.breach is None
    assert "control group ollama: 50.0 % of" in watched.verdicts[1].message


# The single request (CAN-1)


def test_one_request_there_and_straight_back(lab: CanaryLab) -> None:
    tried = lab.try_one()
    assert tried.answered == "a request was answered in 100 ms; the answer names openai and model gpt-4o"
    assert lab.gateway.writes == [f"POST {NEW}", f"POST {OLD}"]
    assert lab.intents() == [
        ("CAN-1", "forward", "openai:gpt-4o", "done"),
        ("CAN-1", "back", "ollama:gemma3:4b", "done"),
    ]
    assert not changed_since(lab.rollout, recorded(lab.rollout.record().backup))
    assert lab.watch().passed


def test_a_request_that_fails_goes_straight_back_as_well(lab: CanaryLab) -> None:
    lab.gateway.fails["openai"] = 1.0
    with pytest.raises(GatewayError, match="Provider openai failed"):
        lab.try_one()
    assert lab.gateway.writes == [f"POST {NEW}", f"POST {OLD}"]
    assert lab.gateway.active == OLD
    assert lab.take_back().verified


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Completion("", "gpt-4o", "openai", 0, 5.0), "the completion is empty"),
        (Completion("pong", "gpt-4o", "ollama", 3, 5.0), "ollama answered instead of openai"),
        (Completion("pong", "gpt-3.5", "openai", 3, 5.0), "model gpt-3.5 answered instead of gpt-4o"),
        (Completion("pong", "gpt-4o", "openai", 3, 5001.0), "took 5001 ms, above 5000 ms"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_proves_nothing(lab: CanaryLab, answer: Completion, says: str) -> None:
    lab.gateway.chat = lambda _prompt, **_: answer  # type: ignore[method-assign]
    with pytest.raises(GatewayError, match=says):
        lab.try_one()
    assert lab.gateway.active == OLD


def test_an_activation_that_is_refused_needs_no_rollback(lab: CanaryLab) -> None:
    lab.gateway.refuses[1] = Refused("POST activate", "no", status=400)
    with pytest.raises(Refused):
        lab.try_one()
    assert lab.gateway.writes == [f"POST {NEW}"]


def test_an_activation_whose_answer_was_lost_is_rolled_back_at_once(lab: CanaryLab) -> None:
    lab.gateway.refuses[1] = GatewayError("POST activate", "no answer")
    with pytest.raises(GatewayError, match="no answer"):
        lab.try_one()
    assert lab.gateway.writes == [f"POST {NEW}", f"POST {OLD}"]


def test_a_second_activation_that_fails_is_left_to_the_rollback(lab: CanaryLab) -> None:
    lab.gateway.refuses[2] = GatewayError("POST activate", "no answer")
    with pytest.raises(GatewayError, match="no answer"):
        lab.try_one()
    assert lab.gateway.active == NEW
    assert lab.take_back().verified
    assert lab.gateway.active == OLD


def test_a_provider_that_is_offline_is_not_even_tried(lab: CanaryLab) -> None:
    lab.gateway.connection["openai"] = Connection("offline", "gone")
    with pytest.raises(GatewayError, match="nothing was activated"):
        lab.try_one()
    assert lab.gateway.writes == []


def test_what_makes_no_canary_is_refused_before_the_first_write(in_memory: Path) -> None:
    lab = CanaryLab(in_memory)
    with lab.rollout.journal:
        lab.gateway.shares = dict(TENTH)
        lab.back_up()
        with pytest.raises(RolloutError, match=r"the requests are split already, by .*openai:gpt-4o 10%"):
            lab.try_one()
        lab.gateway.shares, lab.gateway.active = {}, NEW
        lab.back_up()
        with pytest.raises(RolloutError, match="is active already"):
            lab.try_one()
        lab.gateway.active = ProviderChange("openai", "gpt-4.1")
        lab.back_up()
        with pytest.raises(RolloutError, match="are of one provider"):
            lab.try_one()
        assert lab.gateway.writes == []


def test_with_the_single_request_alone_the_last_window_is_the_stabilisation(in_memory: Path) -> None:
    lab = CanaryLab(in_memory, Canary((), 900.0), target=replace(TARGET, routing=None))
    with lab.rollout.journal:
        lab.try_one()
        lab.gateway.active = NEW  # apply has activated it
        watched = lab.watch()
        assert watched.passed
        assert [(stage.clause, stage.outcome) for stage in watched.stages] == [("CAN-3", "held")]
        assert watched.watched_s == 900
        assert lab.gateway.writes == [f"POST {NEW}", f"POST {OLD}"]


def test_the_report_shows_all_stages_in_seconds_from_the_first_ones_beginning(lab: CanaryLab) -> None:
    assert lab.watch().passed
    window = _window(lab.rollout.journal.entries("r-1"))
    times = [sample["at_s"] for sample in window.samples if sample["source"] == "status"]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0, 3290)
    assert window.verdicts["MON-1"]["watched_s"] == 3300


def test_the_share_is_taken_away_before_anything_waits_for_the_active_provider(
    lab: CanaryLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call moves all users; the active provider cannot be read for a while, and is awaited afterwards."""
    lab.watch(100)
    began_s = lab.clock.monotonic()
    providers = lab.gateway.providers

    def unavailable_for_a_while() -> object:
        if lab.clock.monotonic() < began_s + 10:
            raise GatewayError("GET providers", "no answer")
        return providers()

    monkeypatch.setattr(lab.gateway, "providers", unavailable_for_a_while)
    result = lab.take_back()
    assert result.verified, result.steps
    assert lab.gateway.writes[-1] == "PUT {}"
    assert lab.gateway.written_at_s[-1] == began_s


def test_a_stop_between_two_stages_is_read_before_the_share_rises(
    lab: CanaryLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = type(lab.rollout).append_all

    def stops_after_it(rollout: RolloutContext, parts: object) -> None:
        original(rollout, parts)  # type: ignore[arg-type]
        rollout.stop.set("SIGTERM")

    monkeypatch.setattr(type(lab.rollout), "append_all", stops_after_it)
    watched = lab.watch()
    assert watched.interrupted == "SIGTERM"
    assert lab.gateway.writes == [f"PUT {TENTH}"]
    assert outcomes(watched) == ["held", "failed", *["not reached"] * 3]
