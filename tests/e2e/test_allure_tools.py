"""Allure 3's and Allure 2's command lines show the trend over five rollouts of one target, and keep two targets apart.

They read the raw results as a run left them, as an Allure server, Jenkins or TestOps does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.allure_tools import allure2, allure3, read
from tests.support.runs import Lab, Run

JOB = "https://ci.example.com/runs"
BY_HAND = 3


class OtherLab(Lab):
    """A lab whose target has another name."""

    def options(self) -> list[str]:
        """Write the files as those of a lab, with the other name."""
        self.scenario["target"] = "other"
        options = super().options()
        text = yaml.safe_dump({"other": self.target}, sort_keys=False)
        (self.folder / "targets.yaml").write_text(text, encoding="utf-8")
        return options


@dataclass(frozen=True)
class Runs:
    """The raw results of the rollouts.

    Attributes:
        lab: those of five rollouts of one target, in order; the fourth was rolled back.
        other: those of a rollout of another target, by the same checks.
    """

    lab: tuple[Path, ...]
    other: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("allure")
    with Lab(folder / "lab") as lab, OtherLab(folder / "other") as other:
        found = tuple(rollout_in(lab, number) for number in range(1, 6))
        yield Runs(found, results(other.run("-m", "precheck")))


def rollout_in(lab: Lab, number: int) -> Path:
    """Run a rollout as the pipeline's job of this number; its gateway is at the previous provider before.

    The third is a person's, without a job.
    """
    job = {"BUILDKITE": "true", "BUILDKITE_BUILD_NUMBER": str(number), "BUILDKITE_BUILD_URL": f"{JOB}/{number}"}
    lab.env = {} if number == BY_HAND else job
    lab.intrude("ollama", "gemma3:4b")
    lab.faults(*([{"provider": "openai", "since": "activation", "error_share": 1}] if number == 4 else []))
    run = lab.run()
    assert run.word == ("ROLLED BACK, verified" if number == 4 else "KEPT"), run.out
    return results(run)


def rollout_of(results: Path) -> str:
    """Return the id of the rollout whose results these are: ``ID/allure-results/RUN``."""
    return results.parent.parent.name


def results(run: Run) -> Path:
    (folder,) = (run.folder / "allure-results").iterdir()
    return folder


def statuses(points: list[dict[str, Any]], name: str) -> list[str]:
    """Return the status of the check of this name in each point of Allure 3's history."""
    return [each["status"] for point in points for each in point["testResults"].values() if name in each["name"]]


def test_allure_3_shows_the_history_of_one_target(runs: Runs, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    reports = [allure3(tmp_path, each, history) for each in runs.lab]
    points = [yaml.safe_load(line) for line in history.read_text(encoding="utf-8").splitlines()]
    assert statuses(points, "Closure") == ["passed", "passed", "passed", "failed", "passed"]
    rows = [read(path) for path in (reports[-1] / "data" / "test-results").glob("*.json")]
    assert rows
    assert {len(row["history"]) for row in rows if row["name"].startswith("PRE-")} == {4}
    environment = {each["name"]: each["values"] for each in read(reports[-1] / "widgets" / "allure_environment.json")}
    assert environment["target"] == ["lab"]


def test_allure_3_keeps_two_targets_apart(runs: Runs, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    allure3(tmp_path, runs.lab[0], history)
    report = allure3(tmp_path, runs.other, history)
    rows = [read(path) for path in (report / "data" / "test-results").glob("*.json")]
    assert rows
    assert [row["history"] for row in rows if row.get("history")] == []


def test_allure_2_shows_the_trend_of_one_target(runs: Runs, tmp_path: Path) -> None:
    """As Jenkins does it: the history of the latest report is put beside the next results."""
    report: Path | None = None
    for each in runs.lab:
        work = tmp_path / each.parent.parent.name / "raw" / "results"
        shutil.copytree(each, work)
        if report is not None:
            shutil.copytree(report / "history", work / "history")
        report = allure2(tmp_path, work)
    assert report is not None
    trend = read(report / "history" / "history-trend.json")
    # The newest first; the third is a person's, without a job's number.
    assert [point["reportName"] for point in trend] == [f"Rollout {rollout_of(each)}" for each in reversed(runs.lab)]
    assert [point["data"]["failed"] > 0 for point in trend] == [False, True, False, False, False]
    orders = [point["buildOrder"] for point in trend]
    assert orders == sorted({*orders}, reverse=True)
    assert {len(each["items"]) for each in read(report / "history" / "history.json").values()} == {5}
    (executor,) = read(report / "widgets" / "executors.json")
    assert (executor["name"], executor["type"], executor["buildUrl"]) == ("Buildkite", "buildkite", f"{JOB}/5")
    assert executor["buildName"].startswith("#5 ")


def test_allure_2_keeps_two_targets_apart(runs: Runs, tmp_path: Path) -> None:
    work = tmp_path / "other" / "raw" / "results"
    shutil.copytree(runs.other, work)
    shutil.copytree(allure2(tmp_path, runs.lab[0]) / "history", work / "history")
    report = allure2(tmp_path, work)
    rows = [read(path) for path in (report / "data" / "test-cases").glob("*.json")]
    assert rows
    assert [row["name"] for row in rows if row["extra"].get("history", {}).get("items")] == []


def test_allure_2_names_the_categories_and_the_environment(runs: Runs, tmp_path: Path) -> None:
    report = allure2(tmp_path, runs.lab[3])
    categories = {each["name"] for each in read(report / "data" / "categories.json")["children"]}
    assert {"Rolled back", "Not run"} <= categories
    facts = {each["name"]: each["values"] for each in read(report / "widgets" / "environment.json")}
    assert facts["target"] == ["lab"]
