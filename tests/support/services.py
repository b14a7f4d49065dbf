"""The environment of a CI service's job, and the environment outside of one."""

from __future__ import annotations

import pytest

from rollout.core import caller

SECRET = "hunter2-planted-9f3c2b7a"
COMMIT = "9f3182061f1e2cca4702c368cbc039b7dc9d4485"


def github(actor: str, run: int = 7) -> dict[str, str]:
    """Return the variables of a job of GitHub Actions that `actor` started; its server's URL has a password."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "release-bot",
        "GITHUB_TRIGGERING_ACTOR": actor,
        "GITHUB_SERVER_URL": f"https://x-access-token:{SECRET}@github.example.com",
        "GITHUB_REPOSITORY": "acme/gateway",
        "GITHUB_RUN_ID": str(run),
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_SHA": COMMIT,
    }


def job_of(run: int = 7) -> str:
    """Return the address of such a job."""
    return f"https://github.example.com/acme/gateway/actions/runs/{run}/attempts/2"


def leave_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be outside of a job, wherever the tests run."""
    signs = {sign for service in caller._SERVICES for sign in service.signs}
    for name in (*signs, "CI"):
        monkeypatch.delenv(name, raising=False)
