"""What is written for Allure is redacted, names what was wrong, and never shows a check as better than it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import allure_commons
import pytest
from allure_commons import model2
from allure_commons.logger import AllureFileLogger

from rollout.core.redaction import Redactor
from rollout.reporting.allure import NOT_RUN, Guard, Show, executor_of, guard, redact_junit, unguard, write_facts
from rollout.reporting.categories import CATEGORIES

SECRET = "correct-horse-battery"

Write = Callable[[Any], dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write an Allure object as a run does: the guard is registered first, Allure's writer later."""
    # A run that another test has left behind would add its own target.
    for left in allure_commons.plugin_manager.get_plugins():
        if isinstance(left, Guard):
            unguard(left)
    watcher = guard(Redactor([SECRET]), "prod")
    writer = AllureFileLogger(str(tmp_path))
    allure_commons.plugin_manager.register(writer)

    def through(item: Any) -> dict[str, Any]:
        container = isinstance(item, model2.TestResultContainer)
        hook = allure_commons.plugin_manager.hook
        hook.report_container(container=item) if container else hook.report_result(result=item)
        (path,) = tmp_path.glob("*-container.json" if container else "*-result.json")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    yield through
    allure_commons.plugin_manager.unregister(writer)
    unguard(watcher)


def result(status: str, message: str = "", trace: str | None = None, **parts: Any) -> model2.TestResult:
    details = model2.StatusDetails(message=message, trace=trace) if message or trace else None
    return model2.TestResult(uuid="u", name="n", status=status, statusDetails=details, start=1, stop=2, **parts)


def test_a_check_that_was_never_reached_is_broken_and_not_skipped(write: Write) -> None:
    written = write(result("skipped", f"Skipped: {NOT_RUN}MON-2 did not pass", "('fixtures.py', 283, 'Skipped')"))
    assert written["status"] == "broken"
    assert written["statusDetails"] == {"message": f"{NOT_RUN}MON-2 did not pass"}


def test_any_other_skip_stays_one(write: Write) -> None:
    assert write(result("skipped", "Skipped: not owed"))["status"] == "skipped"


def test_a_failure_is_written_as_its_sentence_without_introspection(write: Write) -> None:
    """Introspection shows entire values: it leaks them, and hides the deciding one."""
    introspection = "AssertionError: too slow\nassert False\n +  where False = Verdict(state=...)"
    assert write(result("failed", introspection, "too slow"))["statusDetails"] == {"message": "too slow"}


def test_secrets_are_redacted_before_anything_is_written(write: Write) -> None:
    written = write(result("failed", f"AssertionError: {SECRET}", SECRET, description=f"reads {SECRET}"))
    assert SECRET not in json.dumps(written)


def test_secrets_are_redacted_in_fixtures_too(write: Write) -> None:
    fixture = model2.TestBeforeResult(
        name="gateway", status="broken", statusDetails=model2.StatusDetails(message=SECRET)
    )
    assert SECRET not in json.dumps(write(model2.TestResultContainer(uuid="u", befores=[fixture])))


def test_a_description_is_no_block_of_code(write: Write) -> None:
    assert write(result("passed", description="One.\n\n    Fails when two.\n    "))["description"] == (
        "One.\n\nFails when two."
    )


def test_fixtures_that_show_nothing_are_no_rows(write: Write) -> None:
    """From pytest 9.1 on, allure-pytest adds a row to the finalizers of every fixture (allure-python #918)."""
    phantom, passed = (
        model2.TestAfterResult(name="undo::<lambda>", start=1),
        model2.TestBeforeResult(name="undo", status="passed"),
    )
    written = write(model2.TestResultContainer(uuid="u", befores=[passed], afters=[phantom]))
    assert not written.get("afters")
    assert not written.get("befores")


def test_what_a_teardown_shows_is_kept(write: Write) -> None:
    shows = model2.TestAfterResult(
        name="undo::1", status="passed", attachments=[model2.Attachment(name="plan", source="a.txt")]
    )
    fails = model2.TestAfterResult(
        name="staging::1", status="broken", statusDetails=model2.StatusDetails(message="gone")
    )
    written = write(model2.TestResultContainer(uuid="u", afters=[shows, fails]))
    assert [row["name"] for row in written["afters"]] == ["undo::1", "staging::1"]


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The attachments of a check as (text, media type)."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr("allure.attach", lambda text, _, kind: found.append((text, kind.mime_type)))
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"succeeded": True, "ms": 0, "rate": 0.0967741935483871, "message": None},
            "what,value\r\nsucceeded,yes\r\nms,0\r\nrate,0.0967742\r\nmessage,none\r\n",
        ),
        ({"active": ["a", "b"], "backup": {"model": "m"}}, 'what,value\r\nactive,"a, b"\r\nbackup model,m\r\n'),
        ([{"channel": "log", "accepted": False}], "channel,accepted\r\nlog,no\r\n"),
        ({"api_token": SECRET}, "what,value\r\napi_token,[redacted]\r\n"),
    ],
)
def test_what_is_small_and_flat_is_a_table(attached: list[tuple[str, str]], value: Any, shown: str) -> None:
    Show(Redactor([SECRET])).facts("x", value)
    assert attached == [(shown, "text/csv")]


@pytest.mark.parametrize("value", [{"a": {"b": {"c": 1}}}, [{"a": 1}, {"b": 2}], [1], {"a": [{"b": 1}]}, "text"])
def test_what_is_too_deep_for_a_table_stays_json(attached: list[tuple[str, str]], value: Any) -> None:
    Show(Redactor()).facts("x", value)
    ((text, kind),) = attached
    assert (json.loads(text), kind) == (value, "application/json")


@pytest.mark.parametrize("value", [{}, []])
def test_an_empty_value_is_the_word_none(attached: list[tuple[str, str]], value: Any) -> None:
    Show(Redactor()).facts("x", value)
    assert attached == [("none", "text/plain")]


def test_what_pytest_writes_by_itself_is_redacted_and_stays_xml(tmp_path: Path):
    path = tmp_path / "junit.xml"
    path.write_text(
        f'<testsuite><testcase name="test_x[{SECRET}]"><failure message="Authorization: Basic abcd">{SECRET} &lt;b&gt;'
        f"</failure><system-out>Cookie: a=b\n{SECRET}</system-out></testcase></testsuite>"
    )
    redact_junit(path, Redactor([SECRET]))
    (case,) = ET.parse(path).getroot()  # noqa: S314 - our own
    assert case.get("name") == "test_x[[redacted]]"
    assert [part.text for part in case] == ["[redacted] <b>", "Cookie: [redacted]\n[redacted]"]
    assert case[0].get("message") == "Authorization: [redacted]"


def test_a_file_that_is_no_xml_is_redacted_all_the_same(tmp_path: Path):
    """A full disk cuts it off; the rest may hold a secret."""
    path = tmp_path / "junit.xml"
    path.write_text(f'<testsuite><testcase name="test_x[{SECRET}]"><failure message="{SECRET}')
    redact_junit(path, Redactor([SECRET]))
    assert path.read_text() == '<testsuite><testcase name="test_x[[redacted]]"><failure message="[redacted]'


def test_where_no_such_file_was_written_nothing_is(tmp_path: Path):
    redact_junit(tmp_path / "junit.xml", Redactor())
    assert list(tmp_path.iterdir()) == []


def test_a_result_says_its_target_and_has_a_history_of_its_own_there(write: Write) -> None:
    written = write(result("passed", historyId="h"))
    assert written["parameters"] == [{"name": "target", "value": "prod"}]
    assert written["historyId"] == hashlib.sha256(b"h\nprod").hexdigest()


NOW = datetime(2026, 11, 30, tzinfo=UTC)
ORDER = 20261130_000000


@pytest.mark.parametrize(
    ("env", "facts"),
    [
        (
            {"GITLAB_CI": "true", "CI_PIPELINE_IID": "41", "CI_JOB_URL": "https://ci.example.com/1?token=x"},
            {
                "name": "GitLab CI",
                "type": "gitlab",
                "buildName": "#41 run-1",
                "buildOrder": ORDER,
                "url": "https://ci.example.com/1",
                "buildUrl": "https://ci.example.com/1",
            },
        ),
        (
            {"JENKINS_URL": "x", "BUILD_URL": "https://j.example.com/7/", "BUILD_NUMBER": "seven"},
            {
                "name": "Jenkins",
                "type": "jenkins",
                "buildName": "run-1",
                "buildOrder": ORDER,
                "url": "https://j.example.com/7/",
                "buildUrl": "https://j.example.com/7/",
            },
        ),
        ({}, {"name": "rollout", "type": "rollout", "buildName": "run-1", "buildOrder": ORDER}),
    ],
)
def test_the_executor_is_the_pipelines_job(env: dict[str, str], facts: dict[str, Any]) -> None:
    assert executor_of(env, "run-1", "Rollout r-1", NOW) == {**facts, "reportName": "Rollout r-1"}


def test_runs_of_pipelines_and_people_have_one_order_that_of_time() -> None:
    gitlab, github = (
        {"GITLAB_CI": "true", "CI_PIPELINE_IID": "41"},
        {"GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": "7"},
    )
    moments = [NOW + timedelta(seconds=number) for number in range(4)]
    executors = [
        executor_of(env, "run", "R", at) for env, at in zip((gitlab, {}, github, gitlab), moments, strict=True)
    ]
    assert [each["buildName"] for each in executors] == ["#41 run", "run", "#7 run", "#41 run"]
    orders = [each["buildOrder"] for each in executors]
    assert orders == sorted({*orders})


def test_raw_results_have_environment_executor_and_categories(tmp_path: Path) -> None:
    write_facts(tmp_path, {"target": "prod", "note": SECRET}, {"name": SECRET}, Redactor([SECRET]))
    texts = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert sorted(texts) == ["categories.json", "environment.properties", "executor.json"]
    assert "target=prod" in texts["environment.properties"]
    assert SECRET not in str(texts)
    categories = json.loads(texts["categories.json"])
    assert [each["name"] for each in categories] == [name for name, _, _ in CATEGORIES]
    # A tool that reads them compares the whole message, of several lines.
    message = "ROLLED BACK, verified: MON-2: bad\nand more"
    assert [c["name"] for c in categories if re.fullmatch(c["messageRegex"], message, re.DOTALL)] == ["Rolled back"]
    odd = "MON-2 is inconclusive, which is never a pass\nand more"
    matched = [c["name"] for c in categories if re.fullmatch(c["messageRegex"], odd, re.DOTALL)]
    assert matched == ["Inconclusive to the end", "Too little to judge by"]
