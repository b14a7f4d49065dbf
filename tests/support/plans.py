"""What a plan says, and what a gateway has logged, in the same form."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx

from rollout.cli import plan as plan_command
from rollout.config.load import load
from rollout.core.request import Request
from rollout.gateway.embedded_proof import doubt_request
from tests.support.forks import ROOT
from tests.support.liar import Liar

SHIPPED = sorted(
    path
    for path in (ROOT / "scenarios").glob("*.yaml")
    if path.name not in ("targets.yaml", "policy.yaml") and "\ntarget:" not in path.read_text(encoding="utf-8")
)
"""The shipped scenarios for the embedded gateway, which is the target of those that name none."""

_WRITES = re.compile(r"/(activate|limits|weights)$")


def load_shipped(path: Path, gateway: str | None) -> Request:
    """Return a shipped scenario as `rollout plan` loads it."""
    return load(
        scenario=path,
        activate=None,
        ticket=None,
        target=None,
        gateway=gateway,
        directory=ROOT / "scenarios",
        env=os.environ,
        doubt=doubt_request,
    )


def planned(items: tuple[plan_command.Item, ...]) -> list[tuple[str, str, object]]:
    """Return method, path and body of each write of a plan."""
    return [(item.method, item.path, item.body) for item in items if item.body is not None]


def seen(liar: Liar) -> list[tuple[str, str, object]]:
    """Return method, path and body of each write that passed the liar."""
    return [
        (each.method, each.path, each.json)
        for each in liar.requests
        if each.method != "GET" and _WRITES.search(each.path)
    ]


def logged(url: str) -> list[str]:
    """Return method and path of each write of the suite that the embedded gateway has logged."""
    requests = httpx.get(f"{url}/sandbox/requests", trust_env=False).json()
    ours = [each for each in requests if each["method"] != "GET" and each["user"] == "rollout"]
    return [f"{each['method']} {each['path']}" for each in ours if _WRITES.search(each["path"])]
