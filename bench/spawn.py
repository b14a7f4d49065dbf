"""Runs a command to its end and prints what it cost: exit code, wall and CPU in seconds, peak memory in KiB.

    python -I -S spawn.py OUTPUT LONGEST_S COMMAND ...

This is a program of its own, and imports next to nothing: Linux counts the memory of the process that starts a command
as the command's until the command has replaced it, so a large parent would hide what a small command needs.
"""

import os
import signal
import sys
import time


def main(output: str, longest_s: str, *command: str) -> None:
    """Run the command with its output in a file, and kill it when it takes too long."""
    began = time.perf_counter()
    child = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, float(longest_s))
    _, status, used = os.wait4(child, 0)
    wall_s = time.perf_counter() - began
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {wall_s} {used.ru_utime + used.ru_stime} {used.ru_maxrss}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
