"""The `.env` file is replaced completely or not at all, and keeps its attributes."""

import os
import stat
import sys
from pathlib import Path

import pytest

from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import Interrupted
from rollout.core.redaction import Redactor
from rollout.core.target import Service, Target
from rollout.gateway.host import env_file, replacement
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import EnvFileError

SECRET = "s3cr3t-v4lue"
CONTENT = f"A=1\r\nTOKEN='{SECRET}'\n# ü".encode()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / ".env").write_bytes(b"A=0\n")
    return folder


@pytest.fixture
def path(folder):
    return folder / ".env"


def build(path=None, read=(), write=(), *, stop=None, service=True, timeout_s=5.0):
    handled = Service(("true",), ("true",), read=read, write=write, timeout_s=timeout_s) if service else None
    target = Target("prod", "production", env_file=path, service=handled)
    return EnvFile(target, clock=SystemClock(), stop=stop or StopFlag(), redact=Redactor([SECRET]).text)


def python(code, *arguments):
    return (sys.executable, "-c", code, *map(str, arguments))


def failure(work, says):
    with pytest.raises(EnvFileError) as caught:
        work()
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("service", [True, False])
def test_a_file_on_this_host_is_read_and_replaced(path, service):
    file = build(path, service=service)
    assert file.read() == b"A=0\n"
    file.write(CONTENT)
    assert file.read() == path.read_bytes() == CONTENT
    assert file.path == path


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_the_mode_is_kept(path, mode):
    path.chmod(mode)
    build(path).write(CONTENT)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_the_owner_and_the_group_are_kept(path):
    os.chown(path, 1234, 4321)
    build(path).write(CONTENT)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_an_owner_that_cannot_be_kept_leaves_the_file_as_it_was(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    before = path.stat()
    real = os.fstat
    monkeypatch.setattr(replacement.os, "fchown", refuse)
    monkeypatch.setattr(replacement.os, "fstat", lambda fd: os.stat_result((*real(fd)[:4], 99, *real(fd)[5:])))
    failure(lambda: build(path).write(CONTENT), "run as its owner, or set the target's service.read and service.write")
    assert (path.read_bytes(), path.stat().st_ino) == (b"A=0\n", before.st_ino)


def test_extended_attributes_are_kept(path):
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    build(path).write(CONTENT)
    assert os.getxattr(path, "user.note") == b"kept"


def test_the_modification_time_is_new(path):
    os.utime(path, (1, 1))
    build(path).write(CONTENT)
    assert path.stat().st_mtime > 1


def test_a_symbolic_link_stays_one_and_the_file_it_leads_to_is_replaced(folder, path):
    link = folder / "current.env"
    link.symlink_to(path.name)
    build(link).write(CONTENT)
    assert link.is_symlink()
    assert path.read_bytes() == CONTENT


def test_a_file_that_vanished_is_made_private(path):
    path.unlink()
    build(path).write(CONTENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_left_beside_the_file(folder, path):
    build(path).write(CONTENT)
    assert [each.name for each in folder.iterdir()] == [".env"]


@pytest.mark.parametrize("failing", ["fsync", "utime"])
def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_beside(folder, path, monkeypatch, failing):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replacement.os, failing, fail)
    failure(lambda: build(path).write(CONTENT), "cannot be written (No space left on device); nothing was changed")
    assert path.read_bytes() == b"A=0\n"
    assert [each.name for each in folder.iterdir()] == [".env"]


def test_a_reader_sees_the_old_file_or_the_new_one(path):
    with path.open("rb") as reader:
        build(path).write(CONTENT)
        assert reader.read() == b"A=0\n"


def test_a_file_that_is_mounted_by_itself_names_the_remedy(path, monkeypatch):
    def busy(*_):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    failure(lambda: build(path).write(CONTENT), "it is mounted by itself, and cannot be replaced")


def test_what_is_no_file_is_named(folder):
    failure(build(folder / "absent").read, "absent: the .env file cannot be read (No such file or directory)")
    failure(lambda: build(folder).write(CONTENT), "it is no regular file")
    failure(lambda: build(folder / "no" / "where").write(CONTENT), "cannot be written (No such file or directory)")
    loop = folder / "loop"
    loop.symlink_to(loop)
    failure(lambda: build(loop).write(CONTENT), "cannot be written (")


def test_a_target_without_a_place_for_the_file_names_the_settings():
    failure(build().read, "target prod does not say where the .env file is; set its env_file, or service.read")
    failure(lambda: build().write(CONTENT), "target prod does not say where the .env file is")


def test_what_does_not_read_back_equal_is_an_error(path, monkeypatch):
    monkeypatch.setattr(env_file, "_replace", lambda path, _: path.write_bytes(b"another process's"))
    failure(lambda: build(path).write(CONTENT), "does not read back equal")


def test_a_stop_keeps_it_from_being_written_at_all(path):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match=r"the \.env file was not written, ctrl-c"):
        build(path, stop=stop).write(CONTENT)
    assert path.read_bytes() == b"A=0\n"


# Through the target's commands

WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"


def test_the_targets_commands_read_and_write_it_wherever_it_is(path):
    file = build(None, ("cat", str(path)), python(WRITE, path))
    assert file.read() == b"A=0\n"
    file.write(CONTENT)
    assert path.read_bytes() == CONTENT
    assert file.path is None


def test_commands_are_preferred_to_a_path_on_this_host(folder, path):
    other = folder / "other"
    build(other, ("cat", str(path)), python(WRITE, path)).write(CONTENT)
    assert not other.exists()


def test_the_content_is_in_no_argument(path, tmp_path):
    seen = tmp_path / "argv"
    code = f"{WRITE}; pathlib.Path({str(seen)!r}).write_bytes(open('/proc/self/cmdline', 'rb').read())"
    build(None, ("cat", str(path)), python(code, path)).write(CONTENT)
    assert SECRET.encode() in path.read_bytes()
    assert SECRET.encode() not in seen.read_bytes()


def test_a_command_that_fails_shows_its_output_without_the_secret(path):
    code = "import sys; print(sys.stdin.read()); sys.exit('Permission denied: ' + sys.argv[1])"
    failing = python(code, SECRET)
    failure(build(None, failing, ("true",)).read, "the .env file could not be read: ")
    failure(lambda: build(None, ("cat", str(path)), failing).write(CONTENT), "Permission denied: [redacted]")


def test_a_write_without_effect_is_an_error(path):
    pretending = build(None, ("cat", str(path)), ("true",))
    failure(lambda: pretending.write(CONTENT), "target prod: the .env file does not read back equal")


def test_a_command_that_hangs_ends_by_its_deadline():
    hanging = build(None, ("sleep", "60"), ("true",), timeout_s=0.2)
    failure(hanging.read, "could not be read: sleep 60: did not end within 0.2 s, and was killed")


@pytest.mark.parametrize("given", ["read", "write"])
def test_reading_by_command_and_writing_here_or_the_other_way_round_is_refused(path, given):
    file = build(path, **{given: ("cat", str(path))})
    failure(lambda: file.write(CONTENT), "service.read and service.write belong together")
    assert path.read_bytes() == b"A=0\n"


def test_a_stop_does_not_cut_a_write_under_way(path):
    stop = StopFlag()

    class Stopping(SystemClock):
        def wait(self, seconds, flag=None):
            stop.set("ctrl-c")
            return super().wait(seconds, flag) if flag else True

    target = Target(
        "t",
        "sandbox",
        service=Service(
            ("true",), ("true",), ("cat", str(path)), python(f"import time; time.sleep(0.2); {WRITE}", path)
        ),
    )
    EnvFile(target, clock=Stopping(), stop=stop, redact=str).write(CONTENT)
    assert stop.reason == "ctrl-c"
    assert path.read_bytes() == CONTENT
