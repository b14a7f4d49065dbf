"""PRE-1: the gateway's state is saved before anything else."""

from __future__ import annotations

from rollout.changes.backup import Backup
from rollout.core.result import Outcome
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("PRE-1.1")
def test_the_runtime_configuration_is_on_disk_and_reads_back_equal(backup: Outcome[Backup], show: Show) -> None:
    """The runtime configuration is in a timestamped backup that reads back equal.

    Fails when the gateway does not return it, the file cannot be written, or its digest no longer matches.
    """
    saved = backup.value
    show.facts("Runtime configuration", saved.config)
    show.facts("Backup file", {"path": saved.files["config"], "sha256": saved.digests["config"]})
    assert saved.config, "the gateway returned an empty configuration; a rollback has nothing to restore"
    assert not (damage := saved.damage("config")), damage


@clause("PRE-1.2")
def test_the_provider_status_is_saved_with_the_active_one(backup: Outcome[Backup], show: Show) -> None:
    """The provider list is in a backup, with the active provider and its model.

    Fails when no provider is active, its model is unknown, or the file no longer matches its digest.
    """
    saved = backup.value
    show.facts("Backup file", {"path": saved.files["providers"], "sha256": saved.digests["providers"]})
    assert saved.previous.model, "the active model is unknown"
    assert not (damage := saved.damage("providers")), damage


@clause("PRE-1.3")
def test_the_env_file_and_the_limits_are_saved(
    backup: Outcome[Backup], env_file_stated: str | None, show: Show
) -> None:
    """The .env file is copied byte for byte beside the original, and the governance limits are saved.

    Fails when the target does not say where the .env file is, or a copy no longer matches its digest.
    """
    saved = backup.value
    show.facts("Governance limits", {"cost_limits": saved.cost_limits, "rate_limits": saved.rate_limits})
    show.facts(".env copy: digest and key names only", saved.env or "the target states that it cannot be reached")
    assert env_file_stated is None, env_file_stated
    assert not (damage := saved.damage("limits") or saved.damage("env")), damage
