"""A write in words, for the plan, the journal and the manual commands; a secret is in none of them."""

from __future__ import annotations

import json
import shlex
from typing import assert_never

from rollout.core.writes import Command, FileEdit, HttpCall, Restart, Signal, Write


def describe_write(write: Write) -> str:
    """Return such as ``PUT /active {"provider": "openai"}`` or ``edit /etc/gw.yaml: a.b = "openai"``."""
    match write:
        case HttpCall():
            return f"{write.name} {json.dumps(write.body, ensure_ascii=False)}"
        case FileEdit():
            return f"edit {write.path or 'the .env file'}: {', '.join(_describe_keys(write))}"
        case Signal():
            return f"send {write.name} to the process of {write.pid_file}"
        case Command():
            return f"run {shlex.join(write.arguments)}"
        case Restart():
            return "restart the service"
        case _:
            assert_never(write)


def _describe_keys(edit: FileEdit) -> list[str]:
    return [
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in edit.values.items()),
        *(f"{key} = the environment variable {name}" for key, name in edit.secrets.items()),
        *(f"{key} removed" for key in edit.remove),
    ]
