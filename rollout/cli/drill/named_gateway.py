"""``rollout drill --live`` on a gateway that the options name: never in production, and only with a control interface.

The first request only reads its control interface; nothing else is sent before the gateway is known fit for a drill.
What a breach sets there is removed again, also when the drill is stopped; it expires by itself if the drill is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rollout.cli.drill.live import ALERT_TYPE, BREACHES, LONGEST_S, Breach, Site, drilled
from rollout.cli.drill.replayed import Drilled
from rollout.config.former_keys import FORMER_KEYS
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.core.clock import SystemClock
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.request import Request
from rollout.core.scenario import ProviderChange
from rollout.engine.embedded_gateway import control
from rollout.journal.journal import Journal
from rollout.journal.records import records_in_flight

_ROLLS_BACK_WITHIN_S = 120.0
# Notifications, staging gateway and bake time: the drill has its own.
_REPLACED_KEYS = frozenset({"notify", "staging", "staging_token_env", *FORMER_KEYS, "monitor"})


def drilled_at(
    request: Request, directory: Path, journal: Journal | None, breaches: tuple[Breach, ...] = BREACHES
) -> Generator[Drilled, None, None]:
    """Yield the result of each breach on the request's own gateway.

    Args:
        request: the request with the limits to drill, and the target.
        directory: where ``pytest`` runs rollouts.
        journal: where rollouts of that gateway are recorded: none may be under way; None where there is none.
        breaches: the breaches.

    Raises:
        RolloutError: that gateway is not to be drilled; only its control interface was read.
        LeaseHeld: a rollout holds it.
    """
    url, change = _fit(request)
    with ExitStack() as held:
        if journal is not None:
            held.enter_context(_hold_lease(journal, url, len(breaches)))
        _check_gateway(url)
        held.enter_context(_stopped_in_order())
        yield from drilled(request, directory, breaches, _site(request, url, change))


def _fit(request: Request) -> tuple[str, ProviderChange]:
    """Return the gateway's URL and the change to drill with; refuse without a request what cannot be drilled."""
    target = request.target
    if target.url is None:
        raise RolloutError("the embedded gateway is drilled without --gateway and --target; leave them out")
    if PRODUCTION in (target.environment, request.policy.name):
        raise RolloutError(
            f"{target.name} ({target.url}) is ruled by the production policy, and breaches are never set in "
            "production; nothing was sent. Name a target of another environment, or leave --live out"
        )
    change = next((each for each in request.scenario.changes if isinstance(each, ProviderChange)), None)
    if change is None:
        raise RolloutError("the scenario activates no provider, so there is nothing to set a breach of; add --activate")
    return target.url, change


def _check_gateway(url: str) -> None:
    """Refuse a gateway without a control interface, or one with faults set already."""
    try:
        faults = control(url, "faults", method="GET", anywhere=True)
    except RolloutError as error:
        faults = error
    if not isinstance(faults, list):
        why = faults if isinstance(faults, RolloutError) else "its answer is no list of faults"
        raise RolloutError(
            f"{url} has no control interface, so no breach can be set there ({why}); nothing else was sent. "
            "Without --gateway and --target, --live drills on an embedded gateway of its own"
        )
    if faults:
        raise RolloutError(
            f"{url} has {len(faults)} faults set already, by another user or by a drill that was killed; nothing was "
            f"changed. When they are not needed: curl -X DELETE {url}/sandbox/faults"
        )


@contextmanager
def _hold_lease(journal: Journal, url: str, breaches: int) -> Iterator[None]:
    """Hold the target, so that no rollout begins there, unless one is under way."""
    under_way = [each.id for each in records_in_flight(journal) if each.opened["url"] == url]
    if under_way:
        raise RolloutError(f"{', '.join(under_way)} is in flight at {url}; drill when it is over")
    # Named by its process: a second drill would be given the lease of its own name.
    lease = journal.acquire(url, f"drill-{os.getpid()}", f"rollout drill@{journal.host}", 2 * LONGEST_S * breaches)
    try:
        yield
    finally:
        journal.release(lease)


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Let signals that would end the process at once end it as Ctrl-C does: after removing what was set."""

    def end(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _undo(url: str, reports: Path, code: int) -> str:
    """Undo the effects of a breach at a gateway; return what could not be undone."""
    problems = [_clear(url, "faults"), _clear(url, f"alerts/{ALERT_TYPE}")]
    if code == ExitCode.KEPT:
        problems.append(_roll_back_kept(reports))
    return "; ".join(filter(None, problems))


def _clear(url: str, part: str) -> str:
    try:
        control(url, part, method="DELETE", anywhere=True)
    except RolloutError as error:
        return f"what the drill set is not removed: {error}"
    return ""


def _roll_back_kept(reports: Path) -> str:
    """Roll back a change that no trigger rolled back; return why that is not verified."""
    command = [sys.executable, "-m", "rollout", "rollback", f"--reports={reports}", "--reason=the drill is over"]
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        kept = journal.rollouts()[-1]
    with suppress(subprocess.TimeoutExpired):
        code = subprocess.run(  # noqa: S603 - an argument list of our own making
            [*command, kept], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ROLLS_BACK_WITHIN_S, check=False
        ).returncode
        return "" if code == ExitCode.ROLLED_BACK else f"its change is kept, and its rollback ended {code}"
    return "its change is kept, and its rollback did not end in time"


def _site(request: Request, url: str, change: ProviderChange) -> Site:
    kept = {key: value for key, value in _listed(request).items() if key not in _REPLACED_KEYS}
    return Site(
        target={**kept, "url": url, "environment": SANDBOX},
        change={"activate": change.provider, "model": change.model},
        # The gateway's own alerts about the failing provider would fire in place of the other triggers.
        besides={"notify": ["log"], "fixes": [change.provider]},
        # A window or freeze that blocks people blocks a drill.
        policy={SANDBOX: {"outside_window": request.policy.outside_window}},
        left=partial(_undo, url),
    )


def _listed(request: Request) -> Mapping[str, Any]:
    """Return the target's keys in ``targets.yaml``; none where it does not list it."""
    path = request.origin.targets
    known = yaml.safe_load(path.read_bytes()) if path is not None and path.exists() else None
    return (known or {}).get(request.target.name) or {}
