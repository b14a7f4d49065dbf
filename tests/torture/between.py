"""An emergency, a `recover` or a rival between any two journal entries of a run and of a rollback."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path

import yaml

from rollout.journal.record import Decision, Kind
from rollout.reporting.timings import is_emergency
from tests.support.forks import Child, Server
from tests.support.runs import BARE, eventually
from tests.torture.cases import Case, Work
from tests.torture.kill import Course
from tests.torture.senders import Senders
from tests.torture.support import SETTLES_WITHIN_S, Bench, examined
from tests.torture.truth import CODES, NEW, at_most_one_ending, id_of, record_of

SAFE = {"activate": "vllm", "model": "llama-3.1-8b-instruct"}
RIVAL = {"activate": "vllm", "model": "gemma-3-4b-it"}
STOPPED_AT = r"(intent|outcome|phase|rollback|closed)"
"""The entries after which the run's whole process is stopped as well, and not only its own thread."""

FINE: Mapping[str, frozenset[int]] = {
    "an emergency": frozenset({0}),
    "recover": frozenset({0, 10}),
    # Kept, or refused: another run holds the target, or has changed what it was to change.
    "a rival": frozenset({0, 1, 3, 13}),
}
"""The exit codes with which the other command does not fail."""


def cases(course: Course) -> Iterator[Case]:
    """Return every case of one course."""
    counts: Counter[str] = Counter()
    for number, name in enumerate(course.entries, start=1):
        kind = name.partition(" ")[0]
        counts[kind] += 1
        if number < course.first_entry:
            continue
        for who in FINE:
            # The number of samples differs each time: an entry is named by its kind.
            what, entry = f"between, {course.name}: {who} after entry {number} ({name})", f"{kind} {counts[kind]}"
            yield Case(what, _between(course, entry, who, "hold"))
            if re.match(STOPPED_AT, name):
                yield Case(f"{what}, while the run stands still", _between(course, entry, who, "SIGSTOP"))


def _between(course: Course, entry: str, who: str, do: str) -> Work:
    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            bench.target["safe"] = dict(SAFE)
            senders = Senders(bench)
            run = bench.begin(entry=entry, do=do)
            try:
                eventually(lambda: bench.reached or run.code is not None, f"{entry}\n{run.text}", SETTLES_WITHIN_S)
                other = _COMMANDS[who](bench)
                other_code = other.wait(SETTLES_WITHIN_S)
            finally:
                (folder / "go").touch()
                run.kill(signal.SIGCONT)
            code = run.wait(2 * SETTLES_WITHIN_S)
            bench.settle()
            assert "Traceback" not in bench.output, bench.output
            assert other_code in FINE[who], f"{who} exited {other_code}\n{bench.output}"
            assert bench.recover() in {0, 10}, bench.output
            _judge(bench, run, code, senders)

    return work


def _emergency(bench: Bench) -> Child:
    return bench.command("emergency", "--target=lab", f"--targets={bench.folder / 'targets.yaml'}")


def _recover(bench: Bench) -> Child:
    return bench.command("recover")


def _rival(bench: Bench) -> Child:
    """Start another scenario on the same target."""
    file = bench.folder / "rival.yaml"
    scenario = {**deepcopy(bench.scenario), "change": dict(RIVAL), "ticket": "LAB-2"}
    scenario.pop("strategy", None)
    scenario["monitor"]["window"] = "1s"
    file.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return bench.beside([f"--reports={bench.reports}", *BARE, f"--scenario={file}"])


_COMMANDS: Mapping[str, Callable[[Bench], Child]] = {
    "an emergency": _emergency,
    "recover": _recover,
    "a rival": _rival,
}


def _judge(bench: Bench, run: Child, code: int, senders: Senders) -> None:
    """The gateway is where the last owner left it, the run wrote nothing in between, and its exit code is true."""
    late = senders.late(run.pid, id_of(run))
    on_its_way = bench.reached.endswith(f" {Kind.INTENT}")
    assert len(late) <= on_its_way, f"{late} by a run that was superseded\n{bench.output}"
    at_most_one_ending(bench)
    record = record_of(bench, id_of(run))
    if record is not None and record.wrote:
        wanted = CODES.get(record.decision) if record.decision else None
        assert code == wanted, f"exit code {code}, but {record.decision}: {record.closed}\n{bench.output}"
    else:
        assert code not in {0, 10, 11}, f"exit code {code}, and nothing was written\n{bench.output}"
    if not late:
        now, wanted_place = bench.look(), _left(bench)
        why = f"{now.active} is active, not {wanted_place}; sent by {run.pid} and others: {senders.sent}"
        assert now.active == wanted_place, f"{why}\n{bench.output}"
        assert not now.weights, f"the requests are split by {now.weights}\n{bench.output}"
    with bench.journal() as journal:
        examined(bench, journal)


def _left(bench: Bench) -> str:
    """Return where the last owner by fencing token that changed anything left the gateway."""
    closed = [entry for entry in bench.entries() if entry.kind == Kind.CLOSED]
    for entry in sorted(closed, key=lambda entry: (entry.body["fence"], entry.seq), reverse=True):
        record = record_of(bench, entry.rollout)
        assert record is not None
        if is_emergency(record):
            return f"{SAFE['activate']}:{SAFE['model']}"
        if entry.body.get("word") == "TAKEN OVER":
            continue
        if record.decision is Decision.KEPT:
            return NEW if _is_ours(record.opened) else f"{RIVAL['activate']}:{RIVAL['model']}"
        if record.decision is Decision.ROLLED_BACK and record.backup is not None:
            previous = record.backup["previous"]
            return f"{previous['provider']}:{previous['model']}"
    return bench.before.active


def _is_ours(opened: Mapping[str, object]) -> bool:
    return "openai" in str(opened["change"])
