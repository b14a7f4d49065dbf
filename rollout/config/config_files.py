"""``targets.yaml`` and ``policy.yaml``: where they are, and what they list."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.config.policies import read_policies
from rollout.config.project import TARGETS
from rollout.config.source import Source
from rollout.config.targets import ListedTarget, read_targets
from rollout.config.yaml_source import read_yaml
from rollout.core.policy import Policy

_POLICY = "policy.yaml"


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """Both files; what is wrong with them is among the problems of their sources.

    Attributes:
        targets_path: the targets' file; None where there is none.
        targets: its source.
        policy_path: the policy's file; None where there is none.
        policy: its source.
        listed: name -> target.
        policies: environment -> policy.
    """

    targets_path: Path | None
    targets: Source
    policy_path: Path | None
    policy: Source
    listed: Mapping[str, ListedTarget]
    policies: Mapping[str, Policy]


def read_config_files(policy: Path | None, folders: Sequence[Path], targets: Path | None = None) -> ConfigFiles:
    """Return both files, each from the first of the `folders` that holds it.

    Args:
        policy: the file in the place of ``policy.yaml``.
        folders: the scenario's folder, where there is one, and the project's.
        targets: the file in the place of ``targets.yaml`` in the last folder.
    """
    policy_path, policy_source = read_policy_file(policy, folders)
    targets_path = (_first_of(folders[:-1], TARGETS) or targets) if targets else _first_of(folders, TARGETS)
    targets_source = _source(targets_path, folders[-1] / TARGETS)
    policies = read_policies(policy_source)
    listed = read_targets(targets_source, policies)
    return ConfigFiles(targets_path, targets_source, policy_path, policy_source, listed, policies)


def read_policy_file(policy: Path | None, folders: Sequence[Path]) -> tuple[Path | None, Source]:
    """Return the path of the policy's file, None where there is none, and its source."""
    path = policy or _first_of(folders, _POLICY)
    return path, _source(path, folders[-1] / _POLICY)


def is_there(path: Path) -> bool:
    """Return whether the path exists; a path that the system refuses does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def display_path(path: Path) -> str:
    """Return the path as short as it is unambiguous: relative below the current directory."""
    name = str(path)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        name = os.path.relpath(path)
    return name if name.isprintable() else repr(name)


def _first_of(folders: Sequence[Path], name: str) -> Path | None:
    """Return the file in the first folder that holds one; `embedded` needs none."""
    return next((folder / name for folder in folders if is_there(folder / name)), None)


def _source(path: Path | None, otherwise: Path) -> Source:
    """Return what the file says; without one, nothing."""
    return Source(display_path(otherwise)) if path is None else read_yaml(path, display_path(path))
