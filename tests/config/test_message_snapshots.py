"""The complete message of ten bad scenarios, compared with the files in `messages/`.

A message that changes on purpose is written again, and its difference read before it is committed:

    RENEW_MESSAGES=1 python -m pytest -n 0 tests/config/test_message_snapshots.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollout.config.load import load
from rollout.core.errors import InvalidInput
from tests.support.forks import ROOT

MESSAGES = Path("tests/config/messages")
BAD_SCENARIOS = Path("tests/bad_scenarios")
SCENARIOS = {
    "unknown-key-with-suggestion": BAD_SCENARIOS / "key-unknown.yaml",
    "wrong-type": BAD_SCENARIOS / "boolean-where-text.yaml",
    "missing-key": BAD_SCENARIOS / "change-incomplete.yaml",
    "out-of-range": BAD_SCENARIOS / "out-of-bounds.yaml",
    "bad-quantity": BAD_SCENARIOS / "duration-unknown-unit.yaml",
    "bad-choice": BAD_SCENARIOS / "strategy-unknown.yaml",
    "conflicting-keys": BAD_SCENARIOS / "change-kinds-mixed.yaml",
    "bad-time-window": MESSAGES / "bad-time-window" / "scenario.yaml",
    "ten-mistakes": BAD_SCENARIOS / "ten-mistakes.yaml",
    "yaml-syntax": BAD_SCENARIOS / "yaml-broken.yaml",
}
"""Snapshot -> scenario, from the root of the repository, as the message names it."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_bad_scenario_is_refused_in_the_whole_message_of_its_snapshot(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InvalidInput) as refused:
        load(
            scenario=SCENARIOS[name],
            activate=None,
            ticket=None,
            target=None,
            gateway=None,
            directory=Path("scenarios"),
            env={"GATEWAY_TOKEN": "t0ken", "STAGING_GATEWAY_TOKEN": "t0ken", "USER": "alice"},
            doubt=lambda _request: "",
        )
    snapshot = MESSAGES / f"{name}.txt"
    message = f"{refused.value}\n"
    if os.environ.get("RENEW_MESSAGES"):
        snapshot.write_text(message, encoding="utf-8")
    assert message == snapshot.read_text(encoding="utf-8")


def test_every_snapshot_has_its_scenario():
    assert {file.stem for file in (ROOT / MESSAGES).glob("*.txt")} == SCENARIOS.keys()
