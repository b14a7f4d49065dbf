"""The evidence of a run: Allure's results, what is attached to a check, and the redaction of what pytest writes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.clauses import Clause
from rollout.core.redaction import Redactor
from rollout.gateway.transport import Exchange
from rollout.reporting import allure


class RunEvidence(ABC):
    """The evidence of one run.

    Attributes:
        folder: where the run's documents go.
        run: this process's part of it, a folder's name below ``allure-results``.
        results: where its Allure results go; the folder itself until pytest is configured.
        links: the links of every row in the report, as (URL, name).
        redactor: removes secrets from everything that is written.
        show: attaches evidence to the running check.
        junit: the name of the file with the counts, where pytest writes it; None where the report does.
    """

    junit: str | None = None

    def __init__(
        self,
        *,
        folder: Path,
        run: str,
        redactor: Redactor,
        exchanges: list[Exchange],
        links: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Start before the first check: from here on, what Allure writes is redacted.

        Args:
            folder: where the run's documents go.
            run: this process's part of it.
            redactor: removes secrets.
            exchanges: those with the gateway since they were last attached; this empties the list.
            links: those of every row, as (URL, name).
        """
        self.folder, self.run, self.results = folder, run, folder
        self.links = tuple(links)
        self.redactor = redactor
        self.show = allure.Show(redactor)
        self._exchanges = exchanges
        self._guard = allure.guard(redactor)

    @abstractmethod
    def labels(self, clause: Clause | None) -> Iterable[tuple[str, str]]:
        """Return the labels of a check's row in the report, as (type, value)."""

    @abstractmethod
    def write_environment(self) -> None:
        """Write what Allure shows about the run beside its results."""

    def title(self, clause: Clause | None) -> str:
        """Return the title of a check's row in the report."""
        return "Closure: kept or rolled back" if clause is None else str(clause)

    def attach_exchanges(self) -> None:
        """Attach the exchanges with the gateway since the last check."""
        exchanges, self._exchanges[:] = list(self._exchanges), []
        self.show.exchanges([asdict(exchange) for exchange in exchanges])

    def redact_junit(self, junit: str | None) -> None:
        """Remove secrets from the file that ``--junitxml`` makes pytest write; without the option do nothing."""
        if junit is not None:
            # As pytest reads the option.
            allure.redact_junit(Path(os.path.expanduser(os.path.expandvars(junit))), self.redactor)  # noqa: PTH111

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Why Allure could not write every file; empty where it could."""
        return self._guard.unwritten

    def close(self) -> None:
        """Stop redacting what Allure writes."""
        allure.unguard(self._guard)


class RolloutEvidence(RunEvidence):
    """The evidence of a rollout, or of its review."""

    def __init__(
        self, rollout: RolloutContext, exchanges: list[Exchange], links: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Keep the rollout that the rows name."""
        super().__init__(
            folder=rollout.folder, run=rollout.run, redactor=rollout.redactor, exchanges=exchanges, links=links
        )
        self._rollout = rollout

    def labels(self, clause: Clause | None) -> Iterable[tuple[str, str]]:
        """Return the labels of a check's row in the report, as (type, value)."""
        return allure.labels(self._rollout, clause)

    def write_environment(self) -> None:
        """Write what Allure shows about the run beside its results."""
        allure.write_environment(self.results, self._rollout)


def ticket_links(rollout: RolloutContext) -> tuple[tuple[str, str], ...]:
    """Return the ticket's link as (URL, name), where a tracker is configured."""
    link = allure.ticket_link(rollout.scenario, rollout.policy)
    return () if link is None else ((link, str(rollout.scenario.ticket)),)
