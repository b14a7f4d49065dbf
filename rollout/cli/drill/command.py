"""``rollout drill``: inject each trigger's breach, and show whether it fires and how soon."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.cli import scenario_options
from rollout.cli.journal_options import open_journal
from rollout.cli.scenario_options import load_request
from rollout.core.errors import ExitCode

if TYPE_CHECKING:
    from rollout.cli.drill.replayed import Drilled
    from rollout.core.request import Request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout drill``, but ``--reports`` and ``--journal``, which every command has."""
    scenario_options.add_arguments(parser)
    parser.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        help="for real too, on an embedded gateway of the drill's own (default: where the target is the embedded one), "
        "or on the one that --target or --gateway names, which has a control interface and is not production",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Drill, print what fired and how soon, and return 1 where a trigger did not fire as it should."""
    from rollout.cli.drill import replayed  # noqa: PLC0415 - heavy

    # Without --target or --gateway only the drill's own gateway is called.
    request = load_request(args, sends=bool(args.target or args.gateway))
    judged = list(replayed.judged(request))
    live = None
    if not args.json:
        print(replayed.text(judged, f"{request.scenario.name}, judged on a clock that takes no time:"), flush=True)
    if request.target.url is None if args.live is None else args.live:
        where, live = _drilled_live(args, request)
        if not args.json:
            print(replayed.text(live, f"for real, on {where}:"))
    elif not args.json:
        print("for real: not drilled; --live does so on an embedded gateway of the drill's own")
    if args.json:
        both = {"judged": judged, "live": live}
        shown = {how: None if rows is None else list(map(replayed.record, rows)) for how, rows in both.items()}
        print(json.dumps({"scenario": request.scenario.name, **shown}, indent=2))
    return ExitCode.CHECK_FAILED if any(row.is_finding for row in [*judged, *(live or ())]) else 0


def _drilled_live(args: argparse.Namespace, request: Request) -> tuple[str, list[Drilled]]:
    """Drill for real; return where, and the results. Only a gateway that the options name is touched."""
    from rollout.cli.drill.live import drilled  # noqa: PLC0415
    from rollout.cli.drill.named_gateway import drilled_at  # noqa: PLC0415 - only here

    if request.target.url is None or not (args.target or args.gateway):
        return "an embedded gateway of the drill's own", list(drilled(request, Path.cwd()))
    known = args.journal or (Path(args.reports) / "journal.sqlite").exists()
    with open_journal(args) if known else nullcontext() as journal:
        return f"{request.target.name}, {request.target.url}", list(drilled_at(request, Path.cwd(), journal))
