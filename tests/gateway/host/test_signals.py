"""A signal reaches the service's own process, or none."""

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import Interrupted
from rollout.core.writes import Signal
from rollout.gateway.host import signals
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.host.signals import send_signal

SERVICE = """
import pathlib, signal, os, sys
signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()}\\n")
print("up", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def service(folder):
    """Start a process that prints a line for each SIGHUP, and has written its pid file."""
    command = [sys.executable, "-S", "-c", SERVICE, str(folder / "service.pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "up\n"
        yield child
        child.kill()


@pytest.fixture
def pid_file(folder, service):
    path = folder / "service.pid"
    path.write_text(f"{service.pid}\n")
    return path


def refused(pid_file, *says, name="SIGHUP"):
    with pytest.raises(ServiceError) as caught:
        send_signal(Signal(name, pid_file))
    message = str(caught.value)
    assert all(each in message for each in says), message
    assert "\n" not in message


def is_silent(service):
    return not select.select([service.stdout], [], [], 0)[0]


@pytest.mark.parametrize("spelled", ["{}\n", " {} \r\n", "{}"])
def test_the_process_of_the_pid_file_gets_the_signal(service, pid_file, spelled):
    pid_file.write_text(spelled.format(service.pid))
    assert send_signal(Signal("SIGHUP", pid_file)) == service.pid
    assert service.stdout.readline() == "reloaded\n"


def test_without_a_handle_of_the_process_it_is_sent_all_the_same(service, pid_file, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    assert send_signal(Signal("SIGHUP", pid_file)) == service.pid
    assert service.stdout.readline() == "reloaded\n"


def test_a_pid_file_that_is_not_there_or_cannot_be_read_names_the_remedy(folder):
    refused(folder / "absent", "SIGHUP: there is no pid file", "does the service run?")
    refused(folder, "cannot be read (it is no regular file); correct its path in the target")
    loop = folder / "loop"
    loop.symlink_to(loop)
    refused(loop, "cannot be read (")


@pytest.mark.parametrize("content", ["", "\n", "service", "12 13", "-5", "+5", "0x12", "1.0", "9" * 70])
def test_a_file_without_a_process_id_is_refused(pid_file, content):
    pid_file.write_text(content)
    refused(pid_file, "holds no process id; correct the path of the pid file")


@pytest.mark.parametrize("pid", [0, 1, None])
def test_neither_this_process_nor_the_first_one_gets_a_signal(pid_file, pid, monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("sent"))
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: pytest.fail("sent"))
    pid = os.getpid() if pid is None else pid
    pid_file.write_text(f"{pid}")
    refused(pid_file, f"holds {pid}, which is ")


@pytest.mark.parametrize("pid", ["4194304", "9999999999"])
def test_a_pid_file_of_no_running_process_is_stale(pid_file, pid):
    pid_file.write_text(pid)
    refused(pid_file, f"is stale: no process {pid} runs; start the service")


def test_a_process_that_has_ended_and_is_not_reaped_is_stale(pid_file):
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        pid_file.write_text(f"{child.pid}")
        refused(pid_file, f"is stale: process {child.pid} has ended")


def test_a_process_that_is_younger_than_its_pid_file_is_another_one(service, pid_file):
    old = pid_file.stat().st_mtime - 3600
    os.utime(pid_file, (old, old))
    refused(pid_file, f"is stale: process {service.pid} started after the file was written, and is another one")
    assert is_silent(service)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_pid_file_of_another_user_is_not_trusted(service, pid_file):
    os.chown(pid_file, 1234, 4321)
    refused(pid_file, f"belongs to user 1234, and process {service.pid} to user 0")
    os.chown(pid_file, 0, 0)
    assert is_silent(service)


def test_a_process_that_may_not_be_signalled_names_the_remedy(pid_file, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    refused(pid_file, "may not be signalled by this user; run as its user, or as root")


def test_what_the_system_cannot_signal_is_said(pid_file, monkeypatch):
    def refuse(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    refused(pid_file, "is no process to be signalled (Invalid argument)")


@pytest.mark.parametrize("name", ["SIGNONSENSE", "HUP", ""])
def test_a_signal_of_another_name_is_refused(pid_file, name):
    refused(pid_file, f"{name!r} is no signal of this system; name one such as SIGHUP", name=name)


def test_a_stop_prevents_it(service, pid_file):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match="SIGHUP: not sent, ctrl-c"):
        send_signal(Signal("SIGHUP", pid_file), stop=stop)
    assert is_silent(service)


def test_the_start_is_read_behind_a_name_with_blanks_and_parentheses():
    text = Path("/proc/self/stat").read_text(encoding="utf-8")
    fields = re.sub(r"\(.*\)", "(a ) b)", text).rpartition(")")[2].split()
    assert fields[signals._START_FIELD] == text.rpartition(")")[2].split()[19]
