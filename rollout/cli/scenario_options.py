"""The options that name a scenario, and the `Request` that is loaded from them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.core.request import Request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a scenario, its target and its policy."""
    parser.add_argument("--scenario", metavar="FILE", type=Path, help="default: scenarios/quickstart.yaml")
    parser.add_argument("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line")
    parser.add_argument("--target", metavar="NAME", help="where; overrides the scenario's")
    parser.add_argument("--gateway", metavar="URL", help="a base URL in place of the target's")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="default: policy.yaml beside the scenario")


def load_request(args: argparse.Namespace, *, sends: bool = True) -> Request:
    """Return the validated request.

    Args:
        args: the options.
        sends: whether the command sends anything to the gateway.

    Raises:
        InvalidInput: with every mistake at once.
    """
    from rollout.config.load import load  # noqa: PLC0415 - heavy
    from rollout.gateway.embedded_proof import doubt_request  # noqa: PLC0415

    scenarios = Path("scenarios")
    return load(
        scenario=args.scenario or (None if args.activate else scenarios / "quickstart.yaml"),
        activate=args.activate,
        ticket=None,
        target=args.target,
        gateway=args.gateway,
        directory=scenarios,
        env=os.environ,
        policy=args.policy,
        sends=sends,
        doubt=doubt_request,
    )
