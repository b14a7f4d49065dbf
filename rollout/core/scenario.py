"""The scenario: one file, one rollout on one target."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rollout.core.limits import Limits
from rollout.core.signals import Signals, Slices

MINUTE_S = 60.0
HOUR_S = 3600.0
_FIRST_WORD = re.compile(r"\w+")

EMERGENCY_SOURCE = "rollout emergency"
"""What stands in an emergency's record in place of a scenario's file."""

SOURCES = ("status", "metrics", "alerts", "fallbacks", "log", "synthetic", "operator")
"""The sources of a window that triggers read; MON-6 checks that they give data."""


@dataclass(frozen=True, slots=True)
class ProviderChange:
    """Activate a provider (APP-1).

    Attributes:
        provider: the provider's name, as the gateway activates it.
        model: the model to activate with it; always sent, because an activation without one resets it silently.
        restart: whether the service must be restarted for it to take effect (deviation 7).
        startup_s: how long the service may take to be healthy after that restart; None: as long as the target states.
    """

    provider: str
    model: str
    restart: bool = False
    startup_s: float | None = None

    def __str__(self) -> str:
        """Read as ``openai:gpt-4o``."""
        return f"{self.provider}:{self.model}"

    @classmethod
    def from_text(cls, text: str) -> ProviderChange:
        """Return the provider and model of such a text."""
        provider, _, model = text.partition(":")
        return cls(provider, model)


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """Set or remove keys of the service's `.env` file, and restart the service (APP-2).

    Attributes:
        values: key -> new value; a key that is not there is appended.
        secrets: key -> name of the environment variable that holds the new value, which appears nowhere.
        remove: keys to take out.
        startup_s: how long the service may take to be healthy after the restart; None: as long as the target states.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    startup_s: float | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that the change touches."""
        return (*self.values, *self.secrets, *self.remove)

    def __str__(self) -> str:
        """Read as ``.env LOG_LEVEL, OLD_KEY``: key names only."""
        return f".env {', '.join(self.keys)}"


@dataclass(frozen=True, slots=True)
class LimitChange:
    """Set a governance limit (APP-3).

    Attributes:
        kind: ``cost`` or ``rate``.
        scope: ``global``, or a provider's name; reported back as ``provider:NAME``.
        values: ``soft_limit_usd`` and ``hard_limit_usd``, or ``max_requests_per_minute`` and
            ``max_tokens_per_minute``; only those given are sent.
    """

    kind: str
    scope: str
    values: Mapping[str, float]

    @property
    def reported_scope(self) -> str:
        """The scope as the gateway reports it (deviation 20)."""
        return self.scope if self.scope == "global" or ":" in self.scope else f"provider:{self.scope}"

    def __str__(self) -> str:
        """Read as ``cost limits of openai``."""
        return f"{self.kind} limits of {self.scope}"


Change = ProviderChange | EnvironmentChange | LimitChange


@dataclass(frozen=True, slots=True)
class Impact:
    """The impact assessment (PRE-2.3), as the author states it.

    Attributes:
        risk: how bad it may become.
        affects: who is affected.
        cost: the cost, in prose.
        usd_a_day: what the new provider may cost a day, which the review compares the cost with (REV-3); None where
            only `cost` is stated.
    """

    risk: str
    affects: str
    cost: str
    usd_a_day: float | None = None

    @property
    def level(self) -> str:
        """The risk in one word, the first of `risk`: ``low``."""
        word = _FIRST_WORD.search(self.risk)
        return word[0].casefold() if word else ""


class ChangeClass(StrEnum):
    """How a change is authorised: listed by the policy, reviewed, or a hotfix that is reviewed afterwards."""

    STANDARD = "standard"
    NORMAL = "normal"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A named exception: one clause may fail in this rollout.

    Attributes:
        clause: the clause.
        reason: why.
        granted_by: the person who grants it; never the author.
        until: when it ends, wall-clock time of the target's time zone.
    """

    clause: str
    reason: str
    granted_by: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Operator:
    """Who stands by to roll back (PRE-4.3).

    Attributes:
        name: the person.
        contact: where they are reached: mail, phone, chat handle.
    """

    name: str
    contact: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer must be, besides non-empty and by the expected provider and model (MON-5).

    Attributes:
        contains: text that must be in it; None asks for none.
        matches: a regular expression that must match somewhere in it.
        json_schema: a JSON Schema (draft 2020-12) that the answer must satisfy, which is then one JSON value with
            nothing around it; an empty schema accepts any JSON.
        max_length: so many characters at most.
    """

    contains: str | None = None
    matches: str | None = None
    json_schema: Mapping[str, Any] | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """A synthetic request: what it asks, and what its answer must be.

    Attributes:
        prompt: its text.
        expect: what is expected of the answer.
        max_tokens: the answer is cut there by the provider; a target's `chat_with` knows no such limit.
    """

    prompt: str
    expect: Expectation = field(default_factory=Expectation)
    max_tokens: int = 16


AT_MOST = 2.0
"""All extensions together, for an unavailable source, unwatched time and undecided verdicts, at most double it."""


@dataclass(frozen=True, slots=True)
class SyntheticPower:
    """How much the suite's own requests of a window have to show; their pace follows from it.

    Attributes:
        power: the probability, 0-1, with which a provider that fails at twice the limit breaches (MON-2).
        usd_at_most: the most that the synthetic requests may cost in US dollars, all extensions included, by the price
            under `usd_per_1k_tokens`; None states no bound but `synthetic_at_most`.
    """

    power: float
    usd_at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Monitor:
    """The bake time and what is polled in it; the defaults are the procedure's.

    Attributes:
        window_s: how long the change is watched.
        metrics_every_s: pace of the provider's status and metrics.
        alerts_every_s: pace of the alerts and the fallbacks.
        log_every_s: pace at which the log is read on.
        synthetic_every_s: pace of the suite's own requests.
        way_back_every_s: pace at which the previous provider's connection is tested.
        short_span_s: the span over which users who are served well now keep failures of the suite's own requests from
            being a breach (MON-2); the chart's curves show it.
        limits: where the triggers fire.
        min_requests: users' requests decide whether MON-2 holds from so many on, and from enough to exclude twice the
            limit (29 at 5 %); a breach does not wait for them.
        min_samples: the suite's own requests decide about MON-2, and latencies about MON-3, from so many on; the
            baseline has at least so many (PRE-5.4). A breach does not wait for them.
        dark_in_a_row: so many failed polls of one source in a row are MON-6.
        dark_share: a larger share of failed polls of one source in total is MON-6.
        on_no_data: source -> ``extend`` (notify, give the source as long again and extend the window by that, once) or
            ``roll_back`` (at once), when it is unavailable (MON-6); a source that is not named has ``extend``.
        confirm_after_s: a bad status is read again after this long before it counts.
        stable_polls: so many `connected` in a row end a rollback's verification (RBK-4.2).
        alerts: ``any`` critical alert trips, or only ``related`` ones (new, previous or no provider).
        prompt: the text of the suite's own requests: those of VER-2 and RBK-4.1, and, without `probes`, the synthetic
            ones.
        expect: text that the answer to a synthetic `prompt` must contain; None accepts any non-empty answer.
        error_pattern: a log line of level ERROR or worse that matches this pattern is MON-5; None watches for none.
        probes: the synthetic requests, sent in turn; None sends `prompt` and expects `expect`, empty sends none.
        synthetic_at_most: a window sends so many synthetic requests at most (their cost is capped with `max_tokens`).
        synthetic: as many synthetic requests as show twice the limit of failed requests with this probability, at
            least those of `synthetic_every_s`; None sends those of `synthetic_every_s`.
        baseline_requests: so many requests of the suite's own measure the baseline (PRE-5.4), at least `min_samples`;
            None sends `min_samples`.
        signals: what is watched besides the procedure's triggers (MON-5); None watches nothing else.
        slices: the parts of users' requests that MON-2 looks at one by one, by a label of Prometheus; None: no parts.
    """

    window_s: float = 30 * MINUTE_S
    metrics_every_s: float = 10.0
    alerts_every_s: float = 30.0
    log_every_s: float = 5.0
    synthetic_every_s: float = MINUTE_S
    way_back_every_s: float = 30.0
    short_span_s: float = 5 * MINUTE_S
    limits: Limits = field(default_factory=Limits)
    min_requests: int = 20
    min_samples: int = 20
    dark_in_a_row: int = 3
    dark_share: float = 0.2
    confirm_after_s: float = 1.0
    stable_polls: int = 3
    alerts: str = "any"
    prompt: str = "ping"
    expect: str | None = None
    error_pattern: str | None = None
    probes: tuple[Probe, ...] | None = None
    synthetic_at_most: int = 2000
    on_no_data: Mapping[str, str] = field(default_factory=dict)
    synthetic: SyntheticPower | None = None
    baseline_requests: int | None = None
    signals: Signals | None = None
    slices: Slices | None = None

    @property
    def in_turn(self) -> tuple[Probe, ...]:
        """The synthetic requests in effect, sent in turn; empty if they are switched off."""
        if self.probes is not None:
            return self.probes
        return (Probe(self.prompt, Expectation(contains=self.expect)),)

    @property
    def planned_baseline(self) -> int:
        """How many requests of the suite's own measure the baseline, unless three in a row fail."""
        return max(self.min_samples, self.baseline_requests or 0) if self.in_turn else 0

    @property
    def at_most_s(self) -> float:
        """How long the change is watched at most: a window goes on where a verdict is undecided (`AT_MOST`)."""
        return AT_MOST * self.window_s

    @property
    def planned_synthetic(self) -> int:
        """How many synthetic requests a window of this length and pace sends."""
        # Rounded first: 0.3 / 0.1 is a little less than 3.
        return math.ceil(round(self.window_s / self.synthetic_every_s, 6)) if self.in_turn else 0


@dataclass(frozen=True, slots=True)
class Share:
    """One stage of a canary as the scenario states it (CAN-2).

    Attributes:
        share: fraction above 0 and up to 1 of the requests that the new provider gets.
        lasts_s: how long it is watched at that share.
    """

    share: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Canary:
    """A change that takes over the traffic in stages (CAN); the defaults are the procedure's.

    Attributes:
        shares: the stages, rising up to 1; none where the single-request test is all that comes before the activation.
        stabilise_s: how long all of the traffic is watched at the end, before the rollout is complete (CAN-3).
    """

    shares: tuple[Share, ...] = (
        Share(0.10, HOUR_S),
        Share(0.25, HOUR_S),
        Share(0.50, 2 * HOUR_S),
        Share(1.0, 4 * HOUR_S),
    )
    stabilise_s: float = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Scenario:
    """One change to one target, with its ticket, approvals and impact.

    Attributes:
        name: the file's stem, or ``activate-openai`` for one from the command line.
        source: where it came from: the file as the user wrote it, or ``--activate``.
        target: the target's name.
        changes: applied in order, undone in reverse.
        author: who asks for the change; the environment's user where the file names no author.
        ticket: the ticket or issue (PRE-2.1).
        approved_by: who reviewed it (PRE-2.2).
        impact: the impact assessment (PRE-2.3).
        operator: who stands by (PRE-4.3).
        notify: channels: ``log`` (the operations log) or the name of an environment variable with an Apprise URL.
        fixes: what the change is meant to cure: ``TYPE/PROVIDER`` of alerts, or a provider's name; neither blocks
            the precheck nor trips a trigger.
        rollback_to: where a rollback goes instead of the previous provider.
        monitor: the bake time; its `window_s` is that of all stages together where there is a canary.
        canary: how the traffic moves over; None where the activation moves it all at once.
        usd_per_1k_tokens: ``provider:model`` -> price, for a gateway that reports no cost (REV-3).
        sandbox: settings for an embedded gateway that is started on demand, as `rollout.sandbox` reads them.
        change_class: how it is authorised (PRE-2.2), and whether it waits for a window (PRE-4.1).
        waivers: the clauses that may fail, each at most once.
    """

    name: str
    source: str
    target: str
    changes: tuple[Change, ...]
    author: str
    ticket: str | None = None
    approved_by: tuple[str, ...] = ()
    impact: Impact | None = None
    operator: Operator | None = None
    notify: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    rollback_to: ProviderChange | None = None
    monitor: Monitor = field(default_factory=Monitor)
    canary: Canary | None = None
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    usd_per_1k_tokens: Mapping[str, float] = field(default_factory=dict)
    change_class: ChangeClass = ChangeClass.NORMAL
    waivers: tuple[Waiver, ...] = ()

    @property
    def activation(self) -> ProviderChange | None:
        """The provider that it activates; None if it changes something else."""
        return next((change for change in self.changes if isinstance(change, ProviderChange)), None)
