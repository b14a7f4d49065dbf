"""The process that rolls back when the runner is gone (safety rule 4).

It is started before the first write, loads everything, reads the backup, and answers ``armed``. The runner holds the
write end of a pipe, and writes every intent and outcome to it, because the journal may lose its last entries. A pipe
that closes without a closing line means that the runner died. A runner that ends a phase in order hands over with a
deadline; then the watchdog waits for a newer token, for the closure, or for the deadline.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if __name__ == "__main__":
    # What is imported stays, so a collection finds no garbage in it: the process is armed a sixth earlier.
    gc.disable()

from rollout.changes.backup import is_same_provider, recorded
from rollout.changes.rollback import manual_commands
from rollout.context import RolloutContext
from rollout.core.clock import SystemClock, format_utc
from rollout.core.errors import JournalError, RolloutError, TryLater
from rollout.core.redaction import Redactor
from rollout.core.streams import quiet
from rollout.core.visible import for_terminal
from rollout.engine.closing_records import publish_late
from rollout.engine.journaled_rollout import end_embedded, reopened
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.gateway import manual_commands as by_hand
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, LeaseLost
from rollout.journal.record import Kind
from rollout.journal.replay import REPLAYED, replay
from rollout.reporting import messages
from rollout.reporting.notifications import page

if TYPE_CHECKING:
    # The process of the watchdog loads what its rollback needs, and nothing else.
    from rollout.engine.session import Session

T = TypeVar("T")

ARMED = b"armed\n"
CLOSED = b"closed\n"
ARMED_WITHIN_S = 20.0
POLL_EVERY_S = 2.0
"""The seconds between two polls of the journal, for a newer token after a handover."""

GRACE_S = 20.0
"""How many seconds it retries a journal that cannot be reached, before it acts as the sole owner or not at all."""


class Watchdog:
    """The runner's end of the pipe: sends entries, hands over, and dismisses the watchdog."""

    def __init__(self, child: subprocess.Popen[bytes], rollout: RolloutContext) -> None:
        """Keep the write end of the pipe; it closes when this process ends, however it ends."""
        assert child.stdin is not None  # noqa: S101 - for the type checker
        self._child, self._pipe = child, child.stdin
        rollout.on_write = self.send_entry

    def send_entry(self, entry: Entry) -> None:
        """Send an entry of the journal; a paused watchdog, which does not read, does not block the runner."""
        line = {"seq": entry.seq, "at": entry.at, "kind": entry.kind, "body": entry.body, "hash": entry.hash}
        self._send(json.dumps(line, default=str).encode() + b"\n")

    def dismiss(self) -> None:
        """Send that the rollout is closed: nothing is left to watch."""
        self._send_last(CLOSED)

    def hand_over(self, deadline: datetime) -> None:
        """Leave the change to the watchdog until the next phase takes over, or until `deadline`."""
        self._send_last(f"{format_utc(deadline)}\n".encode())

    def _send_last(self, line: bytes) -> None:
        self._send(line)
        with suppress(OSError):
            self._pipe.close()

    def _send(self, line: bytes) -> None:
        if self._pipe.closed:
            return
        # The watchdog is gone, which `rollout recover` makes up for, or its pipe is full.
        with suppress(OSError):
            os.set_blocking(self._pipe.fileno(), False)
            os.write(self._pipe.fileno(), line)


def arm(session: Session) -> Watchdog:
    """Start the watchdog of a rollout and wait until it is armed. Call it with the lease taken, before the first write.

    Raises:
        RolloutError: it does not start, or is not armed in time; nothing may be written.
    """
    rollout = session.rollout
    rollout.folder.mkdir(parents=True, exist_ok=True)
    order = {"journal": session.journal_url, "reports": str(rollout.folder.parent), "rollout": rollout.id}
    log = rollout.folder / "watchdog.log"
    try:
        child = _start(log)
    except OSError as error:
        raise RolloutError(f"the watchdog cannot be started ({error.strerror}), so nothing is applied") from None
    watchdog = Watchdog(child, rollout)
    if not _is_armed(child, json.dumps(order).encode()):
        child.kill()
        child.wait()
        raise RolloutError(
            f"the watchdog was not armed within {ARMED_WITHIN_S:.0f} s, so nothing is applied; see {log}"
        )
    rollout.append(Kind.ARMED, pid=child.pid, runner=os.getpid(), host=rollout.journal.host)
    return watchdog


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    # GitHub's runner kills every process with this variable when a job ends or is cancelled.
    return {name: value for name, value in env.items() if name != "RUNNER_TRACKING_ID"}


def _start(log: Path) -> subprocess.Popen[bytes]:
    """Start the process: a session of its own, so that a terminal's Ctrl-C does not reach it, and no inherited stdout.

    With pytest's stdout inherited, a reader of that pipe would wait for the watchdog. The journal's URL may hold a
    password, so it goes over the pipe.
    """
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "rollout.engine.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=_environment(os.environ),
        )


def _is_armed(child: subprocess.Popen[bytes], order: bytes) -> bool:
    assert child.stdin is not None  # noqa: S101 - for the type checker
    assert child.stdout is not None  # noqa: S101
    try:
        child.stdin.write(order + b"\n")
        child.stdin.flush()
    except OSError:
        return False
    with child.stdout as answer:
        ready, _, _ = select.select([answer], [], [], ARMED_WITHIN_S)
        return bool(ready) and answer.readline() == ARMED


@dataclass(slots=True)
class Watch:
    """The watchdog's own end of the pipe.

    Attributes:
        rollout: the rollout that it watches.
        pipe: the file descriptor of the read end.
        env: the environment variables, for the channels' URLs.
        owes_report: whether it has ended or published the rollout, whose own run builds no report any more.
    """

    rollout: RolloutContext
    pipe: int
    env: Mapping[str, str]
    owes_report: bool = False

    def run(self) -> None:
        """Wait for the closing line, or for the pipe to close without one; a failure of the watchdog pages people."""
        try:
            last_line = self._read_last_line()
            if not last_line:
                self.act("the runner died: its pipe closed without a word")
            elif last_line != CLOSED:
                self._wait_until(datetime.fromisoformat(last_line.decode().strip()))
        except Exception as error:  # noqa: BLE001 - the last resort: else no process watches a change in effect
            self._last_resort("the watchdog itself failed", error, again=False)

    def _read_last_line(self) -> bytes:
        """Return the runner's closing line, empty where it died; learn the entries before it."""
        kept = b""
        while True:
            while not select.select([self.pipe], [], [], LEASE_S / 4)[0]:
                self._keep_lease()
            read = os.read(self.pipe, 65536)
            *lines, kept = (kept + read).split(b"\n")
            for line in lines:
                if not line.startswith(b"{"):
                    return line + b"\n"
                self._learn(line)
            if not read:
                return b""

    def _learn(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # half a line of a runner that died, or whose pipe was full
        self.rollout.learn(
            Entry(entry["seq"], self.rollout.id, entry["at"], entry["kind"], entry["body"], "", entry["hash"])
        )

    def _wait_until(self, deadline: datetime) -> None:
        """Wait for a newer token, the closure, or the deadline; at the deadline, roll back."""
        while self.rollout.clock.now() < deadline:
            if self._with_grace(self._is_over, otherwise=lambda: False):
                return
            self.rollout.clock.wait(POLL_EVERY_S)
        self.act(f"the change was not confirmed by {format_utc(deadline)}")

    def act(self, why: str) -> None:
        """Roll the change back; whatever that raises, people are paged, and it is tried once more (safety rule 4)."""
        for left in (1, 0):
            try:
                self._act(why)
            except Exception as error:  # noqa: BLE001 - the last resort: no other process reports the failure
                self._last_resort(why, error, again=bool(left))
            else:
                return

    def _last_resort(self, why: str, error: Exception, *, again: bool) -> None:
        """Page people with the manual commands, and write to the journal that the rollback itself failed."""
        left = "it is tried once more" if again else "it is not tried again"
        failed = f"{why}; the rollback ended in {type(error).__name__}: {error}; {left}"
        # A channel gets each event once: that the rollback is not tried again is another event.
        event = f"rollback ended, {left}"
        works: Mapping[str, Callable[[], None]] = {
            "the page": lambda: self._page(failed, event),
            "the entry": lambda: self.rollout.append_or_spool(
                Kind.FINDING, clause="RBK-2.1", text=f"watchdog: {failed}"
            ),
        }
        for name, work in works.items():
            try:
                work()
            except Exception as problem:  # noqa: BLE001 - one that fails must not stop the other; the log remains
                sys.stderr.write(f"rollout: {failed}; and {name} failed: {problem!r}\n")

    def _act(self, why: str) -> None:
        """Roll back, unless the rollout is closed, has written nothing, or belongs to a newer token.

        A closed rollout is published, where the run that died had no time to do so.
        """
        acts = self._with_grace(self._takes_over, otherwise=self._is_sole_owner)
        if acts:
            roll_back_and_close(self.rollout, f"watchdog: {why}", {}, self.env)
        publishes = not acts and self._publish_late()
        # A run that died after its verdict has not released its lease; the lease of a newer holder stays.
        self.rollout.release_lease()
        if acts or publishes:
            from rollout.audit.seal import conclude  # noqa: PLC0415 - comes last, and no other step needs it

            conclude(self.rollout.journal, self.rollout.id, self.rollout.folder, self.env, by="watchdog")
            self.owes_report = True

    def _publish_late(self) -> bool:
        try:
            return publish_late(self.rollout, self.env)
        except JournalError:
            return False

    def _takes_over(self) -> bool:
        """Take the newest token if there is a change to roll back: of two processes that try, one gets it."""
        if self._is_over():
            return False
        lease = self.rollout.lease
        try:
            self.rollout.take_lease(after=lease.token if lease else None)
        except TryLater:
            return False
        return True

    def _is_over(self) -> bool:
        record = self.rollout.record()
        return record.closed is not None or self.rollout.superseded() or not record.wrote

    def _is_sole_owner(self) -> bool:
        """Return whether to act without a journal: the lease runs, and the new or previous provider is active."""
        if not self.rollout.last_known_record().wrote or self.rollout.last_known_record().closed is not None:
            return False
        why = "its lease has run out"
        if self.rollout.lease_runs():
            try:
                here = self.rollout.gateway.active_provider()
                ours = (self.rollout.expected_active, recorded(self.rollout.last_known_record().backup).previous)
                if any(is_same_provider(here, place) for place in ours):
                    return True
                why = f"{here} is active, which is neither what it applied nor what was active before"
            except RolloutError as error:
                why = str(error)
        self._page(f"the runner died, the journal cannot be reached, and {why}: nothing was touched")
        return False

    def _page(self, why: str, event: str = "stranded") -> None:
        """Notify every channel that an operator is needed."""
        message = messages.trouble(self.rollout, messages.A_PERSON_IS_NEEDED, f"watchdog: {why}", self._commands())
        page(self.rollout, event, message, self.env, everyone=True)

    def _commands(self) -> tuple[str, ...]:
        try:
            return manual_commands(self.rollout)
        except Exception:  # noqa: BLE001 - what ended the rollback may end this too, and people must be paged
            return (by_hand.read_command(self.rollout.target),)

    def _keep_lease(self) -> None:
        # Lost or out of reach: `_act` decides later whether to act.
        with suppress(JournalError, LeaseLost):
            # Long enough for the grace, even if runner and journal are lost right after the next renewal.
            self.rollout.hold_lease(LEASE_S)
            # A restored copy of the journal is recognised by the head that was read last.
            self.rollout.journal.head()

    def _with_grace(self, ask: Callable[[], T], otherwise: Callable[[], T]) -> T:
        until = self.rollout.clock.now() + timedelta(seconds=GRACE_S)
        while True:
            try:
                return ask()
            except JournalError:
                if self.rollout.clock.now() >= until:
                    return otherwise()
                self.rollout.clock.wait(POLL_EVERY_S)


def main() -> int:
    """Run as a process: the order and every later line come over standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    order = json.loads(_line(sys.stdin.fileno()))
    journal = Journal.open(order["journal"], clock=SystemClock(), redact=Redactor().value, create=False)
    record = replay(order["rollout"], journal.entries(order["rollout"], *REPLAYED))
    with reopened(journal, record, Path(order["reports"]), os.environ) as rollout:
        # From here on errors are written to a log among the evidence.
        sys.stderr = quiet(sys.stderr, lambda text: for_terminal(rollout.redactor.text(text)))
        recorded(rollout.record().backup)
        lease = journal.holder(rollout.lease_target)
        if lease is None or lease.rollout != rollout.id:
            raise SystemExit(
                f"the lease on {rollout.lease_target} is not held by {rollout.id}, so there is nothing to watch"
            )
        rollout.adopt(lease)
        os.write(sys.stdout.fileno(), ARMED)
        # The runner's end of this pipe closes next; nothing may be written there any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        watch = Watch(rollout, sys.stdin.fileno(), os.environ)
        watch.run()
        end_embedded(rollout)
        if watch.owes_report:
            from rollout.engine import late_report  # noqa: PLC0415 - comes last, and no other step needs it

            late_report.start(order["journal"], rollout.id, Path(order["reports"]), os.environ)
    journal.close()
    return 0


def _line(source: int) -> bytes:
    """Read one line byte by byte: what follows it must stay in the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(source, 1)
        if not byte:
            raise SystemExit(1)
        line += byte
    return line


if __name__ == "__main__":
    # The little garbage of the imports goes at once: the watchdog stays in 64 MB.
    gc.collect()
    gc.freeze()
    gc.enable()
    sys.exit(main())
