"""``pytest -m release``: the checks of a gateway before a release, without rollout, backup or lease (REL)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rollout.config.load import load_target
from rollout.core.caller import identify
from rollout.core.clauses import planned
from rollout.core.clock import Clock, StopFlag, SystemClock, format_utc
from rollout.core.errors import RolloutError
from rollout.core.options import ReleaseOptions
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Origin
from rollout.core.result import Outcome
from rollout.core.target import Target
from rollout.core.visible import show_all
from rollout.engine.credentials import connect, token_of
from rollout.engine.embedded_gateway import described
from rollout.gateway.drivers.selection import driver_of, lacking_of
from rollout.gateway.embedded_proof import doubt
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import values
from rollout.gateway.transport import Exchange
from rollout.journal.record import NOT_APPLICABLE
from rollout.plugin.evidence import RunEvidence
from rollout.plugin.final_documents import announce_fetch
from rollout.plugin.read_only_run import ReadOnlyRun, begun_with, find_inapplicable_checks
from rollout.plugin.terminal import TerminalReporter
from rollout.reporting import allure
from rollout.reporting.allure import NOT_RUN

PHASE = "release"


class ReleaseRun(ReadOnlyRun):
    """The pre-release checklist on one target.

    Attributes:
        gateway: the client, which only reads.
        target: the gateway's target.
        policy: the target's policy.
        clock: the time.
        env_file: the keys and values of the service's `.env` file, or why it cannot be read.
        seen: every exchange with the gateway so far.
    """

    kind = PHASE

    def __init__(
        self,
        target: Target,
        policy: Policy,
        options: ReleaseOptions,
        folder: Path,
        env: Mapping[str, str],
        origin: Origin,
    ) -> None:
        """Start before the first check, and read the `.env` file: its secrets are known from then on."""
        self._options, self._origin = options, origin
        self.target, self.policy, self.clock = target, policy, SystemClock()
        self._began = self.clock.now()
        self.subject = f"{target.name} at {target.url}"
        self.seen: list[Exchange] = []
        exchanges: list[Exchange] = []
        token = token_of(target.token_env, env)
        redactor, stop = Redactor([token] if token else []), StopFlag()
        clauses = planned((PHASE,))
        spared = {
            **find_inapplicable_checks(lacking_of(target), policy),
            **dict.fromkeys(policy.not_demanded, f"policy {policy.name!r} does not demand it"),
        }
        super().__init__(
            [clause for clause in clauses if clause.id not in spared],
            {clause.id: spared[clause.id] for clause in clauses if clause.id in spared},
            evidence=_evidence(target, policy, env, folder=folder, redactor=redactor, exchanges=exchanges),
            terminal=TerminalReporter(redactor.text),
            stop=stop,
            env=env,
        )

        def keep(exchange: Exchange) -> None:
            self.seen.append(exchange)
            exchanges.append(exchange)

        self.env_file = Outcome(lambda: _env_file(target, self.clock, redactor))
        self.gateway = connect(target, env, clock=self.clock, stop=stop, redactor=redactor, on_exchange=keep)

    def header(self, option: Any) -> list[str]:
        """Return the header's lines."""
        where = "--gateway" if option.gateway else "--target"
        return [
            f"release: {self.evidence.run}, which only reads",
            f"target: {self.subject} ({where}), policy {self.policy.name}",
            *self._origin.header_lines(),
            f"evidence: {self.evidence.folder}",
        ]

    def _record(self, problems: Mapping[str, str]) -> None:
        """Do nothing: it is about no rollout, and Allure's results are its record."""

    def _next_step(self, problems: Mapping[str, str]) -> str:
        asked = (("--target", self._options.target), ("--gateway", self._options.gateway))
        where = " ".join(f"{name}={value}" for name, value in asked if value)
        return f"mend it, and run it again: pytest -m release {where}" if problems else ""

    def _write_documents(self, reporter: Any) -> None:
        from rollout.reporting.html import assembly, banner  # noqa: PLC0415 - heavy, and only needed after the verdict

        evidence = self.evidence
        announce_fetch(self.env, reporter)
        safe = {question: show_all(evidence.redactor.text(answer)) for question, answer in self._answers().items()}
        subject = show_all(evidence.redactor.text(self.subject))
        above = banner.banner_of_release(self.word, subject, safe, passed=self.passed)
        title = f"{self.word}: {subject}"
        reporter.write_line(assembly.built_plain(evidence.results, evidence.folder, title, above, self.env))

    def _answers(self) -> dict[str, str]:
        """Return the questions of the report's first screen and their answers; an empty one has none to give."""
        caller = identify(self.env)
        not_run, failed = begun_with(NOT_RUN, self.problems())
        inapplicable, spared = begun_with(NOT_APPLICABLE, self._left_out)
        return {
            "What": "the checks before a release, which only read",
            "Failed": _listed(failed),
            "Not run": _listed(not_run),
            "Not applicable": _listed(inapplicable),
            "Not owed": ", ".join(spared),
            "Trouble": self.error or "",
            "Policy": self.policy.name,
            "Run by": "; ".join(filter(None, (caller.name, caller.describe_job()))),
            "When": f"{format_utc(self._began)} to {format_utc(self.clock.now())}",
        }

    def close(self) -> None:
        """Close the gateway."""
        self.gateway.close()


def open_release(options: ReleaseOptions, *, env: Mapping[str, str]) -> ReleaseRun:
    """Validate the target, and prepare its checks; the only request sent is the one that proves the policy.

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
        targets=options.targets,
        policy=options.policy,
    )
    if target.url is None:
        raise RolloutError(
            f"target {target.name!r} is started on demand, for a rollout; start one that lives on "
            "(`rollout sandbox --port 8000`) and give --gateway=http://127.0.0.1:8000"
        )
    place = re.sub(r"[^\w.-]", "-", target.name)
    name = f"release-{SystemClock().now():%Y%m%d-%H%M%S}-{place}-{secrets.token_hex(2)}"
    return ReleaseRun(described(target), policy, options, options.reports / name, env, origin)


def _listed(reasons: Mapping[str, str]) -> str:
    """Return clauses with their reasons, one after the other."""
    return "; ".join(f"{id_}: {why.removeprefix(NOT_RUN).removeprefix(NOT_APPLICABLE)}" for id_, why in reasons.items())


def _evidence(
    target: Target,
    policy: Policy,
    env: Mapping[str, str],
    *,
    folder: Path,
    redactor: Redactor,
    exchanges: list[Exchange],
) -> RunEvidence:
    """Return the evidence of a release run, which is called as its folder is."""
    facts = {"target": target.name, "gateway": str(target.url), "policy": policy.name}
    return RunEvidence(
        folder=folder,
        run=folder.name,
        target=target.name,
        redactor=redactor,
        exchanges=exchanges,
        labels=partial(allure.row_labels, f"{folder.name} · {target.name}", target.user),
        write_environment=lambda results: allure.write_facts(
            results,
            facts,
            allure.executor_of(env, folder.name, f"Release {target.name}", SystemClock().now()),
            redactor,
        ),
        junit="junit.xml",
    )


def _env_file(target: Target, clock: Clock, redactor: Redactor) -> Mapping[str, str]:
    if target.env_file is None and not (target.service and target.service.read):
        raise RolloutError(f"target {target.name!r} does not say where the service's .env file can be read")
    found = values(EnvFile(target, clock=clock, redact=redactor.text).read())
    redactor.learn_file(found, [found.get(key) or "" for key in driver_of(target).activation_keys()[:2]])
    return {key: value or "" for key, value in found.items()}
