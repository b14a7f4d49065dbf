"""``pytest -m release``: one look at a gateway before a release, without rollout, backup or lease (REL)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rollout.config.load import load_target
from rollout.core.clauses import Clause, planned
from rollout.core.clock import Clock, StopFlag, SystemClock
from rollout.core.errors import RolloutError
from rollout.core.options import ReleaseOptions
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Origin
from rollout.core.result import Outcome
from rollout.core.target import Target
from rollout.engine.credentials import token_of
from rollout.engine.embedded_gateway import described
from rollout.gateway.client import Gateway
from rollout.gateway.embedded_proof import doubt
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import values
from rollout.gateway.transport import Exchange
from rollout.plugin.read_only_run import ReadOnlyRun
from rollout.reporting import allure

PHASE = "release"


class Release(ReadOnlyRun):
    """The pre-release checklist on one target.

    Attributes:
        gateway: the sealed client.
        target: where.
        policy: what rules there.
        clock: the time.
        env_file: the keys and values of the service's `.env` file, or why it cannot be read.
        seen: every exchange with the gateway so far.
        origin: where target and policy were read.
    """

    kind = PHASE
    junit = "junit.xml"
    origin = Origin()

    def __init__(
        self, target: Target, policy: Policy, options: ReleaseOptions, folder: Path, env: Mapping[str, str]
    ) -> None:
        """Start before the first check, and read the `.env` file: its secrets are known from then on."""
        self._options = options
        self.target, self.policy, self.clock = target, policy, SystemClock()
        self.subject = f"{target.name} at {target.url}"
        self.seen: list[Exchange] = []
        exchanges: list[Exchange] = []
        token = token_of(target.token_env, env)
        redactor, stop = Redactor([token] if token else []), StopFlag()
        why = f"policy {policy.name!r} does not demand it"
        spared = {clause.id: why for clause in planned((PHASE,)) if clause.id in policy.not_demanded}
        super().__init__(
            [clause for clause in planned((PHASE,)) if clause.id not in spared],
            spared,
            folder=folder,
            run=folder.name,
            redactor=redactor,
            stop=stop,
            exchanges=exchanges,
            env=env,
        )

        def keep(exchange: Exchange) -> None:
            self.seen.append(exchange)
            exchanges.append(exchange)

        self.env_file = Outcome(lambda: _env_file(target, self.clock, redactor))
        self.gateway = Gateway(target, token=token, clock=self.clock, stop=stop, redactor=redactor, on_exchange=keep)

    def labels(self, clause: Clause | None) -> Iterable[tuple[str, str]]:
        """Return the labels of a check's row in the report, as (type, value)."""
        return allure.row_labels(f"{self.run} · {self.target.name}", self.target.user, clause)

    def header(self, option: Any) -> list[str]:
        """Return the header's lines."""
        where = "--gateway" if option.gateway else "--target"
        return [
            f"release: {self.run}, which only reads",
            f"target: {self.target.name} at {self.target.url} ({where}), policy {self.policy.name}",
            *self.origin.header_lines(),
            f"evidence: {self.folder}",
        ]

    def write_environment(self, results: str) -> None:
        """Write what Allure shows about the run beside its results."""
        super().write_environment(results)
        facts = {"target": self.target.name, "gateway": str(self.target.url), "policy": self.policy.name}
        allure.write_facts(self._results, facts, self.run, f"Release {self.target.name}", self.redactor)

    def _record(self, problems: Mapping[str, str]) -> None:
        """Do nothing: it is about no rollout, and Allure's results are its record."""

    def _next(self, problems: Mapping[str, str]) -> str:
        asked = (("--target", self._options.target), ("--gateway", self._options.gateway))
        where = " ".join(f"{name}={value}" for name, value in asked if value)
        return f"mend it, and run it again: pytest -m release {where}" if problems else ""

    def _report(self) -> str:
        from rollout.reporting.html.assembly import built_plain  # noqa: PLC0415 - after the verdict, nobody waits for it

        return built_plain(self._results, self.folder, f"{self.word}: {self.subject}", self.env)

    def _finish(self) -> None:
        self.gateway.close()


def open_release(options: ReleaseOptions, *, env: Mapping[str, str]) -> Release:
    """Validate the target, and prepare the look at it; nothing is sent yet but the look that proves the policy.

    Raises:
        InvalidInput: the target, its policy or the options are wrong.
        RolloutError: it is the embedded gateway, which is started for a rollout only.
    """
    target, policy, origin = load_target(
        target=options.target,
        gateway=options.gateway,
        directory=options.scenarios,
        env=env,
        doubt=doubt,
        policy=options.policy,
    )
    if target.url is None:
        raise RolloutError(
            f"target {target.name!r} is started on demand, for a rollout; start one that lives on "
            "(`rollout sandbox --port 8000`) and give --gateway=http://127.0.0.1:8000"
        )
    now = SystemClock().now()
    name = f"release-{now:%Y%m%d-%H%M%S}-{_as_file_name(target.name)}-{secrets.token_hex(2)}"
    release = Release(described(target), policy, options, options.reports / name, env)
    release.origin = origin
    return release


def _env_file(target: Target, clock: Clock, redactor: Redactor) -> Mapping[str, str]:
    if target.env_file is None and not (target.service and target.service.read):
        raise RolloutError(f"target {target.name!r} does not say where the service's .env file can be read")
    found = values(EnvFile(target, clock=clock, redact=redactor.text).read())
    redactor.learn_file(found, [found.get(key) or "" for key in (target.provider_key, target.model_key)])
    return {key: value or "" for key, value in found.items()}


def _as_file_name(name: str) -> str:
    return "".join(each if each.isalnum() or each in "._-" else "-" for each in name)
