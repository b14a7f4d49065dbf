"""A gateway, and how to reach and watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any

from rollout.core.canonical_json import NOT_RECORDED, RECORDED_AS
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.scenario import ProviderChange


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Outer deadlines in seconds: each bounds a whole call, DNS resolution to last byte.

    Attributes:
        read_s: any call that only reads.
        chat_s: a completion.
        activate_s: an activation; 20 s are real on some gateways.
    """

    read_s: float = 5.0
    chat_s: float = 30.0
    activate_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Tls:
    """How a TLS connection is made.

    Attributes:
        ca_file: certificate authorities to trust instead of the system's.
        client_cert: client certificate for mTLS.
        client_key: its key.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """Where users' requests, failures and latencies are read instead of from the gateway's own metrics (MON-2, MON-3).

    Selectors are PromQL's, of raw counters; ``{provider}`` and ``{model}`` are filled in.

    Attributes:
        url: base URL, without ``/api/v1``.
        requests: the counter of all requests.
        errors: the counter of those that failed.
        latency_seconds_bucket: the buckets of the latency histogram; None leaves MON-3 to the suite's own requests.
        up: the scrape targets' ``up``; None goes by the series' labels ``job`` and ``instance``.
        token_env: the environment variable that holds the bearer token; None sends none.
        tls: TLS settings.
    """

    url: str
    requests: str
    errors: str
    latency_seconds_bucket: str | None = None
    up: str | None = None
    token_env: str | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class AlertmanagerSource:
    """Where critical alerts are read instead of from the gateway (MON-4, PRE-5.3).

    Attributes:
        url: base URL, without ``/api/v2``.
        match: matchers that all hold for an alert that counts; together they say what is critical.
        heartbeat: matcher of an alert that always fires, such as ``alertname="Watchdog"``: without it a poll fails,
            because silence then means that no alerts are sent. None asks for none.
        token_env: the environment variable that holds the bearer token; None sends none.
        tls: TLS settings.
    """

    url: str
    match: tuple[str, ...] = ('severity="critical"',)
    heartbeat: str | None = None
    token_env: str | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the window reads elsewhere than at the gateway; None reads the gateway's own."""

    prometheus: PrometheusSource | None = None
    alertmanager: AlertmanagerSource | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """How the service behind the gateway is handled: commands as argument lists, run here or through ssh (APP-2).

    Attributes:
        stop: stops it.
        start: starts it.
        read: prints the `.env` file; empty reads the target's `env_file` on this host.
        write: replaces the `.env` file by its standard input; empty writes the target's `env_file` on this host.
        timeout_s: outer deadline of each command.
    """

    stop: tuple[str, ...]
    start: tuple[str, ...]
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ProviderRestart:
    """Restart and start-up of one provider's activation, where they differ from the target's other providers.

    Attributes:
        restart: whether it takes effect only after a restart of the service; None: as the target states.
        startup_s: how long the service may take to be healthy after that restart; None: as the target states.
    """

    restart: bool | None = None
    startup_s: float | None = None


_LIKE_THE_OTHERS = ProviderRestart()


@dataclass(frozen=True, slots=True)
class OtherCall:
    """A call that takes the place of a documented one.

    Attributes:
        path: the path, from the base URL.
        body: the JSON body; ``{provider}``, ``{model}`` and ``{prompt}`` are replaced in its texts.
    """

    path: str
    body: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routing:
    """How a gateway splits its requests by weights (CAN-2); the defaults are the embedded gateway's call.

    Attributes:
        set_path: the call that sets them.
        set_method: ``PUT``, ``POST`` or ``PATCH``.
        set_body: its JSON body; the text ``{weights}`` stands for them: destination -> weight.
        read_path: the call that reads them.
        read_at: the keys that lead to them in its answer, dotted.
        destination: the gateway's name for provider and model.
        percent: whether its weights add up to 100, and not to 1.
    """

    set_path: str = "/api/v1/routing/weights"
    set_method: str = "PUT"
    set_body: Mapping[str, str] = field(default_factory=lambda: {"weights": "{weights}"})
    read_path: str = "/api/v1/routing/weights"
    read_at: str = "weights"
    destination: str = "{provider}:{model}"
    percent: bool = False


@dataclass(frozen=True, slots=True)
class ChangeWindow:
    """A weekly window in which changes are allowed, in the target's time zone (PRE-4.1).

    Attributes:
        days: weekdays, Monday is 0.
        opens: first moment inside.
        closes: first moment outside; earlier than `opens` means on the next day.
    """

    days: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of time in which no change is begun or watched, in the target's time zone (PRE-4.1).

    Attributes:
        begins: first moment inside, wall-clock time.
        ends: first moment outside.
        reason: why, for the message of PRE-4.1.
    """

    begins: datetime
    ends: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway and everything the suite must know to work on it.

    Attributes:
        name: as the scenario and ``--target`` call it; the URL's host for one given by ``--gateway``.
        environment: the policy that rules here: ``sandbox``, ``staging``, ``production``…
        url: base URL without the trailing slash; None for the embedded gateway, which is started on demand.
        kind: the kind of gateway, which names its driver; not recorded where it is the default.
        settings: the settings of any other kind than the default, as JSON types; those of the default kind are fields.
        token_env: the environment variable that holds the bearer token; None sends none.
        user: sent as ``X-User`` so that the gateway's audit log names a user.
        tls: TLS settings.
        timeouts: outer deadlines.
        paths: call name -> path where the gateway deviates, e.g. ``{"health": "/healthz"}``.
        staging: base URL of the staging gateway (PRE-3); None where there is none.
        staging_token_env: the staging gateway's token variable.
        safe: the provider and model an emergency goes to; its `restart` is the provider's, as `restarts` has it.
        env_file: the service's `.env` file, on this host; None where it is unknown or cannot be reached.
        env_file_stated: whether the target says anything about `.env`: a None that is stated is a decision, one
            that is not is an omission (PRE-1.3).
        log_file: the service's log, on this host; None where it cannot be read.
        log_command: prints the service's log as it grows, in the place of `log_file`; empty where there is none.
        sources: what is read elsewhere than at the gateway.
        service: how the service is stopped and started; None where it cannot be, so that no `.env` change is possible.
        restart: whether an activation takes effect only after a restart of the service (deviation 7).
        startup_s: how long the service may take to be healthy after a restart.
        providers: provider -> where its restart and start-up differ.
        stale_for_s: how long a read may still say what was before a write, as behind a cache or a replica.
        activate_with: provider -> the call that activates it, where the documented one refuses (deviation 13).
        chat_with: the call that takes the place of chat/completions; its answer may be server-sent events.
        routing: how requests are split by weights; None where the gateway cannot.
        limit_types: ``cost`` and ``rate`` -> the gateway's word for it (deviation 20).
        activation_rewrites: configuration keys that an activation may rewrite besides the active provider and model.
        provider_key: the configuration key that holds the active provider.
        model_key: the configuration key that holds the active model.
        reported_as: provider -> name under which the gateway reports it active, where they differ.
        fallbacks_are_normal: whether an answer by another provider or model counts as a fallback, a share with a limit,
            and is no proof that the change is not in effect (MON-5).
        prove_way_back: whether APP-0.2 activates the current provider once more before the change.
        latency_bound_ms: a connection test or completion slower than this fails its check.
        windows: when changes are allowed; empty means at any time.
        freezes: when changes are not allowed, window or not; a rollback always is.
        time_zone: IANA name in which `windows` and `freezes` are meant.
        notify: who is notified of a change here, unless the scenario states others, and of whatever needs an operator
            in any case: ``log``, or the name of an environment variable with an Apprise URL.
    """

    name: str
    environment: str
    url: str | None = None
    kind: str = field(default=DEFAULT_KIND, metadata={NOT_RECORDED: DEFAULT_KIND})
    settings: Mapping[str, Any] = field(default_factory=dict, metadata={NOT_RECORDED: {}})
    token_env: str | None = None
    user: str = "rollout"
    tls: Tls = field(default_factory=Tls)
    timeouts: Timeouts = field(default_factory=Timeouts)
    paths: Mapping[str, str] = field(default_factory=dict)
    staging: str | None = field(default=None, metadata={RECORDED_AS: "twin"})
    staging_token_env: str | None = field(default=None, metadata={RECORDED_AS: "twin_token_env"})
    safe: ProviderChange | None = None
    env_file: Path | None = None
    env_file_stated: bool = False
    log_file: Path | None = None
    log_command: tuple[str, ...] = ()
    sources: Sources = field(default_factory=Sources)
    service: Service | None = None
    restart: bool = False
    startup_s: float = 15.0
    providers: Mapping[str, ProviderRestart] = field(default_factory=dict)
    stale_for_s: float = 0.0
    activate_with: Mapping[str, OtherCall] = field(default_factory=dict)
    chat_with: OtherCall | None = None
    routing: Routing | None = None
    limit_types: Mapping[str, str] = field(default_factory=lambda: {"cost": "cost", "rate": "rate"})
    activation_rewrites: tuple[str, ...] = ()
    provider_key: str = "ACTIVE_PROVIDER"
    model_key: str = "LLM_MODEL_NAME"
    reported_as: Mapping[str, str] = field(default_factory=dict)
    fallbacks_are_normal: bool = False
    prove_way_back: bool = True
    latency_bound_ms: float = 5000.0
    windows: tuple[ChangeWindow, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    time_zone: str = "UTC"
    notify: tuple[str, ...] = ()

    def restarts(self, provider: str) -> bool:
        """Return whether an activation of `provider`, in any capitals, takes effect only after a restart."""
        own = self._of(provider).restart
        if own is not None:
            return own
        safe = self.safe is not None and self.safe.restart and self.safe.provider.casefold() == provider.casefold()
        return self.restart or safe

    def startup_s_of(self, provider: str | None) -> float:
        """Return how long the service may take to be healthy after a restart for `provider`, or for anything else."""
        own = None if provider is None else self._of(provider).startup_s
        return self.startup_s if own is None else own

    def _of(self, provider: str) -> ProviderRestart:
        folded = provider.casefold()
        return next((found for name, found in self.providers.items() if name.casefold() == folded), _LIKE_THE_OTHERS)
