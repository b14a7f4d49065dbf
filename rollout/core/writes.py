"""The writes by which a change comes about, as data: a driver describes them, and the suite executes them.

Because they are data, `rollout plan` prints what apply executes, the manual commands render it, and one executor
journals, fences and sends it. A secret is in them only as the name of its environment variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal


class Claim(StrEnum):
    """What the answer to a call must say for it to count as done; the read-back proves it (deviations 6 and 9)."""

    ACTIVATED = "activated"
    """The documented answer of an activation, with the status ``success``."""
    LIMIT_SET = "limit_set"
    """The documented answer of setting a limit, with the status ``success``."""
    STATUS = "status"
    """A JSON object with the status ``success``; the rest of it is not documented."""
    ACCEPTED = "accepted"
    """Any success of HTTP, an empty answer too, whose status is no failure."""


class Deadline(StrEnum):
    """The target's timeout that bounds a call."""

    READ = "read"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request to the gateway.

    Attributes:
        setting: the target's setting that places it, for messages: ``paths.activate``.
        method: the HTTP method.
        path: from the base URL, percent-encoded.
        body: what is sent as JSON.
        deadline: the timeout that bounds it, retries included.
        meant: what the timeout is for, in the plural: ``activations``.
        claim: what its answer must say.
    """

    setting: str
    method: str
    path: str
    body: Mapping[str, Any]
    deadline: Deadline
    meant: str
    claim: Claim

    @property
    def name(self) -> str:
        """Method and path, ``POST /api/v1/governance/limits``."""
        return f"{self.method} {self.path}"


class Read(StrEnum):
    """A read that people are shown: in a plan, or among the manual commands."""

    HEALTH = "health"
    ACTIVE = "active"
    TEST_CONNECTION = "test_connection"
    COMPLETION = "completion"


@dataclass(frozen=True, slots=True)
class ReadCall:
    """How a read is asked for: over HTTP, or by a command on this host.

    Attributes:
        method: the HTTP method; ``RUN`` of a command.
        path: from the base URL, percent-encoded; empty of a command.
        command: the argument list; empty of a call over HTTP.
    """

    method: str
    path: str
    command: tuple[str, ...] = ()


Codec = Literal["env", "yaml", "json", "toml"]
"""The format of a file with settings."""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """An edit of a file with settings: one atomic replacement, whatever the number of keys.

    Attributes:
        path: the file; None means the target's `.env` file, here or behind its read and write commands.
        codec: its format.
        values: key -> new value; in a nested format the keys are dotted, ``router_settings.routing_strategy``.
        secrets: key -> the environment variable that holds the new value.
        remove: the keys to take out.
    """

    path: Path | None
    codec: Codec
    values: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart of the service by the target's commands, after which its health is awaited.

    Attributes:
        if_needed: whether it is left out where a read shows that the write before it is in effect already.
    """

    if_needed: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal to the service, such as the one on which it reads its configuration again.

    Attributes:
        name: ``SIGHUP``.
        pid_file: the file that holds the process id.
    """

    name: str
    pid_file: Path


@dataclass(frozen=True, slots=True)
class Command:
    """A command on this host.

    Attributes:
        arguments: the argument list; no shell reads it.
        timeout_s: its deadline in seconds.
    """

    arguments: tuple[str, ...]
    timeout_s: float


Write = HttpCall | FileEdit | Restart | Signal | Command
