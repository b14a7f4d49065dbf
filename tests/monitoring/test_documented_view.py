"""The page of docs/WATCHING.md is what the view shows."""

from __future__ import annotations

import re
from dataclasses import replace

from rollout.monitoring.live_page import Page
from rollout.monitoring.verdict import State, Verdict
from tests.monitoring.test_live_view import HEADING, MANY, lines_of, moving, probe
from tests.support.forks import ROOT

WINDOW = "the window's 11 min 13 s"


def test_the_documented_page_is_what_the_view_shows() -> None:
    block = re.search(r"```text\n(18 min.*?)\n```", (ROOT / "docs/WATCHING.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    at = "2026-11-24T12:0{}Z"
    phases = ("precheck", "0:07"), ("apply", "1:12"), ("verify", "1:31")
    passed = tuple(f"{phase} passed at {at.format(time)}" for phase, time in phases)
    made = Page(replace(HEADING, rollout="20261124-120000-openai", phases=passed))
    made.sample(probe(670.0))
    seen = (
        Verdict("MON-1", State.HOLDING, "connected", "connected", 67, "status", "", "1", ""),
        Verdict("MON-2", State.HOLDING, 0.012, 0.05, 673, "users", WINDOW, "1", "", interval=(0.0033, 0.0287)),
        Verdict("MON-3", State.HOLDING, 120.0, 200.0, 673, "users", WINDOW, "1", "", (0.0, 0.0099), 272.0),
        Verdict("MON-4", State.HOLDING, "none", "none", 22, "alerts", "", "1", ""),
        Verdict("MON-5", State.HOLDING, "none", "none", 101, "operator, log, fallbacks, synthetic", "", "1", ""),
        Verdict("MON-6", State.HOLDING, "0 of 201 failed", "3 in a row/20%", 201, MANY, "", "1", ""),
    )
    assert lines_of(moving(made, seen, 673.0), 80) == block[1].splitlines()
