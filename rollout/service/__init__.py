"""The service behind the gateway: its `.env` file, its stop and start commands, and waiting until it is healthy."""

from rollout.service.commands import Ran, ServiceError, restart, run
from rollout.service.envfile import EnvFile
from rollout.service.envtext import EnvFileError, edit, put_back, values
from rollout.service.health import await_health

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
