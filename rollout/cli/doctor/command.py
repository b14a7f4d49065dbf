"""``rollout doctor``: examine a gateway, reading only, and write a target file to start from."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rollout.core.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout doctor``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument("--gateway", metavar="URL", required=True, help="the base URL")
    parser.add_argument("--target", metavar="NAME", default="gateway", help="what to call it (default: gateway)")
    parser.add_argument("--token-env", metavar="NAME", help="the environment variable with the bearer token")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the target there (default: print it)")


def run(args: argparse.Namespace) -> int:
    """Examine the gateway, print the findings, and return 0 where it can be worked with, else 1.

    Raises:
        RolloutError: the URL or the token's variable is none, or the target file cannot be written.
    """
    from rollout.cli.doctor.examination import examine  # noqa: PLC0415 - heavy
    from rollout.cli.doctor.findings import describe_findings  # noqa: PLC0415
    from rollout.cli.doctor.target_file import render_target_file, write_target_file  # noqa: PLC0415

    found = examine(args.gateway, args.target, args.token_env, os.environ)
    print(describe_findings(found))
    if args.write is None:
        print(render_target_file(found), end="")
    else:
        write_target_file(found, args.write)
        print(f"written: {args.write}")
    return 0 if found.answers else ExitCode.CHECK_FAILED
