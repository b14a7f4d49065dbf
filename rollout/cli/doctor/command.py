"""``rollout doctor``: examine a gateway, reading only, and write a target file to start from, or list the kinds."""

from __future__ import annotations

import argparse
import os

from rollout.cli.doctor.diagnosis import describe_diagnosis, diagnose, render_diagnosed_target
from rollout.cli.doctor.examination import read_address
from rollout.cli.doctor.kinds import describe_kinds
from rollout.cli.doctor.target_file import write_target_file
from rollout.cli.progress import Progress
from rollout.core.errors import ExitCode


def run(args: argparse.Namespace) -> int:
    """Examine the gateway, print the findings, and return 0 where its kind is certain, else 1; or list the kinds.

    Raises:
        RolloutError: the URL or the token's variable is none, or the target file cannot be written.
    """
    if args.kinds:
        print(describe_kinds())
        return 0
    url, token = read_address(args.gateway, args.token_env, os.environ)
    with Progress() as progress:
        seen = diagnose(url, args.target, args.token_env, token, announce=progress.step)
    print(describe_diagnosis(seen))
    target = render_diagnosed_target(seen)
    if args.write is None:
        print(target, end="")
    else:
        write_target_file(target, args.write)
        print(f"written: {args.write}")
    return 0 if seen.is_certain else ExitCode.CHECK_FAILED
