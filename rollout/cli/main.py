"""The `rollout` command: everything that is not a check. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.core.caller import caller
from rollout.core.command_line import Parser
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.visible import beneath, on_one_line, seen_through

if TYPE_CHECKING:
    from rollout.cli.drill.replayed import Drilled
    from rollout.core.redaction import Redactor
    from rollout.core.request import Request
    from rollout.engine.emergency import Order, Say, Sent
    from rollout.engine.recovery import Case
    from rollout.journal.journal import Journal
    from rollout.journal.record import RolloutRecord

Command = Callable[[argparse.Namespace], int]
EMERGENCY = "go to the target's safe provider at once, without prechecks (EMG)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a user's mistake is one line, never a traceback.

    Args:
        argv: the arguments; the process's own by default.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    # An emergency does not wait for what the other commands load.
    args = (_emergency_parser() if words[:1] == ["emergency"] else _parser()).parse_args(words)
    command: Command = args.command
    # What the commands print was said by gateways, services and people: none of it is obeyed by the terminal.
    through = str if words[:1] == ["emergency"] else _hiding()
    sys.stdout, sys.stderr = seen_through(sys.stdout, through), seen_through(sys.stderr, through)
    try:
        return command(args)
    except RolloutError as error:
        print(f"rollout: {_without_secrets(str(error))}", file=sys.stderr)
        return ExitCode.USAGE
    except BrokenPipeError:
        # The reader left (`| head`); what was asked for has been said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        sys.stdout, sys.stderr = beneath(sys.stdout), beneath(sys.stderr)


def _without_secrets(text: str) -> str:
    from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

    return knowing(os.environ).text(text)


def _hiding() -> Callable[[str], str]:
    """Return what takes the environment's secrets out of a command's output, loaded when something is printed.

    Their values only: what is printed may be JSON, in which the number of a token is one.
    """
    known: list[Redactor] = []

    def through(text: str) -> str:
        from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

        if not known:
            known.append(knowing(os.environ))
        return known[0].known(text)

    return through


def _parser() -> Parser:
    parser = Parser(
        prog="rollout",
        description="Look at, stop or take back a rollout, or run the embedded gateway. A rollout itself is `pytest`.",
        epilog="exit codes: 0 done, 4 usage or input, 10 rolled back and verified, 11 a person is needed",
    )
    from rollout.cli import approve  # noqa: PLC0415 - an emergency does without
    from rollout.cli import status as status_table  # noqa: PLC0415 - likewise
    from rollout.sandbox import command as sandbox  # noqa: PLC0415 - likewise

    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "emergency", _emergency, EMERGENCY)
    gateway = commands.add_parser("sandbox", help="run the embedded gateway", description=sandbox.__doc__)
    sandbox.add_arguments(gateway)
    gateway.set_defaults(command=sandbox.run)
    status = _add(commands, "status", _status, "show the rollouts in flight, and what is owed to closed ones")
    status.add_argument("--all", action="store_true", help="show the closed ones too")
    status_table.add_arguments(status)
    status.add_argument("--json", action="store_true", help="one JSON document")
    status.add_argument(
        "--reconcile", metavar="TARGET", help="list the changes at this target that no rollout made; 1 if there are any"
    )
    rollback = _add(commands, "rollback", _rollback, "take a rollout back, kept or in flight")
    _add_id(rollback)
    rollback.add_argument("--reason", default="asked for on the command line", help="why, for the record")
    _add(commands, "recover", _recover, "take back what was left in flight by runs that are gone")
    plan = _add(commands, "plan", _plan, "show what apply would execute, and what the rollback would; nothing is done")
    _add_scenario(plan)
    drill = _add(commands, "drill", _drill, "inject each trigger's breach, and say whether it fires and how soon")
    _add_scenario(drill)
    drill.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        help="for real too, on an embedded gateway of the drill's own (default: where the target is the embedded one), "
        "or on the one that --target or --gateway names, which has a control interface and is not production",
    )
    drill.add_argument("--json", action="store_true", help="one JSON document")
    doctor = _add(commands, "doctor", _doctor, "examine a gateway, reading only, and write a target file to start from")
    doctor.add_argument("--gateway", metavar="URL", required=True, help="the base URL")
    doctor.add_argument("--target", metavar="NAME", default="gateway", help="what to call it (default: gateway)")
    doctor.add_argument("--token-env", metavar="NAME", help="the environment variable with the bearer token")
    doctor.add_argument("--write", metavar="FILE", type=Path, help="write the target there (default: print it)")
    report = _add(commands, "report", _report, "build report.html, also of a run that was killed")
    report.add_argument("id", nargs="?", help="the rollout's id (default: the latest)")
    approve.add_arguments(_add(commands, "approve", approve.run, "approve a scenario, or a rollout after the fact"))
    from rollout.audit import command as audit  # noqa: PLC0415
    from rollout.cli import prune  # noqa: PLC0415 - an emergency does without

    audit.add_arguments(
        _add(commands, "verify-journal", _verify, "check that the record is as it was written, and that it follows")
    )
    prune.add_arguments(
        _add(commands, "prune", _prune, "archive the folders of old rollouts, and remove them; the journal stays")
    )
    abort = _add(commands, "abort", _abort, "ask a rollout that is being watched to roll back (MON-5)")
    _add_id(abort)
    abort.add_argument("--reason", default="no reason given", help="what was seen")
    hold = _add(
        commands, "hold", _hold, "hold the automatic rollback of a rollout that is being watched, or release it"
    )
    _add_id(hold)
    how = hold.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--for", dest="duration", metavar="DURATION", help="how long from now: 15m; the policy has a limit"
    )
    how.add_argument("--release", action="store_true", help="end the hold: a breach that stands rolls back at once")
    hold.add_argument("--reason", default="", help="why, for the record; a hold needs one")
    return parser


def _emergency_parser() -> Parser:
    from rollout.engine import emergency  # noqa: PLC0415 - this command's own

    parser = Parser(prog="rollout", description="In an emergency.")
    emergency.add_arguments(_add(parser.add_subparsers(required=True), "emergency", _emergency, EMERGENCY))
    return parser


def _emergency(args: argparse.Namespace) -> int:
    from rollout.engine import emergency  # noqa: PLC0415 - this command's own

    return emergency.run(args, _aftermath)


def _aftermath(order: Order, sent: Sent, env: Mapping[str, str], say: Say) -> int:
    from rollout.engine.emergency_followup import finish  # noqa: PLC0415 - everything heavy comes after the activation

    code = finish(order, sent, env, say)
    with suppress(Exception):
        # The emergency is over and recorded; that its line is not on the page yet must not change what it came to.
        _reindex(order)
    return code


def _reindex(order: Order) -> None:
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - with the journal
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html.index import write  # noqa: PLC0415

    with Journal.open(order.journal, clock=SystemClock(), create=False) as journal:
        write(journal, order.reports)


def _add(commands: argparse._SubParsersAction[Parser], name: str, command: Command, text: str) -> Parser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--reports", metavar="DIR", default="reports", help="where evidence is (default: reports)")
    parser.add_argument("--journal", metavar="URL", help="where the state lives (default: REPORTS/journal.sqlite)")
    parser.set_defaults(command=command)
    return parser


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="the rollout's id (default: the only one in flight)")


def _add_scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", metavar="FILE", type=Path, help="default: scenarios/quickstart.yaml")
    parser.add_argument("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line")
    parser.add_argument("--target", metavar="NAME", help="where; overrides the scenario's")
    parser.add_argument("--gateway", metavar="URL", help="a base URL in place of the target's")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="default: policy.yaml beside the scenario")


def _journal(args: argparse.Namespace) -> Journal:
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - SQLAlchemy is heavy
    from rollout.core.redaction import knowing  # noqa: PLC0415
    from rollout.journal.journal import Journal  # noqa: PLC0415

    url = args.journal or f"sqlite:///{Path(args.reports).absolute() / 'journal.sqlite'}"
    # Runs make journals; whoever asks about one, or writes into one, has a run that made it.
    return Journal.open(url, clock=SystemClock(), redact=knowing(os.environ).value, create=False)


def _reconcile(args: argparse.Namespace) -> int:
    from rollout.core.clock import SystemClock  # noqa: PLC0415
    from rollout.engine import drift  # noqa: PLC0415 - heavy
    from rollout.journal.records import records  # noqa: PLC0415

    with _journal(args) as journal:
        told = drift.reconcile(records(journal), args.reconcile, os.environ, SystemClock())
    print(json.dumps(told.facts(), indent=2) if args.json else drift.text(told), end="\n" if args.json else "")
    return ExitCode.CHECK_FAILED if told.outside else 0


def _status(args: argparse.Namespace) -> int:
    if args.reconcile is not None:
        return _reconcile(args)
    from rollout.approvals.obligations import open_of  # noqa: PLC0415 - heavy
    from rollout.cli import status as status_table  # noqa: PLC0415 - heavy
    from rollout.engine.recovery import in_flight  # noqa: PLC0415 - heavy
    from rollout.journal.records import records  # noqa: PLC0415 - heavy

    with _journal(args) as journal:
        cases, now = {case.record.id: case for case in in_flight(journal)}, journal.now()
        asked = status_table.parse_query(args, now)
        everything = args.all or bool(asked)
        known = [record for record in records(journal) if everything or record.id in cases or _is_owed(record)]
        known = [record for record in known if asked.fits(record)]
        owed = [open_of(record) for record in known]
        shown = [_facts(record, cases.get(record.id)) for record in known]
    if args.json:
        told = [facts | {"owed": [each.facts(now) for each in owes]} for facts, owes in zip(shown, owed, strict=True)]
        print(json.dumps(told, indent=2))
        return 0
    if everything and shown and sys.stdout.isatty():
        status_table.show(
            [facts | {"owed": [each.brief(now) for each in owes]} for facts, owes in zip(shown, owed, strict=True)]
        )
        return 0
    for facts, owes in zip(shown, owed, strict=True):
        lines = [f"{name:<8}{on_one_line(str(value))}" for name, value in facts.items() if value is not None]
        print("\n".join([*lines, *(f"owed    {each.told(now)}" for each in owes)]), end="\n\n")
    if not shown:
        none = "no rollout yet" if args.all else "no rollout is in flight, and nothing is owed"
        print("no such rollout" if asked else none)
    return 0


def _is_owed(record: RolloutRecord) -> bool:
    """Tell whether people, or a later call, still owe something to a closed rollout."""
    from rollout.approvals.obligations import open_of  # noqa: PLC0415 - heavy

    return bool(open_of(record) or record.missing_evidence)


def _state(record: RolloutRecord, case: Case | None) -> str:
    if record.awaits_evidence:
        return "kept, evidence owed"
    return "in flight" if case else str(record.decision or "open").replace("_", " ")


def _facts(record: RolloutRecord, case: Case | None) -> dict[str, object]:
    """Return what is known of a rollout: what, where, since when, by whom, until when, and what to do."""
    from rollout.reporting.time_in_effect import effect_of  # noqa: PLC0415 - with the journal

    return {
        "rollout": record.id,
        "state": _state(record, case),
        "change": record.opened["change"],
        "target": f"{record.opened['target']['name']} at {record.opened['url']}",
        "by": record.opened["author"],
        "since": record.opened_at,
        "closed": record.closed_at or None,
        "missing": "; ".join(record.missing_evidence) or None,
        "effect": str(effect_of(record)) or None,
        "held": case.why if case else None,
        "hold": _held(record),
        "why": (record.closed or {}).get("why"),
        "next": None if case is None else f"rollout {'recover' if case.stranded else f'abort {record.id}'}",
    }


def _held(record: RolloutRecord) -> str | None:
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - with the journal
    from rollout.monitoring.hold import of_record  # noqa: PLC0415

    hold = of_record(record, SystemClock().now())
    return None if hold is None else f"the rollback is {hold}"


def _chosen(journal: Journal, wanted: str | None) -> RolloutRecord:
    from rollout.journal.records import records  # noqa: PLC0415 - heavy

    known = records(journal)
    if wanted is not None:
        found = [record for record in known if record.id == wanted]
        if not found:
            raise RolloutError(f"there is no rollout {wanted!r}; `rollout status --all` lists them")
        return found[0]
    in_flight = [record for record in known if record.in_flight]
    if len(in_flight) != 1:
        ids = ", ".join(record.id for record in in_flight) or "none"
        raise RolloutError(f"{len(in_flight)} rollouts are in flight ({ids}); name one")
    return in_flight[0]


def _rollback(args: argparse.Namespace) -> int:
    from rollout.engine.closure import EXIT_CODES, roll_back_and_close  # noqa: PLC0415 - heavy
    from rollout.engine.session import end_embedded, reopened  # noqa: PLC0415

    with _journal(args) as journal:
        record = _chosen(journal, args.id)
        if not record.wrote:
            raise RolloutError(f"rollout {record.id} wrote nothing to the gateway; there is nothing to take back")
        if record.backup is None and "before" in record.opened:
            raise RolloutError(
                f"{record.id} was an emergency, without a backup; its entry in the operations log undoes it"
            )
        with reopened(journal, record, Path(args.reports).absolute(), os.environ) as rollout:
            # Fences off whoever watches it. Another rollout's change in flight is not overwritten: that one first.
            rollout.take_lease()
            closure = roll_back_and_close(rollout, f"{caller()}: {args.reason}", {}, os.environ)
            rollout.release_lease()
            end_embedded(rollout)
    print(f"{closure.word}: {record.id}\nwhy: {on_one_line(closure.why)}")
    for row in closure.rollback:
        print(f"  {row['at']} {row['clause']} {row['outcome']}: {on_one_line(row['seen'])}")
    for missing in closure.undocumented:
        print(f"NOT DOCUMENTED: {missing}")
    print(f"next: {closure.next_step}", flush=True)
    print(_rebuilt(args, record.id, "rollback"))
    return EXIT_CODES.get(closure.decision, ExitCode.ROLLBACK_FAILED)


def _recover(args: argparse.Namespace) -> int:
    from rollout.context import reconcile  # noqa: PLC0415 - heavy
    from rollout.engine.closure import EXIT_CODES  # noqa: PLC0415 - heavy
    from rollout.engine.recovery import in_flight, recover  # noqa: PLC0415 - heavy

    code = ExitCode.KEPT
    with _journal(args) as journal:
        # What died before it reached the journal is in flight too.
        reconcile(journal, Path(args.reports).absolute())
        found = in_flight(journal)
        for case in found:
            does = "taking it back" if case.stranded else "left alone"
            print(f"{case.record.id}: {does}: {on_one_line(case.why)}", flush=True)
        for case in found:
            if case.stranded:
                closure = recover(journal, case, Path(args.reports).absolute(), os.environ)
                print(f"{case.record.id}: {closure.word}: {on_one_line(closure.why)}", flush=True)
                for missing in closure.undocumented:
                    print(f"{case.record.id}: NOT DOCUMENTED: {missing}", flush=True)
                print(_rebuilt(args, case.record.id, "recover"))
                code = max(code, EXIT_CODES.get(closure.decision, ExitCode.KEPT))
    if not found:
        print("no rollout is in flight")
    return code


def _rebuilt(args: argparse.Namespace, rollout: str, by: str) -> str:
    from rollout.audit.seal import conclude  # noqa: PLC0415 - heavy
    from rollout.reporting.html.assembly import built  # noqa: PLC0415 - heavy

    folder = Path(args.reports).absolute() / rollout
    with _journal(args) as journal:
        said = built(journal, rollout, folder, os.environ).line
        return "\n".join(filter(None, (said, conclude(journal, rollout, folder, os.environ, by=by).line)))


def _verify(args: argparse.Namespace) -> int:
    from rollout.audit import command  # noqa: PLC0415 - heavy

    with _journal(args) as journal:
        return command.run(args, journal)


def _prune(args: argparse.Namespace) -> int:
    from rollout.cli import prune  # noqa: PLC0415 - heavy

    with _journal(args) as journal:
        return prune.run(args, journal)


def _report(args: argparse.Namespace) -> int:
    from rollout.audit.manifest import BY_REPORT  # noqa: PLC0415 - heavy
    from rollout.audit.seal import conclude  # noqa: PLC0415
    from rollout.reporting.html.assembly import build  # noqa: PLC0415

    with _journal(args) as journal:
        known = journal.rollouts()
        if not known:
            raise RolloutError("there is no rollout yet, so there is nothing to report")
        rollout = args.id or known[-1]
        folder = Path(args.reports).absolute() / rollout
        print(build(journal, rollout, folder, os.environ))
        said = conclude(journal, rollout, folder, os.environ, by=BY_REPORT).line
        if said:
            print(said)
    return 0


def _plan(args: argparse.Namespace) -> int:
    from rollout.cli import plan as plan_command  # noqa: PLC0415 - heavy
    from rollout.core.clock import SystemClock  # noqa: PLC0415

    request = plan_command.with_service(_asked(args))
    token = os.environ.get(request.target.token_env or "")
    print(plan_command.text(request, plan_command.planned(request, plan_command.look(request, token, SystemClock()))))
    return 0


def _asked(args: argparse.Namespace, *, sends: bool = True) -> Request:
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


def _drill(args: argparse.Namespace) -> int:
    from rollout.cli.drill import replayed  # noqa: PLC0415 - heavy

    # Where nobody names a gateway, none is spoken to but the drill's own.
    request = _asked(args, sends=bool(args.target or args.gateway))
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
    """Drill for real; return where, and what came of it. Only a gateway that somebody names is touched."""
    from rollout.cli.drill.live import drilled  # noqa: PLC0415
    from rollout.cli.drill.named_gateway import drilled_at  # noqa: PLC0415 - only here

    if request.target.url is None or not (args.target or args.gateway):
        return "an embedded gateway of the drill's own", list(drilled(request, Path.cwd()))
    known = args.journal or (Path(args.reports) / "journal.sqlite").exists()
    with _journal(args) if known else nullcontext() as journal:
        return f"{request.target.name}, {request.target.url}", list(drilled_at(request, Path.cwd(), journal))


def _doctor(args: argparse.Namespace) -> int:
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


def _abort(args: argparse.Namespace) -> int:
    from rollout.journal.record import Kind  # noqa: PLC0415 - with the journal

    with _journal(args) as journal:
        record = _chosen(journal, args.id)
        if record.closed is not None:
            raise RolloutError(f"rollout {record.id} is closed ({record.decision}); `rollout rollback` takes it back")
        journal.append(record.id, Kind.ABORT, {"by": caller(), "reason": args.reason})
    print(f"asked {record.id} to roll back; whoever watches it does so within seconds")
    return 0


def _hold(args: argparse.Namespace) -> int:
    from rollout.core.units import duration  # noqa: PLC0415
    from rollout.monitoring import hold  # noqa: PLC0415 - with the journal

    by = caller()
    with _journal(args) as journal:
        record = _chosen(journal, args.id)
        if args.release:
            hold.release(journal, record, by=by, reason=args.reason or "no reason given")
            print(f"released {record.id}: a breach that stands rolls back within seconds")
            return 0
        try:
            for_s = duration(args.duration)
        except ValueError as error:
            raise RolloutError(f"--for: {error}") from None
        held = hold.place(journal, record, by=by, reason=args.reason, for_s=for_s)
    print(f"{record.id} is {held}")
    print("until then, or until its window ends, a breach is shown and does not roll back; an abort still does:")
    print(f"  rollout abort {record.id}            rollout hold {record.id} --release")
    return 0
