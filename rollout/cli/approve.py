"""``rollout approve``: approve one content in a file, and sign it (PRE-2.2, PRE-4.3, waivers, after the fact)."""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout.approvals import granting
from rollout.core.errors import RolloutError

_YAML = (".yaml", ".yml")


def run(args: argparse.Namespace) -> int:
    """Show what is approved, and write the approval: a file beside the scenario, or an entry of the rollout's journal.

    Raises:
        RolloutError: what was asked for cannot be approved, or not by this person with this key; nothing was written.
    """
    if args.what is None and args.activate is None:
        raise RolloutError("name what you approve: a scenario's file, --activate=PROVIDER:MODEL, or a rollout's id")
    path = Path(args.what or "")
    if args.what is None or path.suffix in _YAML or path.is_file():
        return granting.content(args, None if args.what is None else path)
    return granting.afterwards(args)
