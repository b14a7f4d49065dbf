"""The report of a check before a release says on its first screen what did not pass, who ran it, and when."""

from __future__ import annotations

from pathlib import Path

from tests.browser.first_screen import assert_answers
from tests.browser.reader import Reader
from tests.support.liar import answer
from tests.support.runs import Lab, Process

MOMENT = r"\d{4}-\d\d-\d\dT[\d:.]+Z"


def check_before_release(lab: Lab, code: int) -> Path:
    """Run the checks on the lab, whose policy spares one, and return the report's path."""
    lab.policy["sandbox"]["not_demanded"] = ["REL-4"]
    lab.options()
    options = (f"--gateway={lab.liar.url}", f"--policy={lab.folder / 'policy.yaml'}")
    ended = Process(lab.reports, "-m", "release", *options, report=True).end()
    assert ended.code == code, ended.out
    assert "report: /" in ended.out, ended.out
    (report,) = lab.reports.glob("release-*/report.html")
    return report


def test_what_did_not_pass_is_named_with_its_reason(reader: Reader, tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        lab.liar.rule("/alerts", answer(500))
        report = check_before_release(lab, 1)
        answers = {
            "Failed": "^REL-6: GET /api/v1/alerts",
            "Not owed": "^REL-4$",
            "Policy": "^sandbox$",
            "Run by": "^tester$",
            "When": f"^{MOMENT} to {MOMENT}$",
        }
        assert_answers(reader, report, f"RELEASE NOT PASSED: .*{lab.liar.url}", answers, chart=False)
    assert "failed" in str(reader.banner.get_attribute("class"))
    assert reader.answer("Not run").count() == 0


def test_a_pass_is_green_and_names_no_failure(reader: Reader, tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        report = check_before_release(lab, 0)
    assert_answers(reader, report, "RELEASE PASSED: ", {"What": "before a release"}, chart=False)
    assert "kept" in str(reader.banner.get_attribute("class"))
    assert reader.answer("Failed").count() == 0
