"""The suite's exceptions, and the exit codes of its process.

Every error carries one sentence for the operator: what, why, how to mend. None of them is shown as a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of the process; 1 to 5 keep pytest's own meaning before any write (README.md, exit codes)."""

    KEPT = 0
    CHECK_FAILED = 1
    INTERRUPTED = 2
    USAGE = 4
    ROLLED_BACK = 10
    ROLLBACK_FAILED = 11
    IN_PROGRESS = 12
    TRY_LATER = 13


class RolloutError(Exception):
    """The base of every exception that this package raises itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input file.

    Attributes:
        file: the file's path as the user wrote it, or the option's name (``--activate``).
        line: the line, 1-based; None where the input has no lines.
        path: the key, dotted (``monitor.window``); empty for the document itself.
        message: what, why and how to mend.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        """Read as ``file:line: path: message``, the form editors can jump to."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.path, self.message) if part)


class InvalidInput(RolloutError):
    """Input that is refused before the first request; lists every problem, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in the order in which a reader meets them in the file."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class GatewayError(RolloutError):
    """A call to the gateway that gave no answer to rely on: refused connection, deadline, garbage, 5xx.

    Attributes:
        call: method and path, ``GET /api/v1/providers``.
        reason: one sentence.
        status: the HTTP status, None where there was no answer.
    """

    def __init__(self, call: str, reason: str, *, status: int | None = None) -> None:
        """Compose the one line that a check shows."""
        self.call = call
        self.reason = reason
        self.status = status
        super().__init__(f"{call}: {reason}")


class Refused(GatewayError):
    """The gateway understands the call and refuses it (a 4xx): the call changes nothing."""


class NotOffered(Refused):
    """The gateway lacks what is read: its driver says so, and nothing is sent (`rollout.core.capabilities`)."""


class WriteNotAllowed(RolloutError):
    """A write is attempted outside ``gateway.allow_writes(step)``."""


class JournalError(RolloutError):
    """The journal cannot be read or written, or its chain is broken."""


class JournalAbsent(JournalError):
    """No run has made a journal at that place yet; nothing else is there."""


class TryLater(RolloutError):
    """Not now, but later: a lease is held or a window is closed (exit code 13)."""


class NotCleared(RolloutError):
    """A later phase is called without its predecessor's verdict for exactly this content."""


class ApprovalPending(RolloutError):
    """An operator has to settle an obligation by a date: the clause is shown as owed, never as passed."""


class NotReached(RolloutError):
    """A planned step is not reached, because one before it failed."""


class ConcurrentChange(RolloutError):
    """The gateway was changed outside this rollout and is not overwritten; an operator must decide (exit code 11)."""


class Interrupted(RolloutError):
    """An interrupt, a termination signal or a deadline asked the run to stop (MON-7)."""
