"""The complete population: what was changed at a gateway beside the rollouts shows, from its state and its own log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.cli.main import main
from tests.support.runs import Lab

LIMITS = {"limit_type": "cost", "scope": "global", "soft_limit_usd": 1, "hard_limit_usd": 2}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def reconciled(lab: Lab, capsys: pytest.CaptureFixture[str], target: str = "lab") -> tuple[int, str]:
    """Return the exit code and what was said."""
    capsys.readouterr()
    code = main(["status", "--reconcile", target, f"--reports={lab.reports}"])
    return code, capsys.readouterr().out


def test_a_change_by_hand_shows(lab: Lab, capsys: pytest.CaptureFixture[str]):
    """In the present state, in the gateway's audit log, and, once it is undone by hand, in the log alone."""
    kept = lab.run()
    assert kept.code == 0, kept.out
    before = lab.writes()
    code, out = reconciled(lab, capsys)
    assert (code, out.splitlines()[1:]) == (0, []), out
    assert out.startswith(f"no change(s) outside of rollouts at lab at {lab.liar.url}; 1 rollout(s) since 20")

    lab.intrude("vllm", "gemma-3-4b-it")
    lab.direct.post("/api/v1/governance/limits", json=LIMITS, headers={"X-User": "mallory"}).raise_for_status()
    code, out = reconciled(lab, capsys, lab.liar.url)
    assert code == 1
    assert f"OUTSIDE  now: vllm:gemma-3-4b-it is active; {kept.id} left openai:gpt-4o" in out
    now, left = "hard_limit_usd 2, soft_limit_usd 1", "hard_limit_usd 50, soft_limit_usd 10"
    assert f"OUTSIDE  now: cost limits global is {now}; {kept.id} left {left}" in out, out
    assert "activate_provider of vllm by unknown (model=gemma-3-4b-it" in out
    assert "by mallory (" in out
    assert "4 change(s) outside of rollouts" in out

    # Back by hand, within the minute of our own activation: two entries, and one write.
    lab.intrude("openai", "gpt-4o")
    code = main(["status", "--reconcile", "lab", f"--reports={lab.reports}", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert code == 1
    told = [each["what"] for each in facts["outside"]]
    assert not any("is active" in each for each in told)
    assert sum("activate_provider of openai" in each for each in told) == 1
    assert lab.writes() == before, "it only reads"


def test_what_a_gateway_does_not_record_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Without audit entries nothing is claimed about what was changed and changed back; the state still tells."""
    with Lab(tmp_path, deviations=["no_audit"]) as lab:
        kept = lab.run()
        assert kept.code == 0, kept.out
        lab.intrude("vllm", "gemma-3-4b-it")
        code, out = reconciled(lab, capsys)
        assert code == 1
        assert f"now: vllm:gemma-3-4b-it is active; {kept.id} left openai:gpt-4o" in out
        assert "not known: what others changed and changed back: the gateway's audit log lacks 2 writes" in out

        # The next rollout starts from there: its backup is the evidence, whatever becomes of the gateway.
        lab.scenario["change"] = {"activate": "openai", "model": "gpt-4o"}
        again = lab.run()
        assert again.code == 0, again.out
        _, out = reconciled(lab, capsys)
        between = f"between {kept.id} and {again.id}: vllm:gemma-3-4b-it is active; {kept.id} left openai:gpt-4o"
        assert between in out
        assert "OUTSIDE  now:" not in out


def test_a_target_that_no_rollout_went_to_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """It is refused with the ones that the journal knows."""
    with Lab(tmp_path) as lab:
        assert lab.run("-m", "precheck").code == 0
        code, _ = reconciled(lab, capsys, "prod")
        assert code == 4
