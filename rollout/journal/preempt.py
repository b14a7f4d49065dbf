"""A newer fencing token for a target, with a database driver alone: `rollout emergency` has no time for SQLAlchemy.

`rollout.journal.leases` defines the tokens; only a target that has a lease already gets a newer one here.
"""

from __future__ import annotations

import re
import threading
from contextlib import closing, suppress
from pathlib import Path

SQLITE_WITHIN_S = 0.1
POSTGRESQL_WITHIN_S = 0.3
_TAKE_OVER = (
    "UPDATE rollout_lease SET token = token + 1, rollout = ?, holder = ?, since = ?, until = ?, "
    "released = false WHERE target = ?"
)


def preempt_lease(journal: str, target: str, *, rollout: str, holder: str, since: str, until: str) -> None:
    """Give out the target's next token; a journal that does not answer in time keeps the one it has.

    Args:
        journal: the journal's URL.
        target: the target's URL.
        rollout: the rollout that holds the token from now on.
        holder: names the process and its user.
        since: from when, as the journal writes a time.
        until: when the lease ends, likewise.
    """
    row = (rollout, holder, since, until, target)
    if journal.startswith("postgresql"):
        # A database that does not answer must not delay the caller: the thread is abandoned.
        fencing = threading.Thread(target=_preempt_in_postgresql, args=(journal, row), daemon=True)
        fencing.start()
        fencing.join(POSTGRESQL_WITHIN_S)
    elif journal.startswith("sqlite:///"):
        _preempt_in_file(Path(journal.removeprefix("sqlite:///")), row)


def _preempt_in_file(path: Path, row: tuple[str, ...]) -> None:
    if not path.exists():
        return
    import sqlite3  # noqa: PLC0415 - only such a journal needs it

    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=SQLITE_WITHIN_S)) as journal, journal:
        journal.execute(_TAKE_OVER, row)


def _preempt_in_postgresql(journal: str, row: tuple[str, ...]) -> None:
    with suppress(Exception):
        import psycopg  # noqa: PLC0415 - only such a journal needs it

        url = re.sub(r"^postgresql(\+\w+)?://", "postgresql://", journal)
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute(_TAKE_OVER.replace("?", "%s"), row)
