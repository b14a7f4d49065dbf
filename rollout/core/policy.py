"""What an environment demands at least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("provider", "environment", "limits")
"""The kinds of change: activate a provider (APP-1), edit the `.env` file (APP-2), set governance limits (APP-3)."""

EXECUTE, EXCEPT_RESTART = "execute", "except_restart"
"""How the rollback is proven where the proof costs users something: by executing it, or without the costly part."""

WAIT, KEEP = "wait", "keep"
"""What happens to a change whose evidence cannot be written: it is kept once the evidence is written, or kept and
reported."""

ALPHA = 0.01
"""The probability with which one trigger may falsely breach in one rollout."""

WARN, BLOCK = "warn", "block"
"""What happens where a window cannot tell twice a limit from the limit: it is shown, or PRE-2.5 fails."""

WITHOUT_USERS = frozenset({"sandbox"})
"""The environments without users, in which a proof costs nothing and is executed unless the policy says otherwise."""


@dataclass(frozen=True, slots=True)
class StandardChange:
    """Changes that are approved beforehand; an empty list accepts any.

    Attributes:
        kind: one of `KINDS`.
        providers: the providers that may be activated, or whose limits may be set.
        models: the models that may be activated.
        keys: the keys of the `.env` file that may be touched.
        risk: the greatest risk that the impact assessment may state: ``low`` or ``medium``.
    """

    kind: str
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    risk: str = "low"


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
        ticket_lookup: where the ticket must answer 200, ``{ticket}`` is replaced; None asks no tracker (PRE-2.1).
        ticket_token_env: the environment variable with the tracker's bearer token; None sends none.
        approvals_at_least: how many approvers other than the author (PRE-2.2).
        review: what counts as an approval: ``named`` (names under ``approved_by:``, or documents), ``recorded``
            (documents of this very content) or ``signed`` (those with a signature by an allowed key) (PRE-2.2).
        allowed_signers: the list of keys, as in ``ssh-keygen(1)``; a relative path starts at the policy's folder.
        approval_max_age_s: an older approval does not count; None accepts any age.
        operator_ack_max_age_s: the operator must have acknowledged within so long (PRE-4.3); None asks for no
            acknowledgement.
        pull_request: ``accept`` or ``ignore`` a merged pull request as review (PRE-2.2).
        limits_for_good: ``refuse`` or ``accept`` a limit for a scope that had none, which no gateway can remove
            again (deviation 15).
        precheck_max_age_s: a clearance older than this does not open `apply` (PRE-3.3).
        outside_window: ``warn`` or ``block`` (PRE-4.1).
        confirm_within_s: a phase that ended in order leaves the next one this long.
        hold_at_most_s: an operator may hold the automatic rollback so long at a time (`rollout hold`).
        standard: what a change of class ``standard`` may be; none is where it is empty.
        retrospective_within_s: so soon the approval of a change of class ``emergency`` without one, and of
            `rollout emergency`, is due.
        channels: who is notified of every change, whatever the scenario says (PRE-4.2).
        allowed_changes: the kinds of change that this environment accepts, of `KINDS`.
        required_sources: what a target must have for its window: ``prometheus``, ``alertmanager``, ``log``.
        on_no_data: ``roll_back`` gives an unavailable source no second try (MON-6); ``extend`` asks the scenario.
        review_after_s: so long a rollout's metrics are left to gather before it is reviewed (REV-1).
        review_within_s: so soon after a rollout's end its review is due.
        redact: regular expressions of what is a secret here, whatever name it stands under; taken out of everything
            that is written.
        prove_way_back: ``execute`` proves the rollback with what that costs users (a restart, a runtime switch);
            ``except_restart`` leaves that out, and reports so (APP-0.2, PRE-2.4).
        on_missing_evidence: ``wait`` keeps a change only once its evidence is written, and rolls it back where that is
            not within `confirm_within_s`; ``keep`` keeps it, and names what is missing.
        canary_at_high_risk: whether an activation whose impact says ``risk: high`` must be a canary (CAN).
        separate_duties: whether the person who applies a change must be neither its author nor an approver (PRE-2.2).
        alpha: the probability with which one trigger may breach in a rollout whose share is within its limit.
        required: the clauses that need an outcome even on a gateway that lacks what they observe.
        keep_evidence_days: so many days after its end `rollout prune` leaves a rollout's evidence where it is; None:
            its ``--keep`` alone decides.
        power: ``warn`` or ``block`` where a window cannot tell twice a limit from the limit (PRE-2.5).
    """

    name: str
    window_at_least_s: float = 30 * 60.0
    not_demanded: frozenset[str] = frozenset()
    ticket_pattern: str = r"\S+"
    ticket_url: str | None = None
    ticket_lookup: str | None = None
    ticket_token_env: str | None = None
    approvals_at_least: int = 1
    review: str = "signed"
    allowed_signers: str | None = None
    approval_max_age_s: float | None = 7 * 86_400.0
    operator_ack_max_age_s: float | None = 12 * 3600.0
    pull_request: str = "ignore"
    limits_for_good: str = "refuse"
    precheck_max_age_s: float = 3600.0
    outside_window: str = "block"
    confirm_within_s: float = 3600.0
    hold_at_most_s: float = 1800.0
    canary_at_high_risk: bool = True
    review_after_s: float = 24 * 3600.0
    review_within_s: float = 7 * 24 * 3600.0
    standard: tuple[StandardChange, ...] = ()
    retrospective_within_s: float = 24 * 3600.0
    channels: tuple[str, ...] = ()
    allowed_changes: frozenset[str] = frozenset(KINDS)
    required_sources: frozenset[str] = frozenset()
    on_no_data: str = "extend"
    redact: tuple[str, ...] = ()
    prove_way_back: str = EXCEPT_RESTART
    on_missing_evidence: str = WAIT
    separate_duties: bool = False
    alpha: float = ALPHA
    power: str = WARN
    required: frozenset[str] = frozenset()
    keep_evidence_days: int | None = None


def usual(environment: str) -> Mapping[str, Any]:
    """Return the keys that version 0.1 did not know, with their values where an environment's policy states none."""
    everywhere = {"separate_duties": False, "alpha": ALPHA, "power": WARN, "required": [], "keep_evidence_days": None}
    if environment in WITHOUT_USERS:
        return {"prove_way_back": EXECUTE, "on_missing_evidence": KEEP, **everywhere}
    return {"prove_way_back": EXCEPT_RESTART, "on_missing_evidence": WAIT, **everywhere}
