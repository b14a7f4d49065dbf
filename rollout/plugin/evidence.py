"""The evidence of a run: Allure's results, what is attached to a check, and the redaction of what pytest writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.clauses import Clause
from rollout.core.redaction import Redactor
from rollout.gateway.transport import Exchange
from rollout.reporting import allure


class RunEvidence:
    """The evidence of one run.

    Attributes:
        folder: where the run's documents go.
        run: this process's part of it, a folder's name below ``allure-results``.
        results: where its Allure results go; the folder itself until pytest is configured.
        links: the links of every row in the report, as (URL, name).
        redactor: removes secrets from everything that is written.
        show: attaches evidence to the running check.
        labels: returns the labels of a check's row in the report, as (type, value).
        write_environment: writes what Allure shows about the run into the folder of its results.
        junit: the name of the file with the counts, where pytest writes it; None where the report does.
    """

    def __init__(
        self,
        *,
        folder: Path,
        run: str,
        target: str,
        redactor: Redactor,
        exchanges: list[Exchange],
        labels: Callable[[Clause | None], Iterable[tuple[str, str]]],
        write_environment: Callable[[Path], None],
        links: Iterable[tuple[str, str]] = (),
        junit: str | None = None,
    ) -> None:
        """Start before the first check: from here on, what Allure writes is redacted.

        Args:
            folder: where the run's documents go.
            run: this process's part of it.
            target: the target's name, by which the histories of results are told apart.
            redactor: removes secrets.
            exchanges: those with the gateway since they were last attached; this empties the list.
            labels: returns those of a check's row, as (type, value).
            write_environment: writes what Allure shows about the run into the folder of its results.
            links: those of every row, as (URL, name).
            junit: the name of the file with the counts; None where the report holds them.
        """
        self.folder, self.run, self.results = folder, run, folder
        self.labels, self.write_environment = labels, write_environment
        self.links, self.junit = tuple(links), junit
        self.redactor = redactor
        self.show = allure.Show(redactor)
        self._exchanges = exchanges
        self._guard = allure.guard(redactor, target)

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


def rollout_evidence(
    rollout: RolloutContext, exchanges: list[Exchange], links: Iterable[tuple[str, str]] = ()
) -> RunEvidence:
    """Return the evidence of a rollout, or of its review; arguments as those of `RunEvidence`."""
    return RunEvidence(
        folder=rollout.folder,
        run=rollout.run,
        target=rollout.target.name,
        redactor=rollout.redactor,
        exchanges=exchanges,
        labels=partial(allure.labels, rollout),
        write_environment=partial(allure.write_environment, rollout=rollout),
        links=links,
    )


def ticket_links(rollout: RolloutContext) -> tuple[tuple[str, str], ...]:
    """Return the ticket's link as (URL, name), where a tracker is configured."""
    link = allure.ticket_link(rollout.scenario, rollout.policy)
    return () if link is None else ((link, str(rollout.scenario.ticket)),)
