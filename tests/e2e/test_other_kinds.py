"""A rollout on a gateway of another kind, which lacks most of what clauses observe: kept, rolled back, never green.

The gateway is the toy of docs/WRITE-A-DRIVER.md, and the judge is its own state.
"""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from rollout.journal.record import Kind
from tests.support import forks
from tests.support.page_driver import BLOCKS, install_page_driver
from tests.support.runs import end_watchdogs, entries, inherited_environment

LACKING = {
    "VER-1": "the toy gateway has no status",
    "VER-3": "the toy gateway has no audit",
    "MON-1": "the toy gateway has no status",
}
ALERTS = "the toy gateway has no alerts"
REQUIRED = ("PRE-5.3", "MON-4")
SCENARIO = """\
change: {activate: openai, model: gpt-4o}
target: toy
author: alice
monitor: {window: 40s, synthetic_every: 1s, p95: 2s}
"""
POLICY = """\
lab:
  window_at_least: 10s
  not_demanded: [PRE-2.1, PRE-2.2, PRE-2.3, PRE-3.1, PRE-3.2, PRE-4.1, PRE-4.2, PRE-4.3]
  approvals_at_least: 0
  operator_ack_max_age: none
"""


WAIVERS = "waivers:\n" + "".join(
    f"  - {{clause: {clause}, reason: nobody alerts here, granted_by: dave, until: 2099-01-01}}\n"
    for clause in ("MON-4", "PRE-5.3")
)


class Toy:
    """The page's gateway on a free port, and a folder with the files of a user who rolls out on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "site").mkdir()
        install_page_driver(folder / "site")
        page: dict[str, Any] = {}
        exec(BLOCKS["toy_subject.py"], page)  # noqa: S102 - the page of this repository
        self.gateway = page["ToySubject"]()
        self.url = self.gateway.start(folder).url
        self.written: list[dict[str, str]] = []
        self.sick = False
        self.gateway.server.RequestHandlerClass = self._watched(self.gateway.server.RequestHandlerClass)
        self.write("rollout.toml", "")
        self.write("scenarios/toy.yaml", SCENARIO)
        self.write("scenarios/policy.yaml", POLICY)
        self.targets()

    def _watched(self, handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
        toy = self

        class Watched(handler):  # type: ignore[valid-type, misc]
            def write(self, status: int, body: Any) -> None:
                if self.command == "PUT":
                    toy.written.append(body)
                if toy.sick and body.get("provider") == "openai" and "text" in body:
                    status, body = 503, {"detail": "overloaded"}
                super().write(status, body)

        return Watched

    def write(self, name: str, text: str) -> None:
        """Write a file of the user's."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def targets(self, more: str = "") -> None:
        """Write the target, with further keys."""
        models = "{models: {ollama: gemma3, openai: gpt-4o}}"
        text = (
            f"toy:\n  environment: lab\n  kind: toy\n  url: {self.url}\n  env_file: none\n  settings: {models}\n{more}"
        )
        self.write("scenarios/targets.yaml", text)

    def run(self, module: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, with the page's package installed."""
        env = inherited_environment()
        env |= {"USER": "tester", "COLUMNS": "220", "PYTHONPATH": str(self.folder / "site")}
        env["PYTEST_ADDOPTS"] = "-p no:hypothesispytest -p no:anyio -p no:pytest_cov"
        out = self.folder / "printed.txt"
        out.unlink(missing_ok=True)
        child = forks.server().start(module, args, out=out, env=env, cwd=self.folder)
        return subprocess.CompletedProcess((module, *args), child.wait(180), child.text)

    @property
    def reports(self) -> Path:
        """Where the runs write."""
        return self.folder / "reports"

    def document(self, name: str) -> str:
        """Return a document of the one rollout."""
        [path] = self.reports.glob(f"*-toy-*/{name}")
        return path.read_text(encoding="utf-8")


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """A running toy gateway, and a folder for its user."""
    found = Toy(tmp_path)
    yield found
    found.gateway.stop()
    end_watchdogs(found.reports)


def test_what_the_gateway_lacks_is_never_green(toy: Toy) -> None:
    """Not applicable in every document; what the policy insists on is waived, which people answer for."""
    toy.write("scenarios/policy.yaml", POLICY + "  required: [PRE-5.3, MON-4]\n  review: named\n")
    toy.write("scenarios/toy.yaml", SCENARIO + WAIVERS)
    ended = toy.run("pytest", "--scenario=scenarios/toy.yaml")
    assert ended.returncode == 0, ended.stdout
    assert toy.gateway.active == {"provider": "openai", "model": "gpt-4o"}
    assert "= KEPT: " in ended.stdout
    assert_not_applicable_everywhere(toy, ended.stdout)
    for clause in REQUIRED:
        assert f"{clause} (WAIVED)" in ended.stdout
        assert re.search(rf"{clause} WAIVED: nobody alerts here.*{ALERTS}", ended.stdout)
    assert_only_what_is_there_was_polled(toy)
    verified = toy.run("rollout", "verify-journal")
    assert verified.returncode == 0, verified.stdout


def assert_not_applicable_everywhere(toy: Toy, printed: str) -> None:
    """Assert that terminal, summary, change record, index and JUnit name each clause with its reason."""
    texts = [toy.document("summary.md"), toy.document("change-record.md")]
    texts.append((toy.reports / "index.html").read_text(encoding="utf-8"))
    suites = ET.fromstring(toy.document("junit.xml"))  # noqa: S314 - the suite's own file
    cases = {case.attrib["name"].split()[0]: case for case in suites.iter("testcase")}
    exceptions = json.loads(toy.document("change-record.json"))["exceptions"]
    for clause, why in LACKING.items():
        assert re.search(rf"○ {clause} .*\n +NOT APPLICABLE: {why}", printed), printed
        assert f"{clause} (NOT APPLICABLE)" in printed
        named = f"{clause} NOT APPLICABLE: {why}"
        assert [named in text.replace("\\", "") for text in texts] == [True] * len(texts)
        assert named in exceptions
        skipped = cases[clause].find("skipped")
        assert skipped is not None
        assert skipped.attrib["message"] == f"NOT APPLICABLE: {why}"


def assert_only_what_is_there_was_polled(toy: Toy) -> None:
    """Assert that no source of what is lacking gave a sample, and that the triggers of it do not hold."""
    bodies = [(entry.kind, entry.body) for entry in entries(toy.reports)]
    assert {body["source"] for kind, body in bodies if kind == Kind.SAMPLE} == {"synthetic", "way_back"}
    states = {body["clause"]: body["state"] for kind, body in bodies if kind == Kind.VERDICT}
    assert {clause for clause, state in states.items() if state == "not applicable"} == {"MON-1", "MON-4"}
    assert {states[clause] for clause in ("MON-2", "MON-3", "MON-5", "MON-6", "MON-7")} == {"holding"}


def test_a_provider_that_fails_is_rolled_back(toy: Toy) -> None:
    toy.sick = True
    toy.write("scenarios/toy.yaml", SCENARIO)
    ended = toy.run("pytest", "--scenario=scenarios/toy.yaml")
    assert ended.returncode == 10, ended.stdout
    assert toy.gateway.active == {"provider": "ollama", "model": "gemma3"}
    assert toy.written[-1] == {"provider": "ollama", "model": "gemma3"}
    assert "ROLLED BACK, verified" in ended.stdout
    steps = {entry.body["clause"]: entry.body for entry in entries(toy.reports) if entry.kind == Kind.STEP}
    assert (steps["RBK-1.2"]["outcome"], steps["RBK-1.2"]["message"]) == ("not applicable", ALERTS)
    assert "the service was healthy" in steps["RBK-4.2"]["message"]


def test_the_plan_names_what_is_not_applicable_and_what_is_sent(toy: Toy) -> None:
    planned = toy.run("rollout", "plan", "--scenario=scenarios/toy.yaml")
    assert planned.returncode == 0, planned.stdout
    assert toy.written == []
    head, _, rest = planned.stdout.partition("not applicable on this gateway, and never a pass:\n")
    listed = dict(line.strip().split(": ", 1) for line in rest.splitlines()[:5])
    assert listed == {**LACKING, **dict.fromkeys(REQUIRED, ALERTS)}
    assert "PUT /active" in head


LIMITS = "{limits: cost, scope: global, soft_limit_usd: 1, hard_limit_usd: 2}"
REFUSALS = {
    "limits": (
        ("toy", SCENARIO.replace("{activate: openai, model: gpt-4o}", LIMITS)),
        (
            "scenarios/toy.yaml:1: change: sets cost limits, and the gateway of target 'toy' has none: the "
            "toy gateway "
            "has no cost_limits; remove it"
        ),
    ),
    "no measure": (
        ("toy", SCENARIO.replace("synthetic_every: 1s", "probes: off")),
        (
            "scenarios/toy.yaml:4: monitor.probes: are off, and the gateway of target 'toy' counts no "
            "requests: the toy "
            "gateway has no counters; so nothing would measure errors and latency (MON-2, MON-3); send some, or name "
            "Prometheus (`sources: {prometheus: …}`) in the target"
        ),
    ),
    "a canary": (
        ("toy", SCENARIO.replace("window: 40s, ", "") + "strategy: canary\n"),
        (
            "scenarios/toy.yaml:5: strategy: traffic cannot move in stages on target 'toy': the toy gateway "
            "has no weights; "
            "write `without_weights: single_request`, which moves all of it at once"
        ),
    ),
    "required": (
        ("policy", POLICY + "  required: [MON-4]\n"),
        (
            "scenarios/targets.yaml:1: toy.sources: lab requires MON-4, which is not applicable here: the "
            "toy gateway has "
            "no alerts; add `sources: {alertmanager: …}`, or waive MON-4 in the scenario"
        ),
    ),
}


@pytest.mark.parametrize(("file", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_needs_it_is_refused_with_file_and_line_before_the_first_request(
    toy: Toy, file: tuple[str, str], message: str
) -> None:
    name, text = file
    toy.write(f"scenarios/{name}.yaml", text)
    before = toy.gateway.requests
    ended = toy.run("pytest", "--scenario=scenarios/toy.yaml")
    assert ended.returncode == 4, ended.stdout
    assert message in ended.stdout
    assert toy.gateway.requests == before


def test_a_clause_that_is_observed_there_cannot_be_waived_for_its_lack(toy: Toy) -> None:
    toy.write("scenarios/toy.yaml", SCENARIO + WAIVERS.replace("target: toy", ""))
    toy.write("scenarios/targets.yaml", f"toy: {{environment: lab, url: {toy.url}}}\n")
    ended = toy.run("pytest", "--scenario=scenarios/toy.yaml")
    assert ended.returncode == 4, ended.stdout
    assert "waivers[0].clause: MON-4 cannot be waived: an operator may hold its rollback" in ended.stdout


def test_an_emergency_goes_by_the_drivers_own_call(toy: Toy) -> None:
    to = ("--provider=openai", "--model=gpt-4o", "--yes")
    ended = toy.run("rollout", "emergency", "--target=toy", *to, "--reason=outage")
    assert ended.returncode == 0, ended.stdout
    assert toy.written == [{"provider": "openai", "model": "gpt-4o"}]
    assert "active was ollama:gemma3" in ended.stdout


def test_an_intent_holds_the_writes_in_words(toy: Toy) -> None:
    ended = toy.run("pytest", "-m", "precheck or apply", "--scenario=scenarios/toy.yaml")
    assert ended.returncode == 0, ended.stdout
    words = {entry.body["step"]: entry.body["writes"] for entry in entries(toy.reports) if entry.kind == Kind.INTENT}
    assert words["APP-0.2"] == ['PUT /active {"provider": "ollama", "model": "gemma3"}']
    assert words["APP-1.2"] == ['PUT /active {"provider": "openai", "model": "gpt-4o"}']
