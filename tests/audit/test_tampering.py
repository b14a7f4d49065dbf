"""Whatever is altered in the record of a real rollout is named: every entry, every column, every file."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.audit.verification import Examination, Question, examine
from rollout.cli.main import main
from rollout.core.canonical_json import canonical
from rollout.core.clock import SystemClock
from rollout.journal.chain import GENESIS, Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from tests.support.keys import listed, make_key
from tests.support.runs import Lab

COLUMNS = ("seq", "rollout", "at", "kind", "body", "prev", "hash")
RECOMPUTED = "the journal was recomputed from some entry on, or its end was cut off"


@dataclass(frozen=True)
class Sealed:
    """A rollout that was kept and sealed."""

    reports: Path
    id: str
    allowed: Path
    entries: tuple[Entry, ...]

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.reports / self.id

    def examine(
        self,
        journal: Path | None = None,
        *,
        reports: Path | None = None,
        head: tuple[int, str] | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ):
        """Examine a copy of the journal."""
        where = journal or self.reports / "journal.sqlite"
        with Journal.open(str(where), clock=SystemClock(), create=False) as opened:
            return examine(opened, Question(reports or self.reports, None, self.allowed, head), announce)

    def copy(self, to: Path) -> Path:
        """Return a copy of the journal, below `to`."""
        return Path(shutil.copyfile(self.reports / "journal.sqlite", to / "journal.sqlite"))

    def seal_alone(self, to: Path) -> Path:
        """Return reports that hold nothing but the seal's file: what shows then is not a file that is missing."""
        (to / self.id).mkdir()
        shutil.copyfile(self.folder / "seal.json", to / self.id / "seal.json")
        return to


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("sealed")
    key = make_key(folder, "pipeline")
    with Lab(folder) as lab:
        lab.env["ROLLOUT_SEAL_KEY"] = str(key)
        # What is not yet known of the window is looked for less often: a small run has few entries.
        paces = ("metrics_every", "alerts_every", "synthetic_every")
        # With so few, one that a busy machine delays would leave the P95 undecided; its limit is not what is tested.
        lab.scenario["monitor"] |= {**dict.fromkeys(paces, "500ms"), "latency_factor": 50}
        run = lab.run()
        assert run.code == 0, run.out
        assert f"signed with {key}" in run.out
        with Journal.open(str(lab.reports / "journal.sqlite"), clock=SystemClock()) as journal:
            entries = journal.entries()
        yield Sealed(lab.reports, run.id, listed(folder, key), entries)


@pytest.fixture
def journal(sealed: Sealed) -> Iterator[Journal]:
    with Journal.open(str(sealed.reports / "journal.sqlite"), clock=SystemClock()) as journal:
        yield journal


def names(found: Examination) -> str:
    assert not found.is_whole, "nothing was named"
    return "\n".join(map(str, found.findings))


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    """Change a copy of the journal past the suite."""
    with closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def flipped(value: bytes, number: int) -> bytes:
    """Return the value with one bit of one byte flipped, of another byte and another bit each time."""
    data = bytearray(value)
    data[number * 7 % len(data)] ^= 1 << number % 8
    return bytes(data)


def flip(connection: sqlite3.Connection, seq: int, column: str) -> tuple[str, list[object]]:
    """Flip a bit of one entry's column, and return the statement that undoes it."""
    if column == "seq":
        odd = seq ^ 0x4000
        connection.execute("UPDATE rollout_entry SET seq = ? WHERE seq = ?", [odd, seq])
        return "UPDATE rollout_entry SET seq = ? WHERE seq = ?", [seq, odd]
    ((was,),) = connection.execute(f"SELECT CAST({column} AS BLOB) FROM rollout_entry WHERE seq = ?", [seq])
    change = f"UPDATE rollout_entry SET {column} = CAST(? AS TEXT) WHERE seq = ?"
    connection.execute(change, [flipped(was, seq), seq])
    return change, [was, seq]


def rewritten(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries with a chain of their own, as somebody makes it who can write the journal's file."""
    chain: list[Entry] = []
    for each in entries:
        last = (chain[-1].seq, chain[-1].hash) if chain else (0, GENESIS)
        chain.append(Entry.following(last, rollout=each.rollout, at=each.at, kind=each.kind, body=each.body))
    return tuple(chain)


def put(path: Path, entries: tuple[Entry, ...]) -> None:
    rows = [(e.seq, e.rollout, e.at, e.kind, canonical(e.body).decode(), e.prev, e.hash) for e in entries]
    with changed(path) as connection:
        connection.execute("DELETE FROM rollout_entry")
        connection.executemany("INSERT INTO rollout_entry VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def test_an_untouched_record_is_whole(sealed: Sealed):
    """Nothing is named, everything was checked, and the signer is known."""
    steps: list[str] = []
    told = sealed.examine(announce=steps.append)
    assert steps == ["reading the journal and its chain of hashes", f"verifying rollout 1 of 1, {sealed.id}"]
    assert told.findings == []
    assert told.checked["entries"] == len(sealed.entries)
    assert told.checked["files"] > 100
    assert told.checked["verdicts"] == 6
    assert told.checked["signed by pipeline@example.com"] == 1


def test_a_byte_of_any_column_of_any_entry_is_named(sealed: Sealed, tmp_path: Path):
    """The chain breaks at that entry, or at the next one, and the message names it."""
    path = sealed.copy(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        with Journal.open(str(path), clock=SystemClock(), create=False) as journal:
            for entry in sealed.entries:
                for column in COLUMNS:
                    undo = flip(connection, entry.seq, column)
                    said = names(examine(journal, Question(sealed.reports)))
                    assert "chain is broken" in said, (entry.seq, column, said)
                    assert re.search(rf"entr(y|ies) {entry.seq}\b", said), (column, said)
                    connection.execute(*undo)
            assert examine(journal, Question(sealed.reports)).is_whole


def test_an_entry_that_is_dropped_or_swapped_is_named(sealed: Sealed, tmp_path: Path):
    """Each entry, the last ones too: the seal's file remembers where the journal went on."""
    path, reports = sealed.copy(tmp_path), sealed.seal_alone(tmp_path)
    for place, entry in enumerate(sealed.entries):
        put(path, sealed.entries[:place] + sealed.entries[place + 1 :])
        assert f"entry {entry.seq}" in names(sealed.examine(path, reports=reports))
    for place, (one, two) in enumerate(zip(sealed.entries, sealed.entries[1:], strict=False)):
        swapped = [*sealed.entries]
        fields = ("rollout", "at", "kind", "body", "prev", "hash")
        swapped[place] = Entry(one.seq, *(getattr(two, name) for name in fields))
        swapped[place + 1] = Entry(two.seq, *(getattr(one, name) for name in fields))
        put(path, tuple(swapped))
        assert f"entry {one.seq} " in names(sealed.examine(path, reports=reports))


def test_a_chain_that_is_recomputed_from_any_entry_is_named(sealed: Sealed, tmp_path: Path):
    """Whoever rewrites an entry and all hashes after it cannot rewrite what was signed."""
    path, reports = sealed.copy(tmp_path), sealed.seal_alone(tmp_path)
    for place, entry in enumerate(sealed.entries):
        odd = Entry(entry.seq, entry.rollout, entry.at, entry.kind, {**entry.body, "x": 1}, entry.prev, entry.hash)
        put(path, rewritten((*sealed.entries[:place], odd, *sealed.entries[place + 1 :])))
        assert RECOMPUTED in names(sealed.examine(path, reports=reports))


def test_a_tail_that_is_cut_off_is_named(sealed: Sealed, tmp_path: Path):
    """At any entry, up to an empty journal."""
    path, reports = sealed.copy(tmp_path), sealed.seal_alone(tmp_path)
    for place in range(len(sealed.entries)):
        put(path, sealed.entries[:place])
        assert RECOMPUTED in names(sealed.examine(path, reports=reports))


def test_a_head_from_a_notification_needs_no_seal(sealed: Sealed, tmp_path: Path):
    """Without any file, a recomputed chain and a cut tail differ from what left the machine."""
    last, path, nowhere = sealed.entries[-1], sealed.copy(tmp_path), tmp_path / "nowhere"
    head = (last.seq, last.hash)
    assert RECOMPUTED not in str(sealed.examine(path, reports=nowhere, head=head).findings)
    put(path, sealed.entries[:-1])
    assert f"the head that left the machine is not there: the journal ends with entry {last.seq - 1}" in names(
        sealed.examine(path, reports=nowhere, head=head)
    )
    put(path, rewritten((*sealed.entries[:-1], Entry(**{**_fields(last), "at": "2026"}))))
    assert f"the head that left the machine is {last.hash[:12]}…" in names(
        sealed.examine(path, reports=nowhere, head=head)
    )


def _fields(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in COLUMNS}


def test_a_byte_of_any_file_is_named(sealed: Sealed, journal: Journal):
    """Results, backups, records and the report: each is named, alone, with its path."""
    files = [path for path in sealed.folder.rglob("*") if path.is_file() and path.name != "watchdog.log"]
    copies = list(sealed.reports.parent.glob("gateway/config-backup-*.env"))
    assert len(copies) == 1
    for number, path in enumerate([*files, *copies]):
        content = path.read_bytes()
        if content:
            odd = bytearray(content)
            odd[number * 7 % len(odd)] ^= 1
            path.write_bytes(odd)
            said = names(examine(journal, Question(sealed.reports)))
            path.write_bytes(content)
            assert str(path) in said
            assert said.count("That means") == 1 or path.name == "seal.json", said
    assert examine(journal, Question(sealed.reports)).is_whole


def test_a_file_that_is_missing_or_added_is_named(sealed: Sealed, tmp_path: Path):
    """A result that is gone, one that was put beside it, and a whole folder."""
    result = next(sealed.folder.glob("allure-results/*/*-result.json"))
    away = Path(shutil.move(result, tmp_path / "away"))
    assert f"{result}: it is missing; entry " in names(sealed.examine())
    shutil.move(away, result)
    other = result.with_name("0-result.json")
    other.write_text("{}")
    assert f"{other}: no entry of the journal lists it" in names(sealed.examine())
    other.unlink()
    shutil.move(sealed.folder, tmp_path / "whole")
    assert "files is missing" in names(sealed.examine())
    shutil.move(tmp_path / "whole", sealed.folder)
    stranger = sealed.reports / "20260101-000000-other-0000"
    shutil.copytree(sealed.folder, stranger)
    assert f"{stranger}: the journal knows nothing of this rollout" in names(sealed.examine())
    shutil.rmtree(stranger)


@pytest.mark.parametrize(
    ("clause", "field", "value"),
    [
        ("MON-2", "value", 0.25),
        ("MON-2", "samples", 1000),
        ("MON-2", "interval", [0.0, 0.01]),
        ("MON-2", "interval", None),
        ("MON-2", "undecided", True),
        ("MON-3", "limit", 100.0),
        ("MON-3", "effective_limit", 1000.0),
        ("MON-3", "interval", [0.0, 0.01]),
    ],
)
def test_a_verdict_that_does_not_follow_is_named_with_both_values(
    sealed: Sealed, tmp_path: Path, clause: str, field: str, value: object
):
    """Even where the whole chain was recomputed, and nobody had sealed it."""
    path = sealed.copy(tmp_path)
    allow_writes = tuple(each for each in sealed.entries if each.kind != Kind.SEAL)
    place = next(n for n, e in enumerate(allow_writes) if e.kind == Kind.VERDICT and e.body["clause"] == clause)
    now = allow_writes[place].body[field]
    assert now is not None
    body = {**allow_writes[place].body, field: value}
    odd = Entry(**{**_fields(allow_writes[place]), "body": body})
    put(path, rewritten((*allow_writes[:place], odd, *allow_writes[place + 1 :])))
    with Journal.open(str(path), clock=SystemClock(), create=False) as journal:
        said = names(examine(journal, Question(tmp_path)))
    assert f"entry {odd.seq} (verdict of {clause}): {field} is {value!r}, its samples say {now!r}" in said


def test_the_shares_of_a_former_rules_window_are_not_derived_again_and_this_is_said(sealed: Sealed, tmp_path: Path):
    """Its other verdicts are; without the window's number of the rule, nothing of today's is expected of them."""
    examined = without_a_rule(sealed, tmp_path, "interval", "effective_limit", "power", "undecided")
    assert f"{sealed.id}: an earlier version's rule judged MON-2, MON-3, MON-5, which are not derived again" in (
        examined.unclaimed
    )
    assert "(verdict of " not in "\n".join(map(str, examined.findings))
    assert examined.checked["verdicts"] == 3


def test_a_window_whose_rule_was_taken_away_is_named(sealed: Sealed, tmp_path: Path):
    """Its verdicts have what only today's rule says: it is no window of a former version."""
    found = "\n".join(map(str, without_a_rule(sealed, tmp_path).findings))
    assert "(verdict of MON-2): its window names the rule None, and the test for shares has judged it" in found


def without_a_rule(sealed: Sealed, tmp_path: Path, *removed: str) -> Examination:
    """Examine a journal whose window names no rule, with another verdict of MON-2, in a chain that was recomputed."""
    path = sealed.copy(tmp_path)
    entries = []
    for each in sealed.entries:
        body = {name: value for name, value in each.body.items() if (each.kind, name) != (Kind.WINDOW, "judge")}
        if each.kind == Kind.VERDICT:
            body = {name: value for name, value in body.items() if name not in removed}
        if each.kind == Kind.VERDICT and each.body["clause"] == "MON-2":
            body |= {"value": 0.25, "message": "as the former rule judged it"}
        entries.append(Entry(**{**_fields(each), "body": body}))
    put(path, rewritten(tuple(each for each in entries if each.kind != Kind.SEAL)))
    with Journal.open(str(path), clock=SystemClock(), create=False) as journal:
        return examine(journal, Question(sealed.reports))


def test_a_sample_that_was_altered_contradicts_its_verdict(sealed: Sealed, tmp_path: Path):
    """A failed request that was made a good one, or the other way round."""
    path = sealed.copy(tmp_path)
    place = next(n for n, e in enumerate(sealed.entries) if e.kind == Kind.SAMPLE and e.body["source"] == "synthetic")
    body = {**sealed.entries[place].body, "ok": False, "status": 500, "reason": "HTTP 500"}
    odd = Entry(**{**_fields(sealed.entries[place]), "body": body})
    put(path, rewritten((*sealed.entries[:place], odd, *sealed.entries[place + 1 :])))
    assert "(verdict of MON-2): " in names(sealed.examine(path))


def test_a_strangers_seal_vouches_for_nothing(sealed: Sealed, journal: Journal, tmp_path: Path):
    """Somebody with another key may seal a record again: the list of signers does not know them."""
    allowed = listed(tmp_path, make_key(tmp_path, "mallory"))
    told = examine(journal, Question(sealed.reports, allowed_signers=allowed))
    assert "(seal): no key in" in names(told)


def test_what_is_no_seal_is_named(sealed: Sealed, tmp_path: Path):
    """The seal's file, emptied, or with a word more."""
    path, reports = sealed.copy(tmp_path), sealed.seal_alone(tmp_path)
    file = reports / sealed.id / "seal.json"
    kept = json.loads(file.read_text())
    file.write_text("")
    assert f"{file}: it is not a seal's file" in names(sealed.examine(path, reports=reports))
    file.write_text(json.dumps({**kept, "x": 1}))
    assert f"{file}: it is not the latest seal of the journal" in names(sealed.examine(path, reports=reports))


def test_reports_can_be_moved_and_read_elsewhere(
    sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """In another folder, on another host, after a stay in an archive: the same record, the same answers."""
    archive = shutil.make_archive(str(tmp_path / "reports"), "gztar", sealed.reports)
    elsewhere = tmp_path / "elsewhere"
    shutil.unpack_archive(archive, elsewhere, filter="data")
    monkeypatch.setattr("platform.node", lambda: "another-host")
    reports = f"--reports={elsewhere}"
    assert main(["verify-journal", reports, f"--allowed-signers={sealed.allowed}"]) == 0, capsys.readouterr().out
    assert main(["status", "--all", reports]) == 0
    assert sealed.id in capsys.readouterr().out
    assert main(["report", sealed.id, reports]) == 0
    assert str(elsewhere / sealed.id / "report.html") in capsys.readouterr().out
    assert main(["verify-journal", reports]) == 0, capsys.readouterr().out
