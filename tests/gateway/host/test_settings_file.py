"""An edit is carried out completely or not at all, and no message holds a secret."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import Interrupted
from rollout.core.writes import FileEdit
from rollout.gateway.host import replacement, settings_file
from rollout.gateway.host.settings_document import SettingsError
from rollout.gateway.host.settings_file import apply_file_edit, compose_content, read_settings_file, write_settings_file

SECRET = "s3cr3t-v4lue"
BEFORE = b"router: {a: 1}  # why\nkeys:\n  token: old\n"
AFTER = f"router: {{a: 2}}  # why\nkeys:\n  token: {SECRET}\n".encode()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "app" / "config.yaml"
    path.parent.mkdir()
    path.write_bytes(BEFORE)
    path.chmod(0o640)
    return path


def edit_of(path, **values):
    return FileEdit(path, "yaml", values={"router.a": 2, **values}, secrets={"keys.token": "TOKEN"})


def failure(work, says):
    with pytest.raises(SettingsError) as caught:
        work()
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def apply(path, **values):
    return apply_file_edit(edit_of(path, **values), secrets={"keys.token": SECRET})


def test_an_edit_is_read_back_and_keeps_the_files_mode(path):
    assert apply(path) == path.read_bytes() == AFTER
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_an_edit_of_an_env_file_is_carried_out_alike(path):
    path.write_bytes(b"A='1' # a\nB=2\n")
    apply_file_edit(FileEdit(path, "env", {"A": "2"}, {"C": "TOKEN"}, ("B",)), secrets={"C": SECRET})
    assert path.read_bytes() == f"A='2' # a\nC={SECRET}\n".encode()


def test_an_edit_that_is_in_effect_already_writes_nothing(path):
    apply(path)
    inode = path.stat().st_ino
    assert apply(path) == AFTER
    assert path.stat().st_ino == inode


def test_a_link_is_followed_and_stays_one(path):
    link = path.with_name("current.yaml")
    link.symlink_to(path.name)
    apply(link)
    assert link.is_symlink()
    assert path.read_bytes() == AFTER


def test_a_file_that_is_made_anew_is_private(path):
    path.unlink()
    write_settings_file(path, AFTER, before=None)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (AFTER, 0o600)


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(path):
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    for odd in (fifo, path.parent):
        failure(lambda odd=odd: apply(odd), f"{odd}: is no regular file; correct its path")
        failure(lambda odd=odd: write_settings_file(odd, b"", before=None), f"{odd}: is no regular file")
    loop = path.with_name("loop")
    loop.symlink_to(loop)
    failure(lambda: apply(loop), "loop: cannot be read (")
    failure(lambda: write_settings_file(loop, b"", before=None), "loop: cannot be written (")
    failure(lambda: apply(path.with_name("absent")), "absent: cannot be read (No such file or directory); correct its")


def test_a_file_that_cannot_be_edited_is_as_it_was(path):
    failure(lambda: apply(path, **{"router.a.b": 1}), f"{path}:1: router.a.b: router.a is a single value")
    failure(
        lambda: apply_file_edit(edit_of(path), secrets={}),
        f"{path}: keys.token: the environment variable TOKEN is not set; it holds the new value",
    )
    assert path.read_bytes() == BEFORE


def test_a_file_of_more_than_10_mb_is_refused_before_it_is_read_whole(path):
    with path.open("wb") as file:
        file.truncate(50_000_000)
    assert len(read_settings_file(path)) == 10_000_001
    failure(lambda: apply(path), "is larger than 10 MB")


def test_what_changed_since_it_was_read_is_not_overwritten(path):
    before = read_settings_file(path)
    content = compose_content(edit_of(path), before, {"keys.token": SECRET})
    path.write_bytes(b"other: 1\n")
    failure(lambda: write_settings_file(path, content, before=before), "was changed since it was read")
    assert path.read_bytes() == b"other: 1\n"


def test_what_does_not_read_back_equal_is_an_error(path, monkeypatch):
    monkeypatch.setattr(settings_file, "replace_file", lambda path, _: path.write_bytes(b"another process's"))
    failure(lambda: apply(path), "does not read back equal")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (28, "(No space left on device); nothing was changed"),
        (13, "(Permission denied); its owner must be kept: run as its owner"),
        (16, "(Device or resource busy); it is mounted by itself"),
        (30, "(Read-only file system); it is mounted read-only"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(path, monkeypatch, number, says):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(replacement.os, "fsync", fail)
    failure(lambda: apply(path), f"{path}: cannot be written {says}")
    assert path.read_bytes() == BEFORE
    assert list(path.parent.iterdir()) == [path]


def test_a_stop_prevents_the_write(path):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match=r"config\.yaml: not written, ctrl-c"):
        apply_file_edit(edit_of(path), secrets={"keys.token": SECRET}, stop=stop)
    assert path.read_bytes() == BEFORE


def test_an_edit_without_a_path_is_not_of_this_module():
    with pytest.raises(ValueError, match="EnvFile"):
        apply_file_edit(FileEdit(None, "env"), secrets={})


def replace_until(path: Path, number: int) -> None:
    """Replace the file, and kill this process before it runs the line of that number."""
    left = [number]

    def count(frame, event, _):
        if frame.f_code.co_filename != replacement.__file__:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(count)
    replacement.replace_file(path, AFTER)
    os._exit(0)


def test_killed_between_any_two_lines_the_file_is_the_old_one_or_the_new_one(path):
    seen = []
    for number in range(1, 100):
        child = os.fork()
        if child == 0:
            replace_until(path, number)
        status = os.waitpid(child, 0)[1]
        seen.append(path.read_bytes())
        modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir() if each != path}
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert modes <= {0o600, 0o640}
        for each in path.parent.iterdir():
            each.unlink()
        path.write_bytes(BEFORE)
        path.chmod(0o640)
        if status == 0:
            break
    assert set(seen) == {BEFORE, AFTER}
    assert seen == sorted(seen)  # once new, it stays new
    assert 15 < len(seen) < 99
