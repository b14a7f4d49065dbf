"""Break every request: exit code and gateway agree, for every fault of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout.journal.record import Decision
from tests.support.forks import Server
from tests.support.liar import (
    JSON,
    Behaviour,
    Reply,
    Visit,
    answer,
    delayed,
    drip_body,
    effect_without_success,
    hang,
    passed_on,
    raw,
    refuse,
)
from tests.torture.cases import Case, Work
from tests.torture.kill import Course
from tests.torture.support import (
    ACTIVATE_S,
    AFTER_A_WRITE,
    NEVER_WROTE,
    SETTLES_WITHIN_S,
    Bench,
    agrees,
    is_write,
    wait_s,
)

LATE_S = 5.0
ONE_IN = 5
"""One of so many faults at a request is sampled in a rollout of three changes."""


def truncated_answer() -> Behaviour:
    """Forward, and send the first half of the answer's JSON."""

    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        await visit.reply(Reply(reply.status, reply.body[: len(reply.body) // 2], reply.content_type))

    return behaviour


def wrong_types() -> Behaviour:
    """Forward, and send the answer with every value of another type."""

    def other(value: object) -> object:
        if isinstance(value, dict):
            return {key: other(part) for key, part in value.items()}
        if isinstance(value, list):
            return {"0": "a list was here"}
        return [value] if isinstance(value, str) else "a number was here"

    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        await visit.reply(Reply(reply.status, json.dumps(other(json.loads(reply.body or b"{}"))).encode()))

    return behaviour


def success_without_effect() -> Behaviour:
    """Claim success without calling the gateway; a read gets the first answer again."""
    first: dict[str, Reply] = {}

    async def behaviour(visit: Visit) -> None:
        path = f"{visit.request.method} {visit.request.path}"
        if path.endswith("/activate"):
            provider = visit.request.path.split("/")[-2]
            body = {"status": "success", "message": "", "provider": provider, "model": visit.request.json["model"]}
            await visit.reply(Reply(200, json.dumps(body).encode(), JSON))
            return
        if path.endswith("/limits"):
            body = {"status": "success", "message": "", "limit": visit.request.json}
            await visit.reply(Reply(200, json.dumps(body).encode(), JSON))
            return
        if path not in first:
            first[path] = await visit.forward()
        await visit.reply(first[path])

    return behaviour


def effect_late() -> Behaviour:
    """Answer 500 at once, and forward 5 s later; a read is answered 5 s late."""
    later = delayed(LATE_S)

    async def behaviour(visit: Visit) -> None:
        if is_write(f"{visit.request.method} {visit.request.path}"):
            await visit.reply(Reply(500, b'{"detail": "Internal Server Error"}'))
            await delayed(LATE_S, _forward_only)(visit)
        else:
            await later(visit)

    return behaviour


async def _forward_only(visit: Visit) -> None:
    await visit.forward()


FAULTS: dict[str, Callable[[], Behaviour]] = {
    "refused": refuse,
    "hanging": hang,
    "dripping": drip_body,
    "500": lambda: answer(500, {"detail": "Internal Server Error"}),
    "429": lambda: answer(429, {"detail": "Too Many Requests", "retry_after_seconds": 0}),
    "garbage": lambda: raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
    "truncated": truncated_answer,
    "wrong types": wrong_types,
    "success without effect": success_without_effect,
    "effect without success": effect_without_success,
    f"effect after {LATE_S:g} s": effect_late,
}


@dataclass(frozen=True)
class Lie:
    """One fault at one request.

    Attributes:
        course: the run with the fault.
        number: the number of the request, from 1.
        fault: a key of `FAULTS`.
        persists: whether the same call is broken from there on, or this one request only.
    """

    course: Course
    number: int
    fault: str
    persists: bool

    def __str__(self) -> str:
        """Return the case's name."""
        span = "from there on" if self.persists else "once"
        request = self.course.requests[self.number - 1]
        return f"{self.course.name}: {self.fault} {span} at request {self.number} ({request})"


def cases(course: Course) -> Iterator[Case]:
    """Return every fault at every request once, and from the first request of each call on.

    A call counts as first again after 25 other requests. Of a window's polls, the first of each source stands for all.
    """
    own = list(enumerate(course.requests, start=1))[course.first_request - 1 :]
    window = next(n for n, name in enumerate(course.requests, start=1) if "admin/audit" in name) + 4
    for number, name in own:
        lately = course.requests[max(course.first_request - 1, number - 25) : number - 1]
        again = not course.breach and number > window and name in course.requests[window : number - 1]
        if name.endswith("/sandbox/about") or again:
            continue  # the proof of the embedded gateway, no call of the API
        for fault in FAULTS:
            yield _case(Lie(course, number, fault, persists=False))
            if name not in lately:
                yield _case(Lie(course, number, fault, persists=True))


def cases_of_three(course: Course) -> Iterator[Case]:
    """Return a sample of the faults at the further requests of a rollout of three changes, every fault at each write.

    A Latin square: every request meets some of the faults, and every fault some of the requests.
    """
    first, faults = course.own_requests[0][0], list(FAULTS)
    known = course.requests[first - 1 :]
    for number, name in course.own_requests:
        writes = is_write(name)
        for place, fault in enumerate(faults):
            if writes or (number + place) % ONE_IN == 0:
                yield _case(Lie(course, number, fault, persists=False))
            if name not in known[: number - first] and (writes or (number + place) % ONE_IN == 1):
                yield _case(Lie(course, number, fault, persists=True))


def _case(lie: Lie) -> Case:
    return Case(str(lie), _work(lie))


def _work(lie: Lie) -> Work:
    def work(server: Server, folder: Path) -> None:
        with lie.course.bench(server, folder) as bench:
            _inject(bench, lie)
            run = bench.begin()
            code = run.wait(2 * SETTLES_WITHIN_S)
            assert "Traceback" not in run.text, run.text
            bench.settle()
            if lie.fault.startswith("effect after"):
                wait_s(LATE_S)
            _agree(bench, lie, code)

    return work


def _inject(bench: Bench, lie: Lie) -> None:
    behaviour = FAULTS[lie.fault]()
    if not lie.persists:
        bench.liar.rule("", behaviour, nth=lie.number)
        return
    seen = 0

    async def from_there_on(visit: Visit) -> None:
        nonlocal seen
        seen += 1
        await (behaviour if seen >= nth else passed_on())(visit)

    method, path = lie.course.requests[lie.number - 1].split(" ", 1)
    nth = lie.course.requests[: lie.number].count(f"{method} {path}")
    if lie.fault == "success without effect":
        # A read is stale from its first answer on; a write from its own number on.
        nth = nth if is_write(f"{method} {path}") else 1
    bench.liar.rule(f"{_pattern(path)}(\\?|$)", from_there_on, method=method)


def _pattern(path: str) -> str:
    staging = path.startswith("/twin")
    rest = path.removeprefix("/twin").strip()
    return f"^{'/twin' if staging else ''}/(api/v1/)?{rest.lstrip('/')}"


def _agree(bench: Bench, lie: Lie, code: int) -> None:
    record, now = bench.record(), bench.look()
    if record is None or not record.wrote:
        assert not bench.wrote or lie.fault == "429", "a write was sent, and the journal does not hold it"
        assert code in NEVER_WROTE, f"exit code {code}, and nothing was written"
        assert not bench.before.against(now), bench.before.against(now)
        return
    assert code in AFTER_A_WRITE, f"exit code {code} after a write\n{bench.output}"
    assert record.closed is not None, "the verdict is not recorded"
    wanted = {0: Decision.KEPT, 10: Decision.ROLLED_BACK, 11: Decision.ROLLBACK_FAILED}
    assert record.decision is wanted[code], f"exit code {code}, but {record.decision}"
    if code == 11:
        assert lie.persists, f"11 for a fault that happened once: {record.closed['why']}"
        return
    agrees(bench, now, is_kept=code == 0)


__all__ = ["ACTIVATE_S", "FAULTS", "cases"]
