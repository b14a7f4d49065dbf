"""What an environment demands at least."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The least that an environment accepts; a scenario may ask for more, never for less.

    Attributes:
        name: the environment's name.
        window_at_least_s: shortest bake time (PRE-4.4).
        not_demanded: clauses that this environment does not ask for. They are checked all the same where the
            scenario speaks of them; otherwise they are shown as skipped with this reason, never as passed.
        ticket_pattern: regular expression that a ticket must match as a whole (PRE-2.1).
        ticket_url: where a ticket is found, ``{ticket}`` is replaced; None links nowhere.
        approvals_at_least: how many approvers other than the author (PRE-2.2).
        limits_for_good: ``refuse`` or ``accept`` a limit for a scope that had none, which no gateway can take away
            again (deviation 15).
        precheck_max_age_s: a clearance older than this does not open `apply` (PRE-3.3).
        outside_window: ``warn`` or ``block`` (PRE-4.1).
        confirm_within_s: a phase that ended in order leaves the next one this long.
        hold_at_most_s: a person may hold the automatic rollback so long at a time (`rollout hold`).
        canary_at_high_risk: whether an activation whose impact says ``risk: high`` must be a canary (CAN).
    """

    name: str
    window_at_least_s: float = 30 * 60.0
    not_demanded: frozenset[str] = frozenset()
    ticket_pattern: str = r"\S+"
    ticket_url: str | None = None
    approvals_at_least: int = 1
    limits_for_good: str = "refuse"
    precheck_max_age_s: float = 3600.0
    outside_window: str = "block"
    confirm_within_s: float = 3600.0
    hold_at_most_s: float = 1800.0
    canary_at_high_risk: bool = True
