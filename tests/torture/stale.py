"""Reads that lag every write: by 1, 5 and 10 s, stated by the target or not, with each kind of completion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tests.support.forks import Server
from tests.support.liar import answer
from tests.torture.cases import Case, Work
from tests.torture.support import SETTLES_WITHIN_S, Bench, Shape, examined
from tests.torture.truth import at_most_one_ending, true_code, undone

LAGS_S = (1, 5, 10)
READS = ["config", "providers", "governance", "routing"]
CHATS: Mapping[str, Mapping[str, Any]] = {
    "chat is true": {},
    "chat is stale": {"stale_calls": [*READS, "chat"]},
    "chat names no provider": {"deviations": ["chat_names_nobody"]},
    "chat is stale and names no provider": {"stale_calls": [*READS, "chat"], "deviations": ["chat_names_nobody"]},
}


REMOTE, EMBEDDED = "a remote gateway", "a gateway whose .env file is at hand"
"""In a `.env` file at hand the suite reads what the gateway's reads do not show yet."""


@dataclass(frozen=True)
class Lag:
    """One case of lagging reads.

    Attributes:
        shape: what is changed.
        lag_s: how many seconds reads show the state before a write.
        breach: whether the change must be rolled back.
        chat: one of `CHATS`.
        stated: whether the target states how long reads may lag.
        where: `REMOTE` or `EMBEDDED`.
    """

    shape: Shape
    lag_s: int
    breach: bool
    chat: str
    stated: bool
    where: str = EMBEDDED

    def __str__(self) -> str:
        """Return the case's name."""
        end, stated = "breached" if self.breach else "kept", "stated" if self.stated else "not stated"
        return f"stale, {self.shape}, {end}: reads of {self.where} lag {self.lag_s} s, {stated}, {self.chat}"

    @property
    def may_not_know(self) -> bool:
        """Whether the run may end without a proof of the gateway's state."""
        return not self.stated or "names no provider" in self.chat


def cases() -> Iterator[Case]:
    """Return every case."""
    for lag in _lags():
        yield Case(str(lag), _stale(lag))


def _lags() -> Iterator[Lag]:
    for lag_s, breach in product(LAGS_S, (False, True)):
        for shape, chat, stated in product((Shape.PROVIDER, Shape.THREE, Shape.CANARY), CHATS, (True, False)):
            yield Lag(shape, lag_s, breach, chat, stated)
        for chat, stated in product(CHATS, (True, False)):
            yield Lag(Shape.PROVIDER, lag_s, breach, chat, stated, REMOTE)
        # It writes nothing to the gateway: only a stated lag could have an effect.
        yield Lag(Shape.ENVIRONMENT, lag_s, breach, "chat is true", stated=True)


def _stale(lag: Lag) -> Work:
    def work(server: Server, folder: Path) -> None:
        settings = {"stale_reads_s": lag.lag_s, **CHATS[lag.chat]}
        with Bench(server, folder, breach=lag.breach, shape=lag.shape, settings=settings) as bench:
            if lag.stated:
                bench.target["stale_for"] = f"{lag.lag_s}s"
            if lag.where is REMOTE:
                # The first request proves the policy; the next one would return how it is restarted.
                bench.liar.rule("/sandbox/", answer(404, {"detail": "Not Found"}), nth=2)
                bench.target |= {"env_file": "none", "log_file": "none"}
            # Each write, forward and back, may be read back until the lag is over, twice.
            code = bench.begin().wait(2 * SETTLES_WITHIN_S + 12 * lag.lag_s)
            bench.settle()
            _judge(bench, code, lag)

    return work


def _judge(bench: Bench, code: int, lag: Lag) -> None:
    # This comes first, because it names the defect: a rollback without an undo.
    if code != 0:
        undone(bench)
    true_code(bench, code, may_not_know=lag.may_not_know)
    assert not (lag.breach and code == 0), f"kept, though every request fails\n{bench.output}"
    assert lag.may_not_know or code == (10 if lag.breach else 0), f"exit code {code}\n{bench.output}"
    at_most_one_ending(bench)
    with bench.journal() as journal:
        examined(bench, journal)
