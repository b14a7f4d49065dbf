"""The backup is on disk, private, never overwritten, and any damage to it shows (PRE-1)."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes.backup import (
    Backup,
    BackupError,
    differences,
    env_difference,
    is_same_provider,
    recorded,
    take,
)
from rollout.core.canonical_json import sha256
from rollout.core.clock import SystemClock
from rollout.core.errors import GatewayError, NotCleared
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Routing, Target
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.host.env_text import EnvFileError
from rollout.gateway.responses import Weights
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import OLD, ScriptedGateway

SECRET = "planted-secret-9f3c"
ENV = f'# by hand\r\nACTIVE_PROVIDER=ollama\nREDIS_PASSWORD="{SECRET}"\n\nODD\n'.encode()


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def target(tmp_path: Path) -> Target:
    file = tmp_path / "service" / ".env"
    file.parent.mkdir()
    file.write_bytes(ENV)
    return Target("t", "sandbox", env_file=file, env_file_stated=True)


def taken(gateway: ScriptedGateway, target: Target, folder: Path, label: str = "r-1") -> Backup:
    redact = Redactor([SECRET]).value
    return take(gateway, target, folder / "backup", clock=SimulatedClock(), redact=redact, label=label)  # type: ignore[arg-type]


def test_every_file_is_on_disk_private_and_fits_its_digest(gateway, target, tmp_path):
    backup = taken(gateway, target, tmp_path)
    assert backup.env is not None
    files = [*map(Path, backup.files.values()), Path(backup.env.path)]
    assert len(files) == 4
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "20261123-120000" in file.name
    for what, file in backup.files.items():
        assert backup.digests[what] == sha256(Path(file).read_bytes())
    assert [backup.damage(what) for what in ("config", "providers", "limits", "env")] == [None] * 4
    assert json.loads(Path(backup.files["config"]).read_bytes())["config"]["ACTIVE_PROVIDER"] == "ollama"


def test_the_env_copy_lies_beside_the_original_and_is_byte_exact(gateway, target, tmp_path):
    backup = taken(gateway, target, tmp_path)
    assert backup.env is not None
    copy = Path(backup.env.path)
    assert copy.parent == target.env_file.parent
    assert copy.read_bytes() == ENV == target.env_file.read_bytes()
    assert backup.env.keys == ("ACTIVE_PROVIDER", "ODD", "REDIS_PASSWORD")


def test_no_secret_is_in_the_record_or_in_the_saved_files(gateway, target, tmp_path):
    gateway.config |= {"REDIS_PASSWORD": SECRET, "NOTE": f"uses {SECRET}"}
    backup = taken(gateway, target, tmp_path)
    assert SECRET not in json.dumps(backup.record())
    assert all(SECRET.encode() not in Path(file).read_bytes() for file in backup.files.values())


def test_a_backup_survives_the_journal_unchanged(gateway, target, tmp_path):
    backup = taken(gateway, target, tmp_path)
    assert Backup.from_record(json.loads(json.dumps({**backup.record(), "fence": 3}))) == backup
    assert recorded(backup.record()).previous == OLD


def test_without_a_backup_in_the_journal_nothing_goes_on():
    with pytest.raises(NotCleared, match="run `pytest -m precheck` first"):
        recorded(None)


@pytest.mark.parametrize("what", ["config", "env"])
def test_any_damage_to_a_file_shows(gateway, target, tmp_path, what):
    backup = taken(gateway, target, tmp_path)
    assert backup.env is not None
    file = Path(backup.env.path if what == "env" else backup.files[what])
    file.write_bytes(file.read_bytes() + b" ")
    assert "was altered" in str(backup.damage(what))
    file.unlink()
    assert "cannot be read: No such file" in str(backup.damage(what))


def test_two_backups_in_the_same_moment_do_not_meet(gateway, target, tmp_path):
    first, second = (taken(gateway, target, tmp_path, label) for label in ("r-1", "r-2"))
    assert set(first.files.values()).isdisjoint(second.files.values())
    assert first.env != second.env


def test_a_backup_is_never_overwritten(gateway, target, tmp_path):
    taken(gateway, target, tmp_path)
    with pytest.raises(BackupError, match="exists already; a backup is never overwritten"):
        taken(gateway, target, tmp_path)


def test_an_env_file_that_is_not_there_is_named_and_a_stated_none_is_none(gateway, target, tmp_path):
    with pytest.raises(EnvFileError, match=r"/nowhere/\.env: the \.env file cannot be read"):
        taken(gateway, replace(target, env_file=Path("/nowhere/.env")), tmp_path)
    backup = taken(gateway, replace(target, env_file=None), tmp_path, "r-2")
    assert backup.env is None
    assert backup.damage("env") is None


def test_a_disk_that_takes_no_file_is_one_line_and_leaves_no_half_backup(gateway, target, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackupError, match=r"cannot be written \(No space left on device\); nothing was applied"):
        taken(gateway, target, tmp_path)
    assert not list((tmp_path / "backup").glob("config-*"))


def test_what_differs_is_named_before_and_after(gateway, target, tmp_path):
    backup = taken(gateway, target, tmp_path)
    redact = Redactor().value
    assert differences(backup, gateway, redact) == {}
    gateway.config |= {"LLM_MODEL_NAME": "other", "NEW": "1"}
    gateway.cost_limits = {"global": {"soft_limit_usd": 1.0, "hard_limit_usd": 50.0}}
    gateway.rate_limits = {"global": {"max_requests_per_minute": 5.0}}
    found = differences(backup, gateway, redact)
    assert found["LLM_MODEL_NAME"] == "gemma3:4b -> other"
    assert found["NEW"] == "absent -> 1"
    assert set(found) == {"LLM_MODEL_NAME", "NEW", "cost limits global", "rate limits global"}
    del gateway.config["LLM_MODEL_NAME"]
    assert differences(backup, gateway, redact)["LLM_MODEL_NAME"] == "gemma3:4b -> absent"


def test_a_single_byte_of_the_env_file_counts(gateway, target, tmp_path):
    backup = taken(gateway, target, tmp_path)
    assert not env_difference(backup, target, SystemClock())
    target.env_file.write_bytes(ENV.replace(b"\r\n", b"\n"))
    assert env_difference(backup, target, SystemClock())


@pytest.mark.parametrize("active", [None, ""])
def test_no_active_provider_is_no_place_to_start_from(gateway, active):
    gateway.active = active
    with pytest.raises(GatewayError, match="no provider is active"):
        gateway.active_provider()


def test_a_configuration_without_the_model_s_key_says_how_to_mend_it(gateway):
    del gateway.config["LLM_MODEL_NAME"]
    with pytest.raises(GatewayError, match="name the key that holds the active model as the target's model_key"):
        gateway.active_provider()


def test_a_provider_under_another_name_is_known_by_the_one_that_activates_it(gateway, target):
    gateway.driver = driver_of(replace(target, reported_as={"google": "google-gemini"}))
    gateway.active = "Google-Gemini"
    assert gateway.active_provider() == ProviderChange("google", "gemma3:4b")


def test_a_place_is_provider_and_model_and_only_the_provider_s_case_is_free():
    assert is_same_provider(ProviderChange("OpenAI", "gpt-4o"), ProviderChange("openai", "gpt-4o"))
    assert not is_same_provider(ProviderChange("openai", "GPT-4o"), ProviderChange("openai", "gpt-4o"))
    assert not is_same_provider(ProviderChange("ollama", "gpt-4o"), ProviderChange("openai", "gpt-4o"))


def test_weights_are_saved_and_compared_where_the_target_splits_its_requests(gateway, target, tmp_path):
    splitting = replace(target, routing=Routing())
    gateway.driver = driver_of(splitting)
    gateway.weights = lambda: Weights({"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9})
    backup = taken(gateway, splitting, tmp_path)
    assert backup.weights == {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}
    assert Backup.from_record(json.loads(json.dumps(backup.record()))) == backup
    assert json.loads(Path(backup.files["providers"]).read_text())["weights"] == backup.weights
    assert differences(backup, gateway, lambda value: value) == {}
    gateway.weights = lambda: Weights({"ollama:gemma3:4b": 1.0})
    assert differences(backup, gateway, lambda value: value) == {
        "weights ollama:gemma3:4b": "0.9 -> 1.0",
        "weights openai:gpt-4o": "0.1 -> absent",
    }


def test_a_backup_of_before_there_were_weights_is_still_read(gateway, target, tmp_path):
    body = taken(gateway, target, tmp_path).record()
    del body["weights"]
    assert Backup.from_record(body).weights is None


@pytest.mark.parametrize("body", [{}, {"previous": 1, "env": None}, {"previous": {"provider": "x"}, "env": None}])
def test_an_entry_that_holds_no_backup_is_an_error_in_words(body: dict[str, object]):
    """`rollout recover` names it, and goes on with the other rollouts."""
    with pytest.raises(BackupError, match="the journal's entry of the backup cannot be read"):
        recorded(body)
