"""The three kinds of change, a lab that is quick about them, and everything that a gateway is, to compare.

with quick(tmp_path, change=[PROVIDER, ENVIRONMENT]) as lab:
    before = look(lab)
    run = lab.run()
    assert (run.code, look(lab)) == (0, before), run.out
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.liar import Behaviour, Visit, edited
from tests.support.runs import Lab, Run

PROVIDER: Mapping[str, Any] = {"activate": "openai", "model": "gpt-4o"}
ENVIRONMENT: Mapping[str, Any] = {"set": {"MAX_CONTEXT_TOKENS": 8000, "LOG_LEVEL": "debug"}}
LIMITS: Mapping[str, Any] = {"limits": "cost", "scope": "openai", "soft_limit_usd": 200, "hard_limit_usd": 250}

LIMITS_BEFORE: Mapping[str, Any] = {"provider:openai": {"soft_limit_usd": 100, "hard_limit_usd": 150}}
"""What the gateway has before: no gateway takes a limit away again, so a rollback needs one to go back to."""

QUICK: Mapping[str, Any] = {
    "window": "1500ms",
    "synthetic_every": "100ms",
    "min_requests": 3,
    "min_samples": 3,
    # Four requests exclude twice as much; a busy machine answers no more.
    "error_rate": 0.3,
}

APPLY = ("-m", "precheck or apply")
VERIFY = ("-m", "precheck or apply or verify")


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything of a gateway that a rollout may change; `limits` of both kinds, `env` byte for byte."""

    env: bytes
    active: str
    config: Mapping[str, str]
    limits: str


@contextmanager
def quick(
    folder: Path, change: Any = PROVIDER, *, token: str | None = None, wrap: bool = False, **settings: Any
) -> Iterator[Lab]:
    """Give a lab with this change whose window takes a second and a half.

    Args:
        folder: an empty directory.
        change: what stands under ``change:``.
        token: as the lab's.
        wrap: whether the target says itself how its service is stopped and started.
        settings: the gateway's.
    """
    with Lab(folder, token=token, **{"limits": LIMITS_BEFORE, **settings}) as lab:
        lab.scenario["change"] = change
        lab.scenario["monitor"] |= QUICK
        lab.policy["sandbox"]["window_at_least"] = "1s"
        # There is no report generator at that place: no test reads these reports.
        lab.env |= {"XDG_CACHE_HOME": os.devnull, "XDG_STATE_HOME": str(folder / "state")}
        if wrap:
            handle(lab)
        yield lab


def handle(lab: Lab) -> None:
    """Let the target state how its service is stopped and started."""
    about = lab.direct.get("/sandbox/about").json()
    lab.target["service"] = {"stop": about["stop"], "start": about["start"]}


def look(lab: Lab) -> Whole:
    """Return the state of the gateway, read past the liar."""
    config = lab.direct.get("/api/v1/config/runtime").json()["config"]
    governance = lab.direct.get("/api/v1/governance/status").json()
    limits = {
        kind: {
            scope: {key: value for key, value in limit.items() if key.endswith(("limit_usd", "_per_minute"))}
            for scope, limit in governance[f"{kind}_limits"].items()
        }
        for kind in ("cost", "rate")
    }
    active = lab.direct.get("/api/v1/providers").json()["active_provider"]
    env = lab.sandbox.env_file.read_bytes()
    return Whole(env, f"{active}:{config['LLM_MODEL_NAME']}", config, json.dumps(limits, sort_keys=True))


def writes(run: Run) -> list[tuple[str, str]]:
    """Return every write that the journal announced, a file and a restart as well: (direction, what), in order."""
    return [(write.direction, write.to) for write in run.record.writes]


def sent(lab: Lab) -> list[str]:
    """Return the paths of the writes that reached the gateway, in order; an activation by its provider."""
    seen = lab.direct.get("/sandbox/requests").json()
    paths = [each["path"] for each in seen if each["method"] == "POST" and each["user"] == "rollout"]
    ends = ("/activate", "/limits", "/llm-servers/active", "/config/runtime")
    found = [path for path in paths if path.endswith(ends)]
    return [path.removeprefix("/api/v1/providers/").removesuffix("/activate") for path in found]


def switch(lab: Lab, *names: str) -> None:
    """Switch on these deviations of the gateway, and no others."""
    lab.direct.put("/sandbox/deviations", json=list(names)).raise_for_status()


def wrong_answers(lab: Lab, before: Whole) -> None:
    """Let requests be answered by another model as long as the gateway is not what it was before."""

    def edit(body: Any) -> Any:
        return body if look(lab) == before else {**body, "model": "gpt-3.5"}

    lab.liar.rule("/chat", edited(edit))


def first_time(lab: Lab, action: str, code: str) -> None:
    """Let a command of the service do something else the first time; afterwards it is itself again.

    Args:
        lab: one that was made with ``wrap=True``.
        action: ``stop`` or ``start``.
        code: Python; what it prints is the command's output.
    """
    marker = lab.folder / f"{action}-was-called"
    program = lab.folder / f"first-{action}.py"
    program.write_text(
        "import os, pathlib, sys, time\n"
        f"marker = pathlib.Path({str(marker)!r})\n"
        "if not marker.exists():\n"
        "    marker.touch()\n"
        f"    {code}\n"
        "os.execvp(sys.argv[1], sys.argv[1:])\n",
        encoding="utf-8",
    )
    lab.target["service"][action] = [sys.executable, str(program), *lab.target["service"][action]]


def after_the_answer(action: Callable[[], object]) -> Behaviour:
    """Forward, pass the answer on, and do the action once the suite has it."""

    async def behaviour(visit: Visit) -> None:
        await visit.reply(await visit.forward())
        action()

    return behaviour
