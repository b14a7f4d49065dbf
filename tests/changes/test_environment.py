"""The `.env` file: written, in effect after a restart, put back byte for byte, and edits from outside kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes import environment
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import EnvironmentChange
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.host.env_text import EnvFileError
from rollout.journal.record import What
from tests.support.gateways import State
from tests.support.undoing import RESTARTABLE, Undoing

Begin = Callable[..., Undoing]
CONTENT = b"LOG_LEVEL=info\n# theirs\nOLD_KEY=1\n"
CHANGE = EnvironmentChange({"LOG_LEVEL": "debug"}, remove=("OLD_KEY",))
WRITTEN = b"LOG_LEVEL=debug\n# theirs\n"
STATE = State(config={"LOG_LEVEL": "info", "OLD_KEY": "1"})


@pytest.fixture
def lab(undoing: Begin, tmp_path: Path) -> Undoing:
    file = tmp_path / ".env"
    file.write_bytes(CONTENT)
    lab = undoing(CHANGE, target=replace(RESTARTABLE, env_file=file), state=STATE)
    lab.gateway.env_file = file
    return lab


def file_of(lab: Undoing) -> Path:
    assert lab.rollout.target.env_file is not None
    return lab.rollout.target.env_file


def restore(lab: Undoing) -> str:
    return environment.restore(lab.rollout, lab.backup, lab.rollout.last_known_record())


def test_it_is_written_restarted_and_in_effect(lab: Undoing):
    applied = lab.apply()
    assert applied.failed is None, applied.failed
    assert file_of(lab).read_bytes() == WRITTEN
    assert lab.gateway.restarts == 1
    assert [(step, to) for step, _, to, _ in lab.sent()] == [("APP-2.1", str(CHANGE)), ("APP-2.2", "restart")]


def test_what_is_in_effect_already_is_neither_written_nor_restarted(lab: Undoing):
    file_of(lab).write_bytes(WRITTEN)
    assert lab.apply().failed is None
    assert (lab.sent(), lab.gateway.restarts) == ([], 0)


@pytest.mark.parametrize("content", [b"LOG_LEVEL=debug\nOLD_KEY=1\n", b"LOG_LEVEL=info\n"])
def test_a_value_that_is_old_or_a_key_that_is_still_there_is_not_in_effect(lab: Undoing, content: bytes):
    file_of(lab).write_bytes(content)
    assert not environment.in_effect(lab.rollout, CHANGE)


def test_a_service_that_still_reports_the_old_value_fails_the_change(lab: Undoing):
    lab.gateway.env_file = None
    with pytest.raises(GatewayError, match="the old value of LOG_LEVEL, OLD_KEY is still in effect"):
        lab.apply().describe("APP-2.4")


@pytest.mark.parametrize(("stale_for_s", "passes"), [(3.0, True), (2.0, False)])
def test_the_new_value_is_seen_as_late_as_reads_may_lag(lab: Undoing, stale_for_s: float, passes: bool):
    lab.rollout.target = replace(lab.rollout.target, stale_for_s=stale_for_s)
    lab.gateway.stale_s = 3.0
    assert (lab.apply().failed is None) is passes


# The rollback: RBK-3.1


def test_the_file_goes_back_byte_for_byte(lab: Undoing):
    lab.apply()
    assert restore(lab) == "restored byte for byte"
    assert file_of(lab).read_bytes() == CONTENT
    assert lab.sent()[-1] == ("RBK-3.1", "back", ".env", "done")


def test_a_file_that_was_never_written_is_left_alone(lab: Undoing):
    assert restore(lab) == "it is as it was"
    assert lab.sent() == []


@pytest.mark.parametrize(("result", "writes"), [("done", True), ("unknown", True), (None, True), ("refused", False)])
def test_a_file_that_reads_as_it_was_is_written_all_the_same_where_a_write_is_owed(
    lab: Undoing, result: str | None, writes: bool
):
    """Behind a command it may be read from a copy that lags (BROKEN_PROMISES 1)."""
    lab.write(str(CHANGE), step="APP-2.1", what=What.ENVIRONMENT, result=result)
    restore(lab)
    assert (lab.sent()[-1][0] == "RBK-3.1") is writes
    assert restore(lab) == "it is as it was", "once done it is not written again"


def test_an_outside_edit_is_kept_and_only_our_keys_go_back(lab: Undoing):
    lab.apply()
    file_of(lab).write_bytes(WRITTEN + b"THEIRS=1\n")
    with pytest.raises(RolloutError, match=r"the \.env file was edited since"):
        restore(lab)
    assert b"LOG_LEVEL=info" in file_of(lab).read_bytes()
    assert b"THEIRS=1" in file_of(lab).read_bytes()


def test_an_outside_value_of_our_key_is_kept(lab: Undoing):
    lab.apply()
    file_of(lab).write_bytes(b"LOG_LEVEL=trace\n# theirs\n")
    with pytest.raises(RolloutError, match="was edited since"):
        restore(lab)
    assert b"LOG_LEVEL=trace" in file_of(lab).read_bytes()
    assert b"OLD_KEY=1" in file_of(lab).read_bytes()


def test_an_edit_that_leaves_what_the_backup_has_is_a_restored_file(lab: Undoing):
    """Somebody has put one of the keys back, and this rollout the other: nothing is left to compare."""
    lab.apply()
    file_of(lab).write_bytes(b"LOG_LEVEL=debug\n# theirs\nOLD_KEY=1\n")
    assert restore(lab) == "restored byte for byte"
    assert file_of(lab).read_bytes() == CONTENT


def test_a_backup_that_was_altered_or_is_missing_is_not_written(lab: Undoing):
    lab.apply()
    assert lab.backup.env is not None
    Path(lab.backup.env.path).write_bytes(b"OTHER=1\n")
    with pytest.raises(RolloutError, match="is no longer the backup that was taken"):
        restore(lab)
    without = replace(lab.backup, env=None)
    with pytest.raises(RolloutError, match="there is no copy"):
        environment.restore(lab.rollout, without, lab.rollout.last_known_record())
    assert file_of(lab).read_bytes() == WRITTEN


def test_a_stop_cuts_the_way_there_and_not_the_rollback(lab: Undoing):
    lab.apply()
    lab.rollout.stop.set("SIGTERM")
    restore(lab)
    assert file_of(lab).read_bytes() == CONTENT


def test_a_file_behind_a_lagging_read_is_undone_by_a_write(lab: Undoing, monkeypatch: pytest.MonkeyPatch):
    """The read command answers from a copy of 10 s ago: the write did not read back, and is undone all the same."""
    service = replace(RESTARTABLE.service, read=("r",), write=("w",))  # type: ignore[type-var]
    lab.rollout.target = replace(lab.rollout.target, service=service)
    held = [(float("-inf"), CONTENT)]

    def exchange(command: tuple[str, ...], content: bytes = b"", **_: object) -> bytes:
        if command == ("w",):
            held.append((lab.clock.monotonic(), content))
            return b""
        return next(content for at, content in reversed(held) if at <= lab.clock.monotonic() - 10.0)

    monkeypatch.setattr("rollout.gateway.host.env_file.exchange", exchange)
    with pytest.raises(EnvFileError, match="does not read back equal"):
        lab.apply().describe("APP-2.1")
    assert held[-1][1] == WRITTEN
    lab.clock.advance(1.0)
    restore(lab)
    assert held[-1][1] == CONTENT


@pytest.mark.parametrize("is_written", [False, True])
def test_an_undo_that_cannot_be_written_counts_only_where_the_file_reads_as_it_was(
    lab: Undoing, monkeypatch: pytest.MonkeyPatch, is_written: bool
):
    """The write has failed there and back: read again when reads cannot lag any more, the file says what it holds."""
    service = replace(RESTARTABLE.service, read=("r",), write=("w",))  # type: ignore[type-var]
    lab.rollout.target = replace(lab.rollout.target, service=service, stale_for_s=5.0)
    lab.write(str(CHANGE), step="APP-2.1", what=What.ENVIRONMENT, result="unknown")
    began_s = lab.clock.monotonic()

    def exchange(command: tuple[str, ...], *_: object, **__: object) -> bytes:
        if command == ("w",):
            raise ServiceError("exit code 1")
        return WRITTEN if is_written and lab.clock.monotonic() - began_s >= 5.0 else CONTENT

    monkeypatch.setattr("rollout.gateway.host.env_file.exchange", exchange)
    if is_written:
        with pytest.raises(EnvFileError, match="exit code 1"):
            restore(lab)
    else:
        assert restore(lab).startswith("it is as it was, read twice; writing it once more failed")


def test_a_secret_that_is_not_set_writes_nothing(lab: Undoing):
    change = EnvironmentChange(secrets={"API_KEY": "NEW_KEY"})
    with pytest.raises(RolloutError, match="the environment variable NEW_KEY is not set"):
        environment.in_effect(lab.rollout, change)


def test_its_own_keys_are_those_of_the_change(lab: Undoing):
    assert environment.own(lab.rollout.target, CHANGE) == {"LOG_LEVEL", "OLD_KEY"}
