"""What a scenario and its policy need of a gateway that lacks it is refused with file and line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.core.errors import InvalidInput
from tests.config.test_load import CHANGE, TOKENS, refusal, request_for
from tests.support.drivers import install_driver

TARGETS = "gw:\n  url: https://gw.example.com\n  environment: lab\n  kind: toy\n  settings: {port: 8000}\n"
WAIVER = "waivers: [{clause: MON-4, reason: nobody alerts here, granted_by: dave, until: 2099-01-01}]\n"
Refuse = Callable[..., str]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return the arguments of a load of these files; the toy's driver lacks everything."""
    monkeypatch.syspath_prepend(install_driver(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)

    def files(scenario: str = "", policy: str = "lab: {}\n", targets: str = TARGETS) -> dict[str, Any]:
        (tmp_path / "scenario.yaml").write_text("target: gw\n" + CHANGE + scenario, encoding="utf-8")
        (tmp_path / "policy.yaml").write_text(policy, encoding="utf-8")
        (tmp_path / "targets.yaml").write_text(targets, encoding="utf-8")
        return {"scenario": Path("scenario.yaml"), "env": TOKENS}

    yield files
    sys.modules.pop("toy_driver", None)


def test_a_clause_that_the_policy_requires_needs_a_source_or_a_waiver(asked: Callable[..., dict[str, Any]]) -> None:
    insists = "lab: {required: [MON-4, VER-3]}\n"
    assert refusal(**asked(policy=insists)) == (
        "targets.yaml:1: gw.sources: lab requires MON-4, which is not applicable here: a toy has nothing; add "
        "`sources: {alertmanager: …}`, or waive MON-4 in the scenario\n"
        "targets.yaml:1: gw.sources: lab requires VER-3, which is not applicable here: a toy has nothing; waive VER-3 "
        "in the scenario"
    )
    server = "{url: 'http://127.0.0.1:9093', match: ['severity=\"critical\"']}"
    alertmanager = f"{TARGETS}  sources: {{alertmanager: {server}}}\n"
    assert "MON-4" not in refusal(**asked(policy=insists, targets=alertmanager))
    assert "MON-4" not in refusal(**asked(policy=insists, scenario=WAIVER))


def test_a_trigger_is_waived_only_where_the_gateway_lacks_what_it_observes(
    asked: Callable[..., dict[str, Any]],
) -> None:
    assert request_for(**asked(scenario=WAIVER)).scenario.waivers[0].clause == "MON-4"
    documented = TARGETS.replace("  kind: toy\n  settings: {port: 8000}\n", "")
    said = refusal(**asked(scenario=WAIVER, targets=documented))
    assert "waivers[0].clause: MON-4 cannot be waived: an operator may hold its rollback" in said


def test_a_clause_that_needs_an_outcome_anyway_is_not_required(asked: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput, match="MON-2 needs an outcome on every gateway already"):
        request_for(**asked(policy="lab: {required: [MON-2]}\n"))
