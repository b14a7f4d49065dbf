"""``rollout drill``: inject each trigger's breach, and show whether it fires and how soon."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from rollout.cli.drill import live, named_gateway, replayed
from rollout.cli.drill.replayed import Drilled
from rollout.cli.journal_options import open_journal
from rollout.cli.scenario_options import load_request
from rollout.config.project import JOURNAL
from rollout.core.errors import ExitCode
from rollout.core.request import Request


def run(args: argparse.Namespace) -> int:
    """Drill, print what fired and how soon, and return 1 where a trigger did not fire as it should."""
    # Without --target or --gateway only the drill's own gateway is called.
    request = load_request(args, sends=bool(args.target or args.gateway))
    judged = list(replayed.judged(request))
    on_gateway = None
    if not args.json:
        print(replayed.text(judged, f"{request.scenario.name}, judged on a clock that takes no time:"), flush=True)
    if request.target.url is None if args.live is None else args.live:
        where, on_gateway = _drilled_live(args, request)
        if not args.json:
            print(replayed.text(on_gateway, f"for real, on {where}:"))
    elif not args.json:
        print("for real: not drilled; --live does so on an embedded gateway of the drill's own")
    if args.json:
        shown = {
            "scenario": request.scenario.name,
            "judged": list(map(asdict, judged)),
            "live": None if on_gateway is None else list(map(asdict, on_gateway)),
        }
        print(json.dumps(shown, indent=2))
    return ExitCode.CHECK_FAILED if any(row.is_finding for row in [*judged, *(on_gateway or ())]) else 0


def _drilled_live(args: argparse.Namespace, request: Request) -> tuple[str, list[Drilled]]:
    """Drill for real; return where, and the results. Only a gateway that the options name is touched."""
    if request.target.url is None or not (args.target or args.gateway):
        return "an embedded gateway of the drill's own", list(live.drilled(request, Path.cwd()))
    known = args.journal or (args.reports / JOURNAL).exists()
    with open_journal(args) if known else nullcontext() as journal:
        return f"{request.target.name}, {request.target.url}", list(
            named_gateway.drilled_at(request, Path.cwd(), journal)
        )
