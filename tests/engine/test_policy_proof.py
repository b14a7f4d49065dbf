"""The policy under which a rollout goes on: that of its opening, as long as the gateway can still be the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.canonical_json import to_json
from rollout.core.options import Options
from rollout.core.policy import Policy
from rollout.core.request import Request
from rollout.core.scenario import Scenario
from rollout.core.target import Routing, Service, Target
from rollout.engine import policy_proof
from rollout.gateway.embedded_proof import Proof, Standing
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind
from rollout.journal.replay import replay
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import NEW

URL = "http://127.0.0.1:1"
REQUEST = Request(Scenario("s", "s.yaml", "t", (NEW,), "alice"), Target("t", "sandbox", url=URL), Policy("sandbox"))
OTHER, SILENT = Proof(Standing.OTHER, "HTTP 404"), Proof(Standing.SILENT, "no answer: Connection refused")


def begun(folder: Path, state: str, *, digest: str | None = None, target: Target = REQUEST.target) -> Journal:
    """Return the journal of one rollout of that content: ``cleared``, ``in flight`` or ``closed``."""
    journal = Journal.open(str(folder / "journal.sqlite"), clock=SimulatedClock())
    opened = {"digest": digest or REQUEST.digest(URL), "url": URL, "target": to_json(target)}
    opened |= {"scenario": to_json(REQUEST.scenario), "policy": to_json(REQUEST.policy)}
    journal.append("r-1", Kind.OPENED, opened)
    if state != "cleared":
        intent = journal.append("r-1", Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": str(NEW)})
        journal.append("r-1", Kind.OUTCOME, {"intent": intent.seq, "result": "done", "detail": ""})
    if state == "closed":
        journal.append("r-1", Kind.CLOSED, {"decision": Decision.KEPT, "why": ""})
    return journal


def doubt(folder: Path, phase: str, seen: Proof, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the doubt in a run of the phase, where the proof is `seen`."""
    asked: list[str] = []
    monkeypatch.setattr(policy_proof, "prove_embedded", lambda url: asked.append(url) or seen)
    journal = str(folder / "journal.sqlite")
    options = Options(
        scenario=None,
        activate="a:b",
        ticket=None,
        target=None,
        gateway=URL,
        journal=journal,
        reports=folder,
        scenarios=folder,
        phases=(phase,),
    )
    found = policy_proof.doubt(options, SimulatedClock(), REQUEST)
    assert len(asked) <= 1
    return found


@pytest.mark.parametrize("phase", ["precheck", "apply", "verify", "monitor"])
@pytest.mark.parametrize("seen", [OTHER, SILENT], ids=["other", "silent"])
def test_a_change_in_flight_keeps_its_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, seen: Proof):
    begun(tmp_path, "in flight").close()
    assert doubt(tmp_path, phase, seen, monkeypatch) == ""


@pytest.mark.parametrize(
    ("state", "phase", "seen", "why"),
    [
        ("cleared", "apply", SILENT, ""),
        ("cleared", "apply", OTHER, OTHER.why),
        ("cleared", "precheck", SILENT, SILENT.why),
        ("closed", "verify", SILENT, ""),
        ("closed", "precheck", OTHER, OTHER.why),
        ("closed", "precheck", SILENT, SILENT.why),
        ("closed", "apply", OTHER, OTHER.why),
    ],
)
def test_before_and_after_its_writes_what_answers_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, phase: str, seen: Proof, why: str
):
    """A gateway that does not answer may be the same; a new rollout needs a new proof."""
    begun(tmp_path, state).close()
    assert doubt(tmp_path, phase, seen, monkeypatch) == why
    assert doubt(tmp_path, phase, Proof(Standing.EMBEDDED), monkeypatch) == ""


def test_a_rollout_of_another_content_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun(tmp_path, "in flight", digest="d" * 64).close()
    assert doubt(tmp_path, "verify", SILENT, monkeypatch) == SILENT.why


def test_without_a_journal_nothing_is_proven_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert doubt(tmp_path, "verify", SILENT, monkeypatch) == SILENT.why
    assert list(tmp_path.iterdir()) == []


def test_what_an_embedded_gateway_reported_is_known_while_its_change_is_in_flight(tmp_path: Path):
    """The settings of the target itself take precedence."""
    completed = replace(
        REQUEST.target,
        staging=f"{URL}/staging",
        env_file=Path("/srv/.env"),
        log_file=Path("/srv/log"),
        routing=Routing(),
        service=Service(stop=("stop",), start=("start",)),
    )
    with begun(tmp_path, "in flight", target=completed) as journal:
        record = replay("r-1", journal.entries("r-1"))
    assert policy_proof.completed(REQUEST.target, record) == completed
    own = replace(REQUEST.target, env_file=Path("/own/.env"))
    assert policy_proof.completed(own, record).env_file == Path("/own/.env")
