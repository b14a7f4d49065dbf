"""``rollout doctor``: examine a gateway, reading only, and write a target file to start from, or list the kinds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rollout.cli.doctor.examination import examine, read_address
from rollout.cli.doctor.findings import describe_findings
from rollout.cli.doctor.kinds import describe_kinds
from rollout.cli.doctor.recognition import describe_candidates, describe_recognised, propose_target, recognise
from rollout.cli.doctor.target_file import render_target_file, write_target_file
from rollout.cli.progress import Progress
from rollout.core.errors import ExitCode


def run(args: argparse.Namespace) -> int:
    """Examine the gateway, print the findings, and return 0 where it can be worked with, else 1; or list the kinds.

    Raises:
        RolloutError: the URL or the token's variable is none, or the target file cannot be written.
    """
    if args.kinds:
        print(describe_kinds())
        return 0
    url, token = read_address(args.gateway, args.token_env, os.environ)
    with Progress() as progress:
        kinds, paths = recognise(url, token, progress.step)
    if kinds and kinds[0].seen.is_certain:
        print(describe_recognised(url, kinds[0], paths))
        _hand_out(propose_target(url, args.target, args.token_env, kinds[0]), args.write)
        return 0
    with Progress() as progress:
        found = examine(url, args.target, args.token_env, token, announce=progress.step)
    print(describe_findings(found))
    if kinds and not found.answers:
        print(describe_candidates(kinds))
    _hand_out(render_target_file(found), args.write)
    return 0 if found.answers else ExitCode.CHECK_FAILED


def _hand_out(target: str, path: Path | None) -> None:
    """Print the target file, or write it where a path is given."""
    if path is None:
        print(target, end="")
    else:
        write_target_file(target, path)
        print(f"written: {path}")
