"""The service behind the gateway: its `.env` file, its stop and start commands, and waiting until it is healthy."""

from rollout.gateway.host.commands import Ran, ServiceError, restart, run
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import EnvFileError, edit, put_back, values
from rollout.gateway.host.health import await_health

__all__ = [
    "EnvFile",
    "EnvFileError",
    "Ran",
    "ServiceError",
    "await_health",
    "edit",
    "put_back",
    "restart",
    "run",
    "values",
]
