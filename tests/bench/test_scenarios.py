"""The shipped scenarios' promises are those of the README, and a run is judged by exit code, journal and gateway."""

from pathlib import Path

import pytest

from bench.scenarios.__main__ import Ending, _options, show
from bench.scenarios.endings import find_problems
from bench.scenarios.promises import Promise, read_promises
from rollout.journal.record import Kind
from rollout.sandbox.settings import SandboxSettings
from rollout.sandbox.state import State
from tests.support.rollouts import rollout_in
from tests.support.runs import ROOT, Run

SCENARIOS = ROOT / "scenarios"
KEPT = Promise(SCENARIOS / "all-three.yaml", "", 0)
ROLLED_BACK = Promise(SCENARIOS / "failing-provider.yaml", "MON-2", 10)


def test_the_readme_names_every_shipped_scenario_its_trigger_and_its_exit_code():
    promises = {each.name: each for each in read_promises((ROOT / "README.md").read_text(encoding="utf-8"), SCENARIOS)}

    assert len(promises) == 9
    assert promises["all-three"] == KEPT
    assert promises["failing-provider"] == ROLLED_BACK
    assert (promises["quickstart"].describe(), promises["slow-provider"].describe()) == ("0", "10, MON-3")


def test_a_table_that_differs_from_the_folder_is_refused(tmp_path):
    (tmp_path / "one.yaml").write_text("change: {activate: openai}\n", encoding="utf-8")
    (tmp_path / "policy.yaml").write_text("sandbox: {}\n", encoding="utf-8")

    with pytest.raises(ValueError, match=r"does not name one\.yaml; .* names two\.yaml, which .* does not hold"):
        read_promises("| `scenarios/two.yaml` | nothing | | 0 |\n", tmp_path)
    assert read_promises("| `one.yaml` | it is slow | MON-3, latency | 10 |\n", tmp_path)[0].trigger == "MON-3"


def _ended(reports: Path, code: int, breached: str | None = None) -> Run:
    """Leave the journal of one rollout, and its gateway with what it has at first."""
    rollout = rollout_in(reports)
    with rollout.journal:
        if breached:
            rollout.append(Kind.VERDICT, clause=breached, state="breached", decided=True)
        rollout.append(Kind.CLOSED, decision="rolled_back" if code else "kept")
    State(_gateway(reports), SandboxSettings())
    return Run(code, f"why: {breached} was breached\n", reports)


def _gateway(reports: Path) -> Path:
    return reports / "sandbox" / "r-1"


def test_a_rollback_by_the_promised_trigger_to_what_was_active_before_is_as_expected(tmp_path):
    run = _ended(tmp_path, 10, "MON-2")
    assert find_problems(ROLLED_BACK, run) == []

    State(_gateway(tmp_path), SandboxSettings()).activate("openai", "gpt-4o")
    assert find_problems(ROLLED_BACK, run) == [
        "the gateway has ACTIVE_PROVIDER openai instead of ollama",
        "the gateway has LLM_MODEL_NAME gpt-4o instead of gemma3:4b",
    ]


def test_another_trigger_and_another_exit_code_are_named(tmp_path):
    run = _ended(tmp_path, 11, "MON-4")

    assert find_problems(ROLLED_BACK, run) == [
        "exit code 11 instead of 10: MON-4 was breached",
        "breached: MON-4 instead of MON-2 (rolled back: MON-4 breached)",
    ]


def test_a_kept_change_is_one_that_the_gateways_files_hold_in_all_its_parts(tmp_path):
    run = _ended(tmp_path, 0)
    assert len(find_problems(KEPT, run)) == 4

    state = State(_gateway(tmp_path), SandboxSettings())
    state.activate("openai", "gpt-4o")
    state.set_limit("cost", "provider:openai", {"soft_limit_usd": 200, "hard_limit_usd": 250})
    state.env_file.write_text(
        f"{state.env_file.read_text(encoding='utf-8')}MAX_CONTEXT_TOKENS=8000\n", encoding="utf-8"
    )
    assert find_problems(KEPT, run) == []


def test_a_run_without_a_rollout_in_its_journal_is_no_expected_one(tmp_path):
    (problem,) = find_problems(KEPT, Run(0, "", tmp_path))
    assert problem.startswith("the journal holds no rollout to judge: ")


def test_the_table_counts_the_runs_and_names_each_that_ended_otherwise(tmp_path):
    good = [Ending(ROLLED_BACK, seconds, load, (), tmp_path / "1") for seconds, load in ((20, 4.0), (30, 8.0))]
    text = show([*good, Ending(ROLLED_BACK, 61, 6.0, ("exit code 0 instead of 10",), tmp_path / "3")])

    assert "| failing-provider | 10, MON-2 | 2 of 3 | 20 / 30 / 61 |" in text
    assert f"{tmp_path / '3'}: exit code 0 instead of 10" in text
    assert "load 4.0 to 8.0, median 6.0" in text


def test_a_scenario_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        _options(["quikstart"], ["quickstart", "canary"])
    assert refused.value.code == 2
    assert "there is no scenario quikstart; there are quickstart, canary" in capsys.readouterr().err
