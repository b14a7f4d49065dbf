"""What can go wrong, and the exit code that tells a pipeline about it.

Every error carries one sentence for a person: what, why, how to mend. None of them is shown as a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers; 1 to 5 keep pytest's own meaning before any write (README.md, exit codes)."""

    KEPT = 0
    CHECK_FAILED = 1
    INTERRUPTED = 2
    USAGE = 4
    ROLLED_BACK = 10
    ROLLBACK_FAILED = 11
    IN_PROGRESS = 12
    TRY_LATER = 13


class RolloutError(Exception):
    """The base of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input file.

    Attributes:
        file: the file's path as the user wrote it, or the option's name (``--activate``).
        line: the line, 1-based; None where the input has no lines.
        path: where in the document, dotted (``monitor.window``); empty for the whole document.
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
    """The gateway understood the call and said no (a 4xx): nothing was changed by it."""


class WriteNotAllowed(RolloutError):
    """A write was attempted outside ``gateway.allow_writes(step)``."""


class JournalError(RolloutError):
    """The journal cannot be read or written, or its chain is broken."""


class TryLater(RolloutError):
    """Not now, but later: a lease is held or a window is closed (exit code 13)."""


class NotCleared(RolloutError):
    """A later phase was called without its predecessor's verdict for this very content."""


class ApprovalPending(RolloutError):
    """Something that a person has to settle by a date: shown as owed, never as passed."""


class NotReached(RolloutError):
    """A step that was planned and never reached, because one before it failed."""


class ConcurrentChange(RolloutError):
    """The gateway is not where this rollout left it: hands off, a person decides (exit code 11)."""


class Interrupted(RolloutError):
    """An interrupt, a termination signal or a deadline asked the run to stop (MON-7)."""
