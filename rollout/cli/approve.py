"""``rollout approve``: approve one content in a file, and sign it (PRE-2.2, PRE-4.3, waivers, after the fact)."""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout.core.errors import RolloutError

_YAML = (".yaml", ".yml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout approve``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument("what", nargs="?", metavar="SCENARIO|ROLLOUT-ID", help="a scenario's file, or a rollout's id")
    parser.add_argument("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line")
    parser.add_argument("--ticket", metavar="ID", help="the ticket, where the run is given one")
    parser.add_argument("--target", metavar="NAME", help="where; overrides the scenario's")
    parser.add_argument("--gateway", metavar="URL", help="a base URL in place of the target's")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="default: policy.yaml beside the scenario")
    role = parser.add_mutually_exclusive_group()
    role.add_argument("--as", dest="role", choices=("operator",), help="stand by to roll it back, instead of reviewing")
    role.add_argument("--waiver", metavar="CLAUSE", help="approve this waiver of the scenario, instead of the change")
    parser.add_argument("--by", metavar="NAME", help="who approves, as the allowed signers name them (default: $USER)")
    parser.add_argument("--key", metavar="FILE", type=Path, help="sign with this SSH key, or with the agent's (.pub)")
    parser.add_argument("--comment", metavar="TEXT", default="", help="a remark, kept with the approval")


def run(args: argparse.Namespace) -> int:
    """Show what is approved, and write the approval: a file beside the scenario, or an entry of the rollout's journal.

    Raises:
        RolloutError: what was asked for cannot be approved, or not by this person with this key; nothing was written.
    """
    if args.what is None and args.activate is None:
        raise RolloutError("name what you approve: a scenario's file, --activate=PROVIDER:MODEL, or a rollout's id")
    from rollout.approvals import granting  # noqa: PLC0415 - heavy, and the parser is built for every command

    path = Path(args.what or "")
    if args.what is None or path.suffix in _YAML or path.is_file():
        return granting.content(args, None if args.what is None else path)
    return granting.afterwards(args)
