"""``rollout drill``: inject each trigger's breach, and show whether it fires and how soon."""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path

from rollout.cli.drill import live, named_gateway, replayed
from rollout.cli.drill.replayed import Drilled
from rollout.cli.journal_options import open_journal
from rollout.cli.progress import Progress
from rollout.cli.scenario_options import load_request
from rollout.config.project import JOURNAL
from rollout.core.errors import ExitCode
from rollout.core.request import Request


def run(args: argparse.Namespace) -> int:
    """Drill, print what fired and how soon, and return 1 where a trigger did not fire as it should."""
    # Without --target or --gateway only the drill's own gateway is called.
    request = load_request(args, sends=bool(args.target or args.gateway))
    with Progress() as progress:
        progress.step("injecting each trigger's breach, on a simulated clock")
        judged = list(replayed.judged(request))
    on_gateway = None
    if not args.json:
        print(replayed.text(judged, f"{request.scenario.name}, judged on a simulated clock:"), flush=True)
    if request.target.url is None if args.live is None else args.live:
        on_gateway = _drill_live(args, request)
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


def _drill_live(args: argparse.Namespace, request: Request) -> list[Drilled]:
    """Drill for real, and print each result when it is there. Only a gateway that the options name is touched."""
    if request.target.url is None or not (args.target or args.gateway):
        return _print_rows(args, "an embedded gateway of the drill's own", live.drilled(request, Path.cwd()))
    known = args.journal or (args.reports / JOURNAL).exists()
    with open_journal(args) if known else nullcontext() as journal:
        rows = named_gateway.drilled_at(request, Path.cwd(), journal)
        return _print_rows(args, f"{request.target.name}, {request.target.url}", rows)


def _print_rows(args: argparse.Namespace, where: str, results: Generator[Drilled, None, None]) -> list[Drilled]:
    """Print a heading, the result of each breach as soon as it is there, and their totals; nothing where JSON is asked.

    Returns:
        the results.
    """
    rows: list[Drilled] = []

    def say(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    # Closed here, and not by the interpreter: a drill that is broken off ends its rollout and its lease at once.
    with closing(results), Progress() as progress:
        say(f"for real, on {where}:")
        for _, row in zip(chain(_announce_breaches(progress), repeat(None)), results, strict=False):
            progress.pause()
            say(f"  {row}")
            rows.append(row)
    say(f"  {replayed.totals(rows)}")
    return rows


def _announce_breaches(progress: Progress) -> Iterator[None]:
    """Announce each breach when it is asked for, before the rollout that drills it."""
    for number, breach in enumerate(live.BREACHES, 1):
        progress.step(f"{breach.clause}, {breach.what}: rollout {number} of {len(live.BREACHES)}")
        yield
