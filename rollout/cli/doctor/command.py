"""``rollout doctor``: examine a gateway, reading only, and write a target file to start from, or list the kinds."""

from __future__ import annotations

import argparse
import os

from rollout.cli.doctor.examination import examine
from rollout.cli.doctor.findings import describe_findings
from rollout.cli.doctor.kinds import describe_kinds
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
    with Progress() as progress:
        found = examine(args.gateway, args.target, args.token_env, os.environ, announce=progress.step)
    print(describe_findings(found))
    if args.write is None:
        print(render_target_file(found), end="")
    else:
        write_target_file(found, args.write)
        print(f"written: {args.write}")
    return 0 if found.answers else ExitCode.CHECK_FAILED
