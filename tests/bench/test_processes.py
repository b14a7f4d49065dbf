"""A process costs what it costs, whatever the process that measures it has used itself."""

import sys

import pytest

from bench import processes

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_the_memory_of_the_bench_is_not_that_of_a_small_command(tmp_path):
    held = bytearray(150_000_000)

    small = processes.run(["sh", "-c", "exit 0"], tmp_path, tmp_path)
    large = processes.run([sys.executable, "-c", f"bytearray({len(held)})"], tmp_path, tmp_path)

    assert 0 < small.peak_mb < 50
    assert 150 < large.peak_mb < 200


def test_the_cpu_of_a_process_below_is_counted_and_waiting_is_not(tmp_path):
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"

    ended = processes.run([sys.executable, "-c", source], tmp_path, tmp_path)
    idle = processes.run(["sleep", "0.5"], tmp_path, tmp_path)

    assert ended.cpu_s >= 0.3
    assert ended.wall_s >= 0.3
    assert idle.cpu_s < 0.2
    assert idle.wall_s >= 0.5


def test_a_command_that_fails_has_its_code_and_its_output(tmp_path):
    command = ["sh", "-c", "echo the reason >&2; exit 3"]

    assert processes.attempt(command, tmp_path, tmp_path).code == 3
    with pytest.raises(RuntimeError, match=r"ended with 3:\nthe reason"):
        processes.run(command, tmp_path, tmp_path)


def test_a_command_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"no-such-program.* was not started"):
        processes.run(["no-such-program"], tmp_path, tmp_path)


def test_a_command_that_hangs_is_killed(tmp_path):
    assert processes.attempt(["sleep", "60"], tmp_path, tmp_path, longest_s=0.2).code == -9
    with pytest.raises(RuntimeError, match="ended with -9"):
        processes.run(["sleep", "60"], tmp_path, tmp_path, longest_s=0.2)
