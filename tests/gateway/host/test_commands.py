"""Commands end in every case; output, duration and exit code are returned."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import Interrupted
from rollout.core.redaction import REDACTED, Redactor
from rollout.core.target import Service
from rollout.core.writes import Command
from rollout.gateway.host.commands import ServiceError, exchange, restart, run_command

TOKEN = "s3cr3t-t0ken-value"


def python(code):
    return (sys.executable, "-c", code)


@pytest.fixture
def terms():
    return {"clock": SystemClock(), "redact": Redactor([TOKEN]).text}


def run(command, *, timeout_s, **terms):
    """Run a command as the start of a service, whose stop does nothing."""
    return restart(Service(("true",), tuple(command), timeout_s=timeout_s), **terms)[1]


def failure(command, terms, timeout_s=5.0, **options):
    with pytest.raises(ServiceError) as caught:
        run(command, timeout_s=timeout_s, **terms, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"


def becomes(condition, within_s=3.0):
    end = time.monotonic() + within_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_what_was_printed_and_how_long_it_took_is_kept(terms):
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    ran = run(python(code), timeout_s=5, **terms)
    assert (ran.command, ran.exit_code, ran.output) == (python(code), 0, "out\nerr")
    assert 0 < ran.took_s < 5


def test_a_command_is_no_shell_line(terms):
    assert run(["printf", "%s", "$HOME; exit 3 | `id`"], timeout_s=5, **terms).output == "$HOME; exit 3 | `id`"


def test_a_command_reads_nothing_from_the_terminal(terms):
    assert run(["cat"], timeout_s=5, **terms).output == ""


def test_secrets_are_taken_out_of_output_arguments_and_errors(terms):
    ran = run(["echo", TOKEN, "api_key=hunter2hunter2"], timeout_s=5, **terms)
    problem = failure(python(f"import sys; sys.exit('bad token {TOKEN}')"), terms)
    shown = f"{ran} {problem} {problem.ran}"
    assert TOKEN not in shown
    assert "hunter2" not in shown
    assert REDACTED in ran.output


def test_only_the_end_of_a_long_output_is_kept_after_it_was_redacted(terms):
    # The cut falls into the token: what was cut first would not be recognised.
    ran = run(python(f"print('x' * 100_000 + '{TOKEN}' + 'y' * 4085)"), timeout_s=5, **terms)
    assert len(ran.output) == 4096
    assert ran.output.startswith("…" + REDACTED)
    assert ran.output.endswith("yyy")


def test_the_gateways_command_does_not_carry_what_githubs_runner_kills_by(terms, monkeypatch):
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_1")
    monkeypatch.setenv("KEPT", "yes")
    code = "import os; print('RUNNER_TRACKING_ID' in os.environ, os.environ['KEPT'])"
    assert run(python(code), timeout_s=5, **terms).output == "False yes"


# What fails


def test_an_exit_code_other_than_0_is_an_error_with_the_end_of_the_output(terms):
    problem = failure(python("import sys; print('port in\\nuse'); sys.exit(3)"), terms)
    assert "exit code 3 after 0." in str(problem)
    assert "(port in use); try it by hand, and correct the target's service" in str(problem)
    assert (problem.ran.exit_code, problem.ran.output) == (3, "port in\nuse")


def test_a_command_that_a_signal_ended_is_an_error(terms):
    assert "ended by signal 9" in str(failure(python("import os; os.kill(os.getpid(), 9)"), terms))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["no-such-command-here"], "no-such-command-here: there is no such command on this host; correct the target's"),
        ([], "there is no command to run"),
        (["echo", "a\0b"], "cannot be started (embedded null byte)"),
    ],
)
def test_what_cannot_be_started_is_named(terms, command, says):
    problem = failure(command, terms)
    assert says in str(problem)
    assert problem.ran is None


def test_a_file_that_is_no_program_is_named(terms, tmp_path):
    script = tmp_path / "start"
    script.write_text("no shebang")
    assert "start: it may not be executed here; make it executable, or correct" in str(failure([str(script)], terms))
    script.chmod(0o755)
    assert "cannot be started (Exec format error)" in str(failure([str(script)], terms))


# What does not end


def test_at_the_deadline_it_is_killed_with_everything_it_started(terms, tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('still here', flush=True); time.sleep(60)"
    )
    started = time.monotonic()
    problem = failure(python(code), terms, timeout_s=1.0)
    assert time.monotonic() - started < 2
    assert "did not end within 1 s, and was killed (still here); does it stay in the foreground" in str(problem)
    assert problem.ran.exit_code == -signal.SIGKILL
    assert becomes(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def test_a_daemon_that_keeps_stdout_is_neither_waited_for_nor_killed(terms):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)"
    )
    started = time.monotonic()
    pid = int(run(python(code), timeout_s=30, **terms).output)
    try:
        assert time.monotonic() - started < 5
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_stop_kills_it_at_once(terms):
    stop = StopFlag()
    threading.Timer(0.2, stop.set, ["ctrl-c"]).start()
    started = time.monotonic()
    with pytest.raises(Interrupted, match="sleep 60: killed while it ran, ctrl-c"):
        run(["sleep", "60"], timeout_s=60, stop=stop, **terms)
    assert time.monotonic() - started < 2


def test_nothing_is_started_after_a_stop(terms, tmp_path):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match="not run, ctrl-c"):
        run(["touch", str(tmp_path / "ran")], timeout_s=5, stop=stop, **terms)
    assert not (tmp_path / "ran").exists()


# Standard input and output


def test_content_passes_through_unchanged_however_long(terms):
    content = bytes(range(256)) * 4096
    assert exchange(["cat"], content, timeout_s=5, **terms) == content


def test_a_command_that_does_not_read_its_content_is_no_error(terms):
    assert exchange(["true"], b"x" * 1_000_000, timeout_s=5, **terms) == b""


def test_of_a_failed_exchange_only_the_standard_error_is_shown(terms):
    code = "import sys; print(sys.stdin.read()); print('denied', file=sys.stderr); sys.exit(1)"
    with pytest.raises(ServiceError, match="denied") as caught:
        exchange(python(code), b"CONTENT", timeout_s=5, **terms)
    assert "CONTENT" not in f"{caught.value}{caught.value.ran}"


# A restart


def service(tmp_path, stop, start, timeout_s=5.0):
    def logged(word, code):
        return python(f"open({str(tmp_path / 'log')!r}, 'a').write('{word} ')\n{code}")

    return Service(logged("stop", stop), logged("start", start), timeout_s=timeout_s)


def order(tmp_path):
    return (tmp_path / "log").read_text().split()


def test_a_restart_stops_and_then_starts(tmp_path, terms):
    stopped, started = restart(service(tmp_path, "print('bye')", "print('hello')"), **terms)
    assert (stopped.output, started.output) == ("bye", "hello")
    assert order(tmp_path) == ["stop", "start"]


def test_a_service_that_was_down_already_is_started_and_the_exit_code_returned(tmp_path, terms):
    stopped, started = restart(service(tmp_path, "raise SystemExit('not running')", ""), **terms)
    assert (stopped.exit_code, stopped.output, started.exit_code) == (1, "not running", 0)


def test_a_stop_that_hangs_is_an_error_and_the_service_is_started_all_the_same(tmp_path, terms):
    hanging = service(tmp_path, "import time; time.sleep(60)", "", timeout_s=1.0)
    with pytest.raises(ServiceError, match="did not end within 1 s"):
        restart(hanging, **terms)
    assert order(tmp_path) == ["stop", "start"]


def test_a_start_that_fails_is_the_error_that_counts(tmp_path, terms):
    with pytest.raises(ServiceError, match=r"exit code 1 after .*port in use"):
        restart(service(tmp_path, "raise SystemExit(2)", "raise SystemExit('port in use')"), **terms)


def test_the_incomplete_beginning_of_a_cut_output_is_not_kept(terms):
    """Redaction may shorten a long output, whose first secret may be a half: the beginning is dropped."""
    secret = "".join(f"{number:05}x" for number in range(100))
    terms["redact"] = Redactor([secret]).text
    ran = run(python(f"print('{secret} ' * 1000)"), timeout_s=5, **terms)
    assert set(ran.output.split()) == {REDACTED}


# A driver's command


def test_a_drivers_command_returns_what_it_printed(terms):
    ran = run_command(Command(python(f"print('done {TOKEN}')"), 5), setting="the target's reload", **terms)
    assert (ran.exit_code, ran.output) == (0, f"done {REDACTED}")


@pytest.mark.parametrize(
    ("arguments", "timeout_s", "says"),
    [
        (("false",), 5, "s; try it by hand, and correct the target's reload if it is not the command you mean"),
        (("sleep", "60"), 0.1, "sleep 60: did not end within 0.1 s, and was killed"),
        (("sleep", "60"), 0.1, "Otherwise raise the target's reload.timeout"),
        (("no-such-command",), 5, "there is no such command on this host; correct the target's reload"),
        ((), 5, "there is no command to run; correct the target's reload"),
    ],
)
def test_a_drivers_command_that_fails_names_its_own_setting(terms, arguments, timeout_s, says):
    with pytest.raises(ServiceError) as caught:
        run_command(Command(arguments, timeout_s), setting="the target's reload", **terms)
    assert says in str(caught.value)


def test_a_stop_prevents_a_drivers_command(terms):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match="true: not run, ctrl-c"):
        run_command(Command(("true",), 5), setting="the target's reload", stop=stop, **terms)
