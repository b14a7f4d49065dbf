"""The tables of a journal, whether a database holds them, and the statements that read and write entries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    inspect,
    select,
)

from rollout.core.errors import JournalError
from rollout.journal.chain import RECONCILED, Entry, encode

SCHEMA_VERSION = 1
"""Raised with every change of the tables; a journal of a newer version is refused."""

_TABLES = MetaData()
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "rollout_meta",
    _TABLES,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

entry = Table(
    "rollout_entry",
    _TABLES,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("rollout", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    # Unique: the database refuses a second entry after the same predecessor, which would fork the chain.
    Column("prev", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),
    Index("rollout_entry_by_rollout", "rollout", "seq"),
    # An operator's abort and hold are polled every two seconds, among the samples of a day.
    Index("rollout_entry_by_kind", "rollout", "kind", "seq"),
)

lease = Table(
    "rollout_lease",
    _TABLES,
    Column("target", Text, primary_key=True),
    Column("token", _NUMBER, nullable=False),
    Column("rollout", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("until", Text, nullable=False),
    Column("released", Boolean, nullable=False),
)

# Made once: to build a statement takes SQLAlchemy as long as to run it.
HEAD = select(entry.c.seq, entry.c.hash).order_by(entry.c.seq.desc()).limit(1)
ALL = select(entry).order_by(entry.c.seq)
PAGE = ALL.where(entry.c.seq >= bindparam("first")).limit(bindparam("at_most"))
ADD = insert(entry)

# The ids of the rollouts, one step through the index each: to group the entries would read each of them.
_FIRST = select(func.min(entry.c.rollout).label("rollout")).cte("ids", recursive=True)
_NEXT = select(func.min(entry.c.rollout)).where(entry.c.rollout > _FIRST.c.rollout).scalar_subquery()
_IDS = _FIRST.union_all(select(_NEXT).where(_FIRST.c.rollout.is_not(None)))
_BEGIN = select(func.min(entry.c.seq)).where(entry.c.rollout == _IDS.c.rollout).scalar_subquery()
ROLLOUTS = select(_IDS.c.rollout).where(_IDS.c.rollout.is_not(None)).order_by(_BEGIN)


def row_of(written: Entry) -> dict[str, Any]:
    """Return an entry as the database keeps it."""
    return {
        "seq": written.seq,
        "rollout": written.rollout,
        "at": written.at,
        "kind": written.kind,
        "body": encode(written.body),
        "prev": written.prev,
        "hash": written.hash,
    }


@lru_cache(maxsize=64)
def chosen(rollout: str | None, kinds: tuple[str, ...]) -> Select[Any]:
    """Return the query for the entries of one rollout, None for all, and of these kinds, none for all; in order.

    Those of kind `RECONCILED` are always among them: the entry that each holds is known once it is read. The query
    takes a parameter ``after``: only entries with a higher number.
    """
    query = ALL.where(entry.c.seq > bindparam("after", 0))
    query = query if rollout is None else query.where(entry.c.rollout == rollout)
    if not kinds:
        return query
    query = query.where(entry.c.kind.in_([*map(str, kinds), RECONCILED]))
    # Of all rollouts, those of each are found by the index of kinds.
    query = query if rollout is not None else query.where(entry.c.rollout.in_(select(_IDS.c.rollout)))
    # In the order of `seq` itself, SQLite would read every entry, to save the sort of a few.
    return query.order_by(None).order_by(entry.c.seq + 0)


@lru_cache(maxsize=64)
def chosen_of_some(kinds: tuple[str, ...]) -> Select[Any]:
    """Return the query for the entries of some rollouts and of these kinds, as `chosen`; its parameter ``rollouts``."""
    some = entry.c.rollout.in_(bindparam("rollouts", expanding=True))
    query = ALL.where(some, entry.c.kind.in_([*map(str, kinds), RECONCILED]))
    return query.order_by(None).order_by(entry.c.seq + 0)


@lru_cache(maxsize=64)
def holding(kinds: tuple[str, ...], text: str, without: str | None) -> Select[Any]:
    """Return the query for the ids of the rollouts with an entry of one of these kinds, in the order of `ROLLOUTS`.

    Args:
        kinds: the kinds; an entry that a `RECONCILED` one holds counts by that kind alone.
        text: what the body of that entry contains, as canonical JSON; on SQLite in any case. Empty for any body.
        without: leave out the rollouts with an entry of this kind.
    """
    its = select(entry.c.seq).where(entry.c.rollout == _IDS.c.rollout)
    wanted = its.where(entry.c.kind.in_(kinds), *([entry.c.body.contains(text, autoescape=True)] if text else []))
    query = select(_IDS.c.rollout).where(wanted.exists()).order_by(_BEGIN)
    return query if without is None else query.where(~its.where(entry.c.kind == without).exists())


def absent(where: str, why: str, error: type[JournalError] = JournalError) -> JournalError:
    """Return the error of a missing journal: where, why, and how to name one."""
    return error(
        f"there is no journal at {where}: {why}. Name an existing one with --journal, or its folder with --reports"
    )


def is_present(connection: Connection, where: str) -> bool:
    """Return whether the database holds a journal of a version that this program reads; False if it holds none yet.

    Raises:
        JournalError: it holds something else, half a journal, or a newer one.
    """
    found = set(inspect(connection).get_table_names())
    ours = set(_TABLES.tables)
    # A file belongs to its journal alone; a server's database may be shared.
    strangers = found - ours if connection.dialect.name == "sqlite" else set()
    if not found & ours and not strangers:
        return False
    if not found >= ours or strangers:
        tables = ", ".join(sorted(found if strangers else found & ours))
        raise absent(where, f"this database is not a rollout journal, its tables are {tables}")
    _refuse_other_versions(connection, where)
    return True


def create(connection: Connection, host: str, created: str) -> None:
    """Make the tables of an empty journal, and note the host and the moment."""
    _TABLES.create_all(connection)
    facts = {"schema_version": str(SCHEMA_VERSION), "host": host, "created": created}
    connection.execute(insert(meta), [{"key": key, "value": value} for key, value in facts.items()])


def _refuse_other_versions(connection: Connection, where: str) -> None:
    version = connection.scalar(select(meta.c.value).where(meta.c.key == "schema_version"))
    if version == str(SCHEMA_VERSION):
        return
    if version and version.isdecimal() and int(version) > SCHEMA_VERSION:
        raise JournalError(
            f"journal {where}: its schema is version {version}, and this program knows version {SCHEMA_VERSION} at "
            "most. Upgrade rollout, or name another journal with --journal"
        )
    raise JournalError(
        f"journal {where}: its schema version reads {version!r}, which no rollout journal has. "
        "Name another one with --journal"
    )
