"""Services behind a file for tests: their files, their targets, and the subjects of the conformance kit."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout.core.scenario import ProviderChange
from rollout.core.target import Service, Target, Timeouts
from rollout.gateway.drivers.registry import load_driver
from rollout.testing.subject import Fault, State
from tests.support import service_commands
from tests.support.file_service import Folder, Plan
from tests.support.forks import ROOT

YAML = """\
# The service's configuration; operators edit it by hand.
llm:
  provider: "ollama"   # who answers
  model: gemma3        # of that provider
  timeout: 30
keep: [one, two]       # nothing of the suite's business
"""
ENV = """\
# The service's environment
export LLM_PROVIDER='ollama'   # who answers

LLM_MODEL=gemma3
SERVICE_API_KEY=hunter2-planted-9f3c2b7a
LOG_LEVEL=info
"""
JSON = '{\n  "llm": {"provider": "ollama", "model": "gemma3"},\n  "keep": [1, 2]\n}\n'
TOML = "# by hand\n[llm]\nprovider = \"ollama\" # who answers\nmodel = 'gemma3'\n\n[other]\nkeep = [1, 2]\n"
NESTED = ("llm.provider", "llm.model")
FILES: Mapping[str, tuple[str, str, tuple[str, str]]] = {
    "yaml": ("service.yaml", YAML, NESTED),
    "env": (".env", ENV, ("LLM_PROVIDER", "LLM_MODEL")),
    "json": ("service.json5.json", JSON, NESTED),
    "toml": ("service.toml", TOML, NESTED),
}
"""Codec -> the file's name, its content, and the keys of provider and model."""

PROVIDERS = {"ollama": ["gemma3", "llama3"], "openai": ["gpt-4o"], "vllm": ["qwen3"]}
IN_EFFECT = {"path": "/status", "provider": "active.provider", "model": "active.model"}


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class FileService:
    """A service behind a file of one format, which is not started yet.

    Attributes:
        folder: what it keeps, and how it is started.
        file: its file.
        url: where it answers.
        settings: a target's settings for it, as a file of YAML has them.
    """

    def __init__(self, where: Path, codec: str = "yaml", apply: str = "restart", **plan: Any) -> None:
        name, content, keys = FILES[codec]
        where.mkdir(parents=True, exist_ok=True)
        self.file = where / name
        self.file.write_text(content, encoding="utf-8")
        self.folder = Folder(where / "state")
        port = free_port()
        self.folder.prepare(Plan(str(self.file), port, keys, **plan))
        self.url = f"http://127.0.0.1:{port}"
        ways: dict[str, Any] = {
            "restart": "restart",
            "signal": {"signal": "SIGHUP", "pid_file": str(self.folder.path / "service.pid")},
            "command": {"command": self.folder.command("reload"), "timeout": "20s"},
        }
        self.settings: dict[str, Any] = {
            "path": str(self.file),
            "provider_key": keys[0],
            "model_key": keys[1],
            "providers": PROVIDERS,
            "apply": ways[apply],
            "health": "/healthz",
            "in_effect": IN_EFFECT,
            "served_by": {"provider": "provider", "model": "model"},
            "test": "/reach/{provider}",
        }

    @property
    def service(self) -> dict[str, list[str]]:
        """How it is stopped and started, as a target says it."""
        return {each: self.folder.command(each) for each in ("stop", "start")}

    def target(self, kind: str = "file", **settings: Any) -> Target:
        """Return the target, its settings validated as loading does; a setting of None is left out."""
        stated = {key: value for key, value in {**self.settings, **settings}.items() if value is not None}
        said = load_driver(kind).settings.model_validate(stated)
        return Target(
            "lab",
            "sandbox",
            url=self.url,
            kind=kind,
            settings=said.model_dump(mode="json", by_alias=True),
            timeouts=Timeouts(2.0, 2.0, 20.0),
            service=Service(*map(tuple, self.service.values())),
        )


class FileSubject:
    """The subject of the conformance kit; ``FILE_SUBJECT=env-command`` names its format, and how an edit is applied."""

    first, second = ProviderChange("ollama", "gemma3"), ProviderChange("openai", "gpt-4o")

    def start(self, folder: Path) -> Target:
        """Start the service."""
        codec, _, apply = os.environ.get("FILE_SUBJECT", "yaml-restart").partition("-")
        self.on = FileService(folder, codec, apply)
        self.on.folder.start()
        return self.on.target()

    def state(self) -> State:
        """Return what the service and its file are, from its own records."""
        active = self.on.folder.lines("loaded.jsonl")[-1]
        facts = {"active": f"{active['provider']}:{active['model']}", "file": self.on.file.read_bytes()}
        return State(facts["active"], len(self.on.folder.lines("requests.jsonl")), facts)

    def restart(self) -> None:
        """Restart it."""
        self.on.folder.stop()
        self.on.folder.start()

    def break_down(self, fault: Fault) -> None:
        """Set a fault, or end the process."""
        if fault is Fault.DOWN:
            self.on.folder.stop()
        else:
            self.on.folder.set_faults(**({"offline": ["openai"]} if fault is Fault.OFFLINE else {str(fault): True}))

    def heal(self) -> None:
        """Take the faults away, and start the process where it is down."""
        self.on.folder.set_faults()
        if self.on.folder.pid() is None:
            self.on.folder.start()

    def stop(self) -> None:
        """End the process."""
        self.on.folder.stop()


class CommandSubject(FileSubject):
    """The same service, read and changed by commands."""

    def start(self, folder: Path) -> Target:
        """Start the service."""
        self.on = FileService(folder)
        self.on.folder.start()
        self.on.settings = service_commands.settings(self.on.folder)
        return self.on.target("command")


def install_subject(folder: Path, kind: str, subject: str) -> dict[str, str]:
    """Install a subject as a package would bring it, and return the environment in which it is found.

    Args:
        folder: where the package's metadata go.
        kind: the kind whose driver is tried.
        subject: the class, ``MODULE:CLASS``.
    """
    about = folder / "subject-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: subject\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[rollout.conformance]\n{kind} = {subject}\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
