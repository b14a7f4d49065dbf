"""Open a path or a database as a journal: one is there, one can be made, or it is something else."""

from __future__ import annotations

from datetime import datetime

from rollout.core.clock import format_utc
from rollout.journal import schema
from rollout.journal.absence import absent
from rollout.journal.store import Store


def prepare(store: Store, *, host: str, now: datetime, create: bool) -> None:
    """Check that `store` holds a journal that this program reads; make an empty one where there is none.

    Args:
        store: where it is.
        host: what is noted in a new one as its host.
        now: what is noted as the moment of its making.
        create: False makes nothing and changes nothing: no folder, no file, no table, no permission.

    Raises:
        JournalError: there is none and none is to be made, or it is something else, damaged, or of a newer version.
    """
    store.prepare(create=create)
    with store.read() as connection:
        is_there = schema.is_present(connection, store.where)
    if not is_there and not create:
        raise absent(store.where, "this database holds none of its tables")
    if not is_there:
        with store.write() as connection:
            # Checked again under the lock: two first runs at once make the tables once.
            if not schema.is_present(connection, store.where):
                schema.create(connection, host, format_utc(now))
    if create:
        store.keep_private()
