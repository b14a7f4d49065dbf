"""The tables of docs/POWER.md are what its command prints, and its sentences what the suite says."""

from __future__ import annotations

import runpy

import pytest

from rollout.monitoring.effective_limit import fewest_baseline_requests
from tests.monitoring.test_foreseen_power import foreseen, users
from tests.support.forks import ROOT

PAGE = (ROOT / "docs" / "POWER.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
COMMAND = runpy.run_path(str(ROOT / "docs" / "power_table.py"))


@pytest.mark.parametrize("table", COMMAND["TABLES"], ids=lambda table: table.__name__)
def test_a_table_is_what_the_command_prints(table):
    assert COMMAND["markdown"](table()) in PAGE


def test_the_sentences_are_those_of_one_request_a_minute():
    lines = foreseen(users(1 / 60), usd_per_1k_tokens=0.07).lines
    assert [line for line in lines if line not in TEXT] == []


def test_a_baseline_of_users_requests_takes_fewer():
    fewest = [fewest_baseline_requests(alpha) for alpha in (0.01, 0.001)]
    assert f"takes {fewest[0]} at alpha 0.01 and {fewest[1]} at alpha 0.001" in TEXT
