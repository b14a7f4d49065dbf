"""Rivals, intruders, a gateway that restarts, a journal that fails."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rollout.journal.record import Decision, Kind
from tests.support.forks import Child, Server
from tests.support.liar import Visit, passed_on
from tests.support.runs import POLL_S, eventually
from tests.torture.cases import Case, Work
from tests.torture.kill import Course
from tests.torture.support import SETTLES_WITHIN_S, Bench, Shape, agrees, examined, held, settled

LAST_BEFORE_THE_WINDOW = "/admin/audit"
Action = Callable[[Bench], object]


def rivals(count: int) -> Iterator[Case]:
    """Return the cases in which `count` runs want one target at once."""
    for same in (True, False):
        what = "of one content" if same else "of different contents"
        yield Case(f"rivals: {count} runs {what} at once on one target", _rivals(count, same=same), alone=True)


def _rivals(count: int, *, same: bool) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder) as bench:
            # The machine is busy: a source that answers late is not unavailable.
            slow = {"window": "3s", "metrics_every": "2s", "dark_in_a_row": 20, "synthetic_every": "1s"}
            bench.scenario["monitor"] |= slow
            bench.target |= {"timeouts": {"read": "20s", "chat": "20s", "activate": "120s"}, "latency_bound": "20s"}
            runs: list[Child] = []

            async def when_all_others_have_asked(visit: Visit) -> None:
                while len(runs) < count or sum(run.code is None for run in runs) > 1:  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(POLL_S)
                await visit.reply(await visit.forward())

            bench.liar.rule("/openai/activate$", when_all_others_have_asked, method="POST", nth=1)
            for number in range(count):
                bench.scenario["ticket"] = "LAB-1" if same else f"LAB-{number}"
                runs.append(bench.begin())
                eventually(
                    lambda run=runs[-1]: "rollout: " in run.text or run.code is not None, "it has read its files", 60
                )
            codes = [run.wait(60 + 8 * count) for run in runs]
            bench.settle()
            assert set(codes) == {0, 13}, f"{codes}\n{bench.output}"
            for code, run in zip(codes, runs, strict=True):
                # A run that reads while another one changes finds that change: it names it, and must be run again.
                refusal = r"in flight|is being changed by rollout|changed this target meanwhile"
                assert code != 13 or re.search(refusal, run.text), run.text
            # On a very busy machine the last run may begin after the end of the first, and finds the change in effect.
            assert codes.count(13) >= count // 2, codes
            forward = bench.liar.seen("POST", "/openai/activate$")
            assert len(forward) == 1, f"{len(forward)} activations"
            now = bench.look()
            agrees(bench, now, is_kept=True)
            with bench.journal() as journal:
                examined(bench, journal)
                assert journal.holder(bench.liar.url) is None

    return work


def intruders(*, shape: Shape = Shape.PROVIDER) -> Iterator[Case]:
    """Return the cases in which an operator changes something by hand.

    Args:
        shape: what the rollout changes; with three changes the service is restarted.
    """
    who = "intruder, of three" if shape is Shape.THREE else "intruder"
    changes: dict[str, Action] = {
        "provider": lambda bench: bench.activate("vllm", "gemma-3-4b-it"),
        "model": _another_model,
        "limits": _other_limits,
        ".env": _edited_env,
    }
    if shape is Shape.THREE:
        changes["limits that are changed too"] = _our_limits
        changes[".env key that is changed too"] = _our_key
    for what, action in changes.items():
        yield Case(f"{who}: {what} between backup and apply", _before_apply(action, shape))
        yield Case(f"{who}: {what} between two processes, precheck and apply", _between_processes(action, shape))
        yield Case(f"{who}: {what} during the window", _during(action, shape))
        yield Case(
            f"{who}: {what} during the rollback, before it writes", _during_the_rollback(action, "before", shape)
        )
        yield Case(f"{who}: {what} during the rollback, after it wrote", _during_the_rollback(action, "after", shape))


def _another_model(bench: Bench) -> None:
    provider = bench.look().active.partition(":")[0]
    models = {"openai": "gpt-4o-mini", "ollama": "llama3.2:3b"}
    bench.activate(provider, models[provider])


def _other_limits(bench: Bench) -> None:
    body = {"limit_type": "cost", "scope": "global", "soft_limit_usd": 1.0, "hard_limit_usd": 2.0}
    bench.direct.post("/api/v1/governance/limits", json=body).raise_for_status()


def _edited_env(bench: Bench) -> None:
    with bench.sandbox.env_file.open("a", encoding="utf-8") as file:
        file.write("ADDED_BY_HAND=1\n")


def _our_limits(bench: Bench) -> None:
    body = {"limit_type": "cost", "scope": "openai", "soft_limit_usd": 1.0, "hard_limit_usd": 2.0}
    bench.direct.post("/api/v1/governance/limits", json=body).raise_for_status()


def _our_key(bench: Bench) -> None:
    file = bench.sandbox.env_file
    file.write_bytes(re.sub(rb"(?m)^MAX_CONTEXT_TOKENS=.*$", b"MAX_CONTEXT_TOKENS=1234", file.read_bytes()))


def _intrusion(bench: Bench, action: Action) -> Callable[[], None]:
    """Make the change, and keep the gateway's state after it."""

    def act() -> None:
        action(bench)
        bench.intruded = bench.look()

    return act


def _before_apply(action: Action, shape: Shape) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            bench.liar.rule("/twin/.*/metrics", held(_intrusion(bench, action), passed_on()), nth=1)
            code = bench.begin().wait(SETTLES_WITHIN_S)
            _refused(bench, code)

    return work


def _between_processes(action: Action, shape: Shape) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            assert bench.begin("-m", "precheck").wait(SETTLES_WITHIN_S) == 0, bench.output
            _intrusion(bench, action)()
            _refused(bench, bench.begin("-m", "apply").wait(SETTLES_WITHIN_S))

    return work


def _refused(bench: Bench, code: int) -> None:
    bench.settle()
    assert code == 1, f"exit code {code}\n{bench.output}"
    assert "changed since the backup" in bench.output
    assert not bench.wrote
    assert not bench.intruded.against(bench.look())


def _during(action: Action, shape: Shape) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            # A restart reads the audit log too, before it empties it.
            nth = 2 if shape is Shape.THREE else 1
            bench.liar.rule(LAST_BEFORE_THE_WINDOW, held(_intrusion(bench, action), passed_on()), nth=nth)
            _not_overwritten(bench, bench.begin().wait(SETTLES_WITHIN_S))

    return work


def _during_the_rollback(action: Action, when: str, shape: Shape) -> Work:
    """Right before the rollback's first read, or right after it has activated the previous provider."""

    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, breach=True, shape=shape) as bench:
            mark = {"before": Kind.ROLLBACK, "after": Kind.OUTCOME}[when]

            def is_then() -> bool:
                kinds = [entry.kind for entry in bench.entries()]
                return Kind.ROLLBACK in kinds and mark in kinds[kinds.index(Kind.ROLLBACK) :]

            _once(bench, "/providers$", is_then, _intrusion(bench, action))
            _not_overwritten(bench, bench.begin().wait(SETTLES_WITHIN_S))

    return work


def _once(bench: Bench, path: str, condition: Callable[[], bool], action: Callable[[], None]) -> None:
    done: list[bool] = []

    def maybe() -> None:
        if not done and condition():
            done.append(True)
            action()

    bench.liar.rule(path, held(maybe, passed_on()))


def _not_overwritten(bench: Bench, code: int) -> None:
    """Assert that the concurrent change is not overwritten, and that exit code and journal call an operator."""
    bench.settle()
    now, then, record = bench.look(), bench.intruded, bench.record()
    assert code == 11, f"exit code {code}\n{bench.output}"
    assert record is not None
    assert record.decision is Decision.ROLLBACK_FAILED
    ours = {"soft_limit_usd": 200.0, "hard_limit_usd": 250.0}
    by_hand = {
        scope: limit for scope, limit in then.limits.items() if limit not in (bench.before.limits.get(scope), ours)
    }
    assert by_hand.items() <= now.limits.items(), f"{by_hand} was overwritten: {now.limits}"
    for line in (b"ADDED_BY_HAND=1", b"MAX_CONTEXT_TOKENS=1234"):
        assert (line in now.env) == (line in then.env), f"{line!r} was overwritten"
    if then.active not in {"openai:gpt-4o", bench.before.active}:
        assert now.active == then.active, f"{then.active} was overwritten by {now.active}"
    with bench.journal() as journal:
        examined(bench, journal)


def restarts(*, shape: Shape = Shape.PROVIDER) -> Iterator[Case]:
    """Return the cases in which the gateway dies and comes back, or does not."""
    if shape is Shape.THREE:
        yield Case("gateway, of three: killed and restarted in mid-window", _restarted(0.0, shape=shape))
        yield Case("gateway, of three: killed in mid-window, for the rollback to start", _restarted(None, shape=shape))
        return
    yield Case("gateway: killed and restarted in mid-window", _restarted(0.0))
    yield Case("gateway: killed in mid-window, and back after 4 s", _restarted(4.0))
    yield Case("gateway: killed in mid-window, for good", _gone)
    yield Case("gateway: killed and restarted while the runner is killed", _restarted(1.0, runner_too=True))


def _killed_in_the_window(bench: Bench) -> Any:
    down: list[int] = []
    bench.scenario["monitor"]["window"] = "4s"
    seen = bench.liar.rule("/chat/completions", passed_on())
    before = 5 + 1  # the baseline's and VER-2's
    run = bench.begin()
    eventually(lambda: seen.hits > before + 2, f"the window is open\n{bench.output}")
    down.append(bench.kill_gateway())
    return run, down[0]


def _restarted(after_s: float | None, *, runner_too: bool = False, shape: Shape = Shape.PROVIDER) -> Work:
    """Kill the gateway; it is back `after_s` seconds later, or, with None, when the rollback starts the service."""

    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            run, port = _killed_in_the_window(bench)
            if runner_too:
                run.kill()
            if after_s is not None:
                time.sleep(after_s)
                bench.start_gateway(port)
            code = run.wait(SETTLES_WITHIN_S)
            settled(bench, code if code >= 0 else None)

    return work


def _gone(server: Server, folder: Path) -> None:
    with Bench(server, folder) as bench:
        run, port = _killed_in_the_window(bench)
        code = run.wait(2 * SETTLES_WITHIN_S)
        assert code == 11, f"exit code {code}\n{bench.output}"
        bench.settle()
        assert "A PERSON IS NEEDED" in run.text
        bench.start_gateway(port)
        record = bench.record()
        assert record is not None
        assert record.decision is Decision.ROLLBACK_FAILED


def journals_of_three(course: Course) -> Iterator[Case]:
    """Return the cases in which the journal fails at the further entries of a rollout of three changes."""
    for number, name in list(enumerate(course.entries, start=1))[course.first_entry - 1 :]:
        if re.fullmatch(r"(intent|clause|step) (APP-[23]|RBK-3).*", name):
            for how in ("full", "readonly", "deleted"):
                what = f"{course.name}: the journal is {how} after entry {number} ({name})"
                yield Case(what, _journal(course, number, how))


def journals(course: Course) -> Iterator[Case]:
    """Return the cases in which the journal fails after each entry."""
    for number, name in list(enumerate(course.entries, start=1))[course.first_entry - 1 :]:
        for how in ("full", "readonly", "deleted"):
            yield Case(
                f"{course.name}: the journal is {how} after entry {number} ({name})", _journal(course, number, how)
            )
    if not course.breach:
        for kib in (32, 48, 64, 96):
            yield Case(f"the disk is full: no file may grow beyond {kib} KiB", _no_file_beyond(kib))


def _journal(course: Course, number: int, how: str) -> Work:
    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            run = bench.begin(entry=number, do=how)
            code = run.wait(2 * SETTLES_WITHIN_S)
            bench.settle()
            assert "Traceback" not in run.text, run.text
            now = bench.look()
            if not bench.wrote:
                assert code in {1, 2, 3, 4, 5, 13}, f"exit code {code}\n{run.text}"
                assert not bench.before.against(now), bench.before.against(now)
                return
            if how == "deleted":
                assert code in {0, 10}, f"exit code {code}\n{run.text}"
                agrees(bench, now, is_kept=code == 0)
                return
            assert code in {0, 10}, f"exit code {code}\n{run.text}"
            agrees(bench, now, is_kept=code == 0)
            # The disk has space again: what could not be written is reconciled, and the journal holds the verdict.
            assert bench.recover() in {0, 10}, bench.output
            with bench.journal() as journal:
                examined(bench, journal)
            record = bench.record()
            assert record is not None
            assert record.decision is (Decision.KEPT if code == 0 else Decision.ROLLED_BACK), record.decision
            agrees(bench, bench.look(), is_kept=code == 0)

    return work


def _no_file_beyond(kib: int) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder) as bench:
            run = bench.begin(fsize=kib * 1024)
            code = run.wait(2 * SETTLES_WITHIN_S)
            bench.settle()
            now = bench.look()
            if not bench.wrote:
                assert code in {1, 2, 3, 4, 5}, f"exit code {code}\n{run.text}"
                assert not bench.before.against(now), bench.before.against(now)
                return
            assert code in {0, 10}, f"exit code {code}\n{run.text}"
            agrees(bench, now, is_kept=code == 0)

    return work


def phases(*, shape: Shape = Shape.PROVIDER) -> Iterator[Case]:
    """Return the cases in which a phase that is a process of its own dies."""
    if shape is not Shape.PROVIDER:
        for phase, before in (("verify", ("precheck", "apply")), ("monitor", ("precheck", "apply", "verify"))):
            for do in ("SIGKILL", "SIGTERM", "both"):
                what = f"phases, of {shape}: {do} in `-m {phase}` after its entry 9"
                yield Case(what, _phase(phase, before, 9, do, shape=shape))
        return
    for phase, before in (
        ("apply", ("precheck",)),
        ("verify", ("precheck", "apply")),
        ("monitor", ("precheck", "apply", "verify")),
    ):
        for entry in (3, 6, 9, 14, 25, 40):
            for do in ("SIGKILL", "SIGTERM", "both"):
                yield Case(f"phases: {do} in `-m {phase}` after its entry {entry}", _phase(phase, before, entry, do))
    yield Case("phases: no phase follows, and the deadline passes", _deadline)
    yield Case("phases: no phase follows, the watchdog is killed, and the deadline passes", _deadline_without_watchdog)


def _phase(phase: str, before: tuple[str, ...], entry: int, do: str, *, shape: Shape = Shape.PROVIDER) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            bench.policy["sandbox"]["confirm_within"] = "8s"
            for each in before:
                assert bench.begin("-m", each).wait(SETTLES_WITHIN_S) == 0, bench.output
            code = bench.begin("-m", phase, entry=entry, do=do).wait(SETTLES_WITHIN_S)
            if do == "both":
                bench.settle()
                # It died before it took over from the earlier phase, whose deadline still runs.
                eventually(lambda: _reconciled(bench), f"recover rolls it back\n{bench.output}", SETTLES_WITHIN_S)
            settled(bench, None if code == 0 or code < 0 else code, lease_may_run_out=do == "both")

    return work


def _reconciled(bench: Bench) -> bool:
    code = bench.recover()
    assert code in {0, 10}, bench.output
    record = bench.record()
    return record is None or not record.in_flight


def _deadline(server: Server, folder: Path) -> None:
    with Bench(server, folder) as bench:
        bench.policy["sandbox"]["confirm_within"] = "2s"
        assert bench.begin("-m", "precheck or apply").wait(SETTLES_WITHIN_S) == 0, bench.output
        settled(bench, None)
        record = bench.record()
        assert record is not None
        assert "was not confirmed by" in record.closed["why"]  # type: ignore[index]


def _deadline_without_watchdog(server: Server, folder: Path) -> None:
    with Bench(server, folder) as bench:
        bench.policy["sandbox"]["confirm_within"] = "3s"
        assert bench.begin("-m", "precheck or apply").wait(SETTLES_WITHIN_S) == 0, bench.output
        bench.kill_watchdogs()
        assert bench.recover() == 0, bench.output
        assert "its next phase has until" in bench.output
        eventually(lambda: _reconciled(bench), f"recover rolls it back\n{bench.output}", 90)
        settled(bench, None)
