"""The `Request` that the options of a scenario name."""

from __future__ import annotations

import argparse
import os

from rollout.config.load import load
from rollout.config.project import DEFAULT_SCENARIO
from rollout.core.request import Request
from rollout.gateway.embedded_proof import doubt_request
from rollout.monitoring.planned_windows import unjudgeable_windows


def load_request(args: argparse.Namespace, *, sends: bool = True) -> Request:
    """Return the validated request.

    Args:
        args: the options.
        sends: whether the command sends anything to the gateway.

    Raises:
        InvalidInput: with every mistake at once.
    """
    return load(
        scenario=args.scenario or (None if args.activate else args.scenarios / DEFAULT_SCENARIO),
        activate=args.activate,
        ticket=None,
        target=args.target,
        gateway=args.gateway,
        directory=args.scenarios,
        env=os.environ,
        targets=args.targets,
        policy=args.policy,
        sends=sends,
        check_windows=unjudgeable_windows,
        doubt=doubt_request,
    )
