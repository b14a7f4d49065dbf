"""What the files may say: pydantic at the border, every key with the reader of its value (`rollout.config.validators`).

Every key is optional here: what a file must say is judged with the rest, so that all mistakes show at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rollout.config import commands, env_entries, promql, quantities, urls, validators
from rollout.config import probes as probe_rules
from rollout.core.policy import EXCEPT_RESTART, EXECUTE, KEEP, KINDS, WAIT
from rollout.core.scenario import ChangeClass

Text = Annotated[str | None, BeforeValidator(validators.text)]
Prose = Annotated[str | None, BeforeValidator(validators.prose)]
Seconds = Annotated[float | None, BeforeValidator(quantities.seconds)]
Startup = Annotated[float | None, BeforeValidator(quantities.startup)]
Pace = Annotated[float | None, BeforeValidator(quantities.pace)]
Milliseconds = Annotated[float | None, BeforeValidator(quantities.milliseconds)]
Share = Annotated[float | None, BeforeValidator(quantities.share)]
Factor = Annotated[float | None, BeforeValidator(quantities.factor)]
Count = Annotated[int | None, BeforeValidator(quantities.whole(1))]
Flag = Annotated[bool | None, BeforeValidator(validators.flag)]
Regex = Annotated[str | None, BeforeValidator(validators.pattern)]
Variable = Annotated[str | None, BeforeValidator(validators.variable)]
File = Annotated[Path | None, BeforeValidator(validators.file)]
Url = Annotated[str | None, BeforeValidator(urls.base_url)]
CallPath = Annotated[str | None, BeforeValidator(validators.path)]
ProviderPath = Annotated[str | None, BeforeValidator(validators.provider_path)]
Texts = Annotated[list[Annotated[str, BeforeValidator(validators.text)]] | None, BeforeValidator(validators.items)]
Channels = Annotated[
    list[Annotated[str, BeforeValidator(validators.channel)]] | None, BeforeValidator(validators.items)
]
Variables = Annotated[
    list[Annotated[str, BeforeValidator(validators.variable)]] | None, BeforeValidator(validators.items)
]
Patterns = Annotated[
    list[Annotated[str, BeforeValidator(validators.secret_pattern)]] | None, BeforeValidator(validators.items)
]
Clauses = Annotated[
    list[Annotated[str, BeforeValidator(validators.dispensable)]] | None, BeforeValidator(validators.items)
]
Command = Annotated[list[str] | None, BeforeValidator(commands.command)]
Kind = Annotated[str, BeforeValidator(validators.choice(*KINDS))]
Counter = Annotated[str | None, BeforeValidator(promql.counter)]


LONGEST_FREEZE = timedelta(days=366)


class Schema(BaseModel):
    """A mapping in a file.

    Attributes:
        example: what one looks like.
        needed: keys that it must have; who judges this says so at once for all of them (`lacking`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    example: ClassVar[str] = "key: value"
    needed: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_a_mapping(cls, data: Any) -> Any:
        return validators.mapping(cls.example)(data)

    def explicit_values(self) -> dict[str, Any]:
        """Return what the file says, by key."""
        return {key: getattr(self, key) for key in self.model_fields_set}

    @classmethod
    def missing_keys(cls, keys: Collection[str]) -> str | None:
        """Say which of the keys that are needed are not among `keys`; None if all are."""
        missing = [key for key in cls.needed if key not in keys]
        return f"says no {' and no '.join(missing)}; write it all, such as `{cls.example}`" if missing else None


class WholeForm(Schema):
    """A mapping that is no use without what is needed; the defaults only let all that is missing be named at once."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if words := self.missing_keys(self.model_fields_set):
            raise ValueError(words)
        return self


class ActivationForm(Schema):
    """``{activate: openai, model: gpt-4o}``; without a model the gateway would reset it (docs/GATEWAY_API.md, 8)."""

    example = "{activate: openai, model: gpt-4o}"
    needed = ("activate", "model")

    activate: Annotated[str, BeforeValidator(validators.provider)] = ""
    model: Annotated[str, BeforeValidator(validators.text)] = ""
    restart: Flag = None
    startup: Startup = None


class Activation(ActivationForm, WholeForm):
    """An activation elsewhere than in a scenario's changes."""


class SafeForm(WholeForm):
    """Where an emergency goes; how long a restart takes stands under the target's `providers:`."""

    example = ActivationForm.example
    needed = ActivationForm.needed

    activate: Annotated[str, BeforeValidator(validators.provider)] = ""
    model: Annotated[str, BeforeValidator(validators.text)] = ""
    restart: Flag = None


class ImpactForm(WholeForm):
    """``{risk: …, affects: …, cost: …}`` (PRE-2.3)."""

    needed = ("risk", "affects", "cost")
    example = "{risk: low, affects: all chat users, cost: +10 USD a day}"

    risk: Annotated[str, BeforeValidator(validators.prose)] = ""
    affects: Annotated[str, BeforeValidator(validators.prose)] = ""
    cost: Annotated[str, BeforeValidator(validators.prose)] = ""
    usd_a_day: Annotated[float | None, BeforeValidator(quantities.price)] = None


class OperatorForm(WholeForm):
    """``{name: …, contact: …}`` (PRE-4.3)."""

    needed = ("name", "contact")
    example = "{name: carol, contact: carol@example.com}"

    name: Annotated[str, BeforeValidator(validators.text)] = ""
    contact: Annotated[str, BeforeValidator(validators.text)] = ""


class ExpectForm(Schema):
    """What the answer to a probe must be."""

    example = "{contains: pong}"

    contains: Prose = None
    matches: Regex = None
    json_schema: Annotated[dict[str, Any] | None, BeforeValidator(probe_rules.json_schema)] = None
    max_length: Count = None

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"expects nothing; remove it, or write one such as `{self.example}`")
        return self


class ProbeForm(WholeForm):
    """``{prompt: …, expect: {…}}``: a synthetic request (MON-5)."""

    example = "{prompt: say pong, expect: {contains: pong}}"
    needed = ("prompt",)

    prompt: Annotated[str, BeforeValidator(validators.prose)] = ""
    expect: Annotated[ExpectForm | None, BeforeValidator(probe_rules.expectation)] = None
    max_tokens: Annotated[int | None, BeforeValidator(quantities.tokens)] = None


OnNoData = Annotated[str | None, BeforeValidator(validators.choice("extend", "roll_back"))]


class NoDataForm(Schema):
    """What happens when a source is dark (MON-6), by source."""

    example = "{metrics: roll_back}"

    status: OnNoData = None
    metrics: OnNoData = None
    alerts: OnNoData = None
    fallbacks: OnNoData = None
    log: OnNoData = None
    synthetic: OnNoData = None
    operator: OnNoData = None


class MonitorForm(Schema):
    """The bake time, in a scenario or as a target's defaults."""

    example = "window: 30m"

    window: Seconds = None
    metrics_every: Pace = None
    alerts_every: Pace = None
    log_every: Pace = None
    synthetic_every: Pace = None
    way_back_every: Pace = None
    short_span: Seconds = None
    error_rate: Share = None
    latency_factor: Factor = None
    p95: Milliseconds = None
    min_requests: Count = None
    min_samples: Count = None
    dark_in_a_row: Count = None
    dark_share: Share = None
    on_no_data: Annotated[NoDataForm | None, BeforeValidator(quantities.on_no_data)] = None
    confirm_after: Seconds = None
    stable_polls: Count = None
    alerts: Annotated[str | None, BeforeValidator(validators.choice("any", "related"))] = None
    prompt: Prose = None
    expect: Prose = None
    error_pattern: Regex = None
    probes: Annotated[list[ProbeForm] | None, BeforeValidator(probe_rules.in_turn)] = None
    synthetic_at_most: Count = None


class StageForm(WholeForm):
    """``{share: 10%, for: 1h}`` (CAN-2)."""

    needed = ("share", "lasts")
    example = "{share: 10%, for: 1h}"

    share: Annotated[float, BeforeValidator(quantities.portion)] = 0.0
    lasts: Annotated[float, BeforeValidator(quantities.seconds), Field(alias="for")] = 0.0

    @classmethod
    def missing_keys(cls, keys: Collection[str]) -> str | None:
        """Say what is missing in the words of the file."""
        words = super().missing_keys(keys)
        return words.replace("no lasts", "no for") if words else None


class StrategyForm(Schema):
    """``canary``, or a mapping that says how (CAN)."""

    example = "canary"

    stages: Annotated[list[StageForm] | None, BeforeValidator(validators.items)] = None
    stabilise: Seconds = None
    single_request: Annotated[str | bool | None, BeforeValidator(validators.true_or("only"))] = None
    without_weights: Annotated[str | None, BeforeValidator(validators.choice("refuse", "single_request"))] = None


class WaiverForm(WholeForm):
    """``{clause: …, reason: …, granted_by: …, until: …}``: one clause may fail."""

    example = "{clause: PRE-4.4, reason: the vendor ends the old model tonight, granted_by: dave, until: 2026-12-01}"
    needed = ("clause", "reason", "granted_by", "until")

    clause: Annotated[str, BeforeValidator(validators.waivable)] = ""
    reason: Annotated[str, BeforeValidator(validators.text)] = ""
    granted_by: Annotated[str, BeforeValidator(validators.text)] = ""
    until: Annotated[datetime, BeforeValidator(quantities.moment)] = datetime.max  # noqa: DTZ901 - wall clock


class ScenarioForm(Schema):
    """One scenario file."""

    example = "change: {activate: openai, model: gpt-4o}"

    name: Annotated[str | None, BeforeValidator(validators.name)] = None
    target: Annotated[str | None, BeforeValidator(validators.name)] = None
    ticket: Text = None
    change_class: Annotated[
        ChangeClass | None, BeforeValidator(validators.choice(*ChangeClass)), Field(alias="class")
    ] = None
    author: Text = None
    approved_by: Texts = None
    impact: Annotated[ImpactForm | None, BeforeValidator(validators.require)] = None
    operator: Annotated[OperatorForm | None, BeforeValidator(validators.contact)] = None
    notify: Channels = None
    fixes: Texts = None
    waivers: Annotated[list[WaiverForm] | None, BeforeValidator(validators.items)] = None
    rollback_to: Annotated[Activation | None, BeforeValidator(validators.require)] = None
    change: Annotated[list[Any] | None, BeforeValidator(validators.items)] = None
    strategy: Annotated[StrategyForm | None, BeforeValidator(validators.strategy)] = None
    monitor: Annotated[MonitorForm | None, BeforeValidator(validators.require)] = None
    sandbox: Annotated[dict[str, Any] | None, BeforeValidator(validators.mapping("users_per_s: 20"))] = None
    usd_per_1k_tokens: Annotated[
        dict[
            Annotated[str, BeforeValidator(validators.provider_and_model)],
            Annotated[float, BeforeValidator(quantities.price)],
        ]
        | None,
        BeforeValidator(validators.mapping("openai:gpt-4o: 0.005")),
    ] = None


class TlsForm(Schema):
    """How a TLS connection is made."""

    example = "ca_file: /etc/ssl/gateway-ca.pem"

    ca_file: File = None
    client_cert: File = None
    client_key: File = None

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Self:
        if self.client_key and not self.client_cert:
            raise ValueError("client_key stands without a client_cert; add the certificate")
        return self


class PrometheusForm(WholeForm):
    """Where users' requests, failures and latencies are read instead of from the gateway."""

    example = "{url: http://127.0.0.1:9090, requests: 'llm_requests_total{…}', errors: 'llm_errors_total{…}'}"
    needed = ("url", "requests", "errors")

    url: Url = None
    requests: Counter = None
    errors: Counter = None
    latency_seconds_bucket: Counter = None
    up: Counter = None
    token_env: Variable = None
    tls: Annotated[TlsForm | None, BeforeValidator(validators.require)] = None


class AlertmanagerForm(WholeForm):
    """Where critical alerts are read instead of from the gateway."""

    example = "{url: http://127.0.0.1:9093, match: ['severity=\"critical\"']}"
    needed = ("url",)

    url: Url = None
    match: Annotated[
        list[Annotated[str, BeforeValidator(promql.matcher)]] | None, BeforeValidator(validators.items)
    ] = None
    heartbeat: Annotated[str | None, BeforeValidator(promql.matcher)] = None
    token_env: Variable = None
    tls: Annotated[TlsForm | None, BeforeValidator(validators.require)] = None

    @model_validator(mode="after")
    def _says_what_is_critical(self) -> Self:
        if self.match == []:
            raise ValueError("match is empty, so every alert would be critical; write what is, or leave match out")
        return self


class SourcesForm(Schema):
    """What the window reads elsewhere than at the gateway."""

    example = "prometheus: {url: …, requests: …, errors: …}"

    prometheus: Annotated[PrometheusForm | None, BeforeValidator(validators.require)] = None
    alertmanager: Annotated[AlertmanagerForm | None, BeforeValidator(validators.require)] = None


class TimeoutsForm(Schema):
    """Outer deadlines of calls."""

    example = "activate: 30s"

    read: Pace = None
    chat: Pace = None
    activate: Pace = None


class PathsForm(Schema):
    """Call -> path, where a gateway deviates; the keys are those of `rollout.gateway.endpoints`, a floor above."""

    example = "health: /healthz"

    health: CallPath = None
    runtime_config: CallPath = None
    providers: CallPath = None
    status: ProviderPath = None
    test_connection: ProviderPath = None
    preflight: ProviderPath = None
    activate: ProviderPath = None
    metrics: ProviderPath = None
    provider_health: ProviderPath = None
    alerts: CallPath = None
    governance: CallPath = None
    limits: CallPath = None
    chat: CallPath = None
    audit: CallPath = None
    system_status: CallPath = None


class WindowForm(Schema):
    """A weekly change window (PRE-4.1)."""

    example = '{days: mon-fri, from: "22:00", to: "06:00"}'

    days: Annotated[frozenset[int] | None, BeforeValidator(quantities.days)] = None
    opens: Annotated[time, BeforeValidator(quantities.time_of_day), Field(alias="from")] = time.min
    closes: Annotated[time, BeforeValidator(quantities.time_of_day), Field(alias="to")] = time.min

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not {"opens", "closes"} <= self.model_fields_set:
            raise ValueError(f"from and to are both needed; write `{self.example}`")
        if self.opens == self.closes:
            raise ValueError('never opens, because from and to are the same; for a whole day write to: "24:00"')
        return self


class FreezeForm(WholeForm):
    """A stretch of time without changes (PRE-4.1)."""

    example = "{from: 2026-12-18, to: 2027-01-04, reason: year end}"
    needed = ("begins", "ends", "reason")

    begins: Annotated[datetime, BeforeValidator(quantities.moment), Field(alias="from")] = datetime.min  # noqa: DTZ901 - wall clock
    ends: Annotated[datetime, BeforeValidator(quantities.moment), Field(alias="to")] = datetime.max  # noqa: DTZ901 - wall clock
    reason: Text = None

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError(f"ends before it begins; write `{self.example}`")
        # What was refused has no beginning, or no end, of its own.
        if {"begins", "ends"} <= self.model_fields_set and self.ends - self.begins > LONGEST_FREEZE:
            raise ValueError(
                "lasts for more than a year, so no window would ever open; name its end, and renew it then"
            )
        return self


class ServiceForm(WholeForm):
    """How the service is stopped and started, and its `.env` file read and written elsewhere (APP-2)."""

    example = "{stop: [make, api-stop], start: [make, api-start]}"
    needed = ("stop", "start")

    stop: Command = None
    start: Command = None
    read: Command = None
    write: Command = None
    timeout: Seconds = None

    @model_validator(mode="after")
    def _reads_where_it_writes(self) -> Self:
        for one, other in (("read", "write"), ("write", "read")):
            if getattr(self, one) and not getattr(self, other):
                raise ValueError(
                    f"{one} stands without a {other}; a file that is elsewhere needs both: a `read` command that "
                    "prints it, and a `write` command that replaces it by its standard input"
                )
        return self


class ProviderForm(Schema):
    """Where one provider's restart and start-up differ from the target's."""

    example = "{restart: true, startup: 60s}"

    restart: Flag = None
    startup: Startup = None

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"says nothing; remove it, or write one such as `{self.example}`")
        return self


class OtherActivation(WholeForm):
    """The call that activates one provider; without its model the gateway would reset it (docs/GATEWAY_API.md, 8)."""

    example = '{path: /api/v1/system/llm-servers/active, body: {server_name: "{provider}", model: "{model}"}}'
    needed = ("path", "body")

    path: Annotated[str | None, BeforeValidator(commands.path("provider", "model"))] = None
    body: Annotated[
        dict[str, Annotated[str, BeforeValidator(commands.template("provider", "model"))]] | None,
        BeforeValidator(validators.mapping('{server_name: "{provider}", model: "{model}"}')),
    ] = None

    @model_validator(mode="after")
    def _sends_the_model(self) -> Self:
        if self.path and self.body is not None and not _mentions("{model}", self.path, self.body):
            raise ValueError(
                "sends no model, which the gateway would reset; put {model} in its body, "
                'such as `{server_name: "{provider}", model: "{model}"}`'
            )
        return self


class OtherChat(WholeForm):
    """The call in the place of chat/completions."""

    example = '{path: /api/v1/llm/simple/stream, body: {content: "{prompt}"}}'
    needed = ("path", "body")

    path: CallPath = None
    body: Annotated[
        dict[str, Annotated[str, BeforeValidator(commands.template("prompt"))]] | None,
        BeforeValidator(validators.mapping('{content: "{prompt}"}')),
    ] = None

    @model_validator(mode="after")
    def _sends_the_prompt(self) -> Self:
        if self.body is not None and not _mentions("{prompt}", "", self.body):
            raise ValueError('sends no prompt; put {prompt} in its body, such as `{content: "{prompt}"}`')
        return self


class SetWeights(Schema):
    """The call that sets the weights."""

    example = '{method: PUT, path: /api/v1/routing/weights, body: {weights: "{weights}"}}'

    method: Annotated[str | None, BeforeValidator(validators.choice("PUT", "POST", "PATCH"))] = None
    path: CallPath = None
    body: Annotated[
        dict[str, Annotated[str, BeforeValidator(commands.template("weights"))]] | None,
        BeforeValidator(validators.mapping('{weights: "{weights}"}')),
    ] = None

    @model_validator(mode="after")
    def _sends_the_weights(self) -> Self:
        if self.body is not None and "{weights}" not in self.body.values():
            raise ValueError('sends no weights; let one value of its body be just "{weights}"')
        return self


class ReadWeights(Schema):
    """The call that reads the weights, and where they are in its answer."""

    example = "{path: /api/v1/routing/weights, at: weights}"

    path: CallPath = None
    at: Text = None


class RoutingForm(Schema):
    """How the gateway splits requests by weights (CAN-2); what it does not say is as the embedded gateway has it."""

    example = "{set: {path: /api/v1/routing/weights, …}, read: {path: …, at: weights}}"

    put: Annotated[SetWeights | None, BeforeValidator(validators.require), Field(alias="set")] = None
    read: Annotated[ReadWeights | None, BeforeValidator(validators.require)] = None
    destination: Annotated[str | None, BeforeValidator(commands.destination)] = None
    unit: Annotated[str | None, BeforeValidator(validators.choice("fraction", "percent"))] = None


class LimitTypesForm(Schema):
    """The gateway's words for the two kinds of governance limits (docs/GATEWAY_API.md, 20)."""

    example = "{cost: per_provider, rate: rate}"

    cost: Annotated[str | None, BeforeValidator(validators.name)] = None
    rate: Annotated[str | None, BeforeValidator(validators.name)] = None


class TargetForm(Schema):
    """One target of ``targets.yaml``."""

    example = "{url: https://gateway.example.com, environment: production}"

    url: Url = None
    embedded: Flag = None
    environment: Annotated[str | None, BeforeValidator(validators.name)] = None
    token_env: Variable = None
    user: Annotated[str | None, BeforeValidator(validators.header)] = None
    tls: Annotated[TlsForm | None, BeforeValidator(validators.require)] = None
    timeouts: Annotated[TimeoutsForm | None, BeforeValidator(validators.require)] = None
    paths: Annotated[PathsForm | None, BeforeValidator(validators.require)] = None
    twin: Text = None
    twin_token_env: Variable = None
    safe: Annotated[SafeForm | None, BeforeValidator(validators.require)] = None
    env_file: Annotated[Path | None, BeforeValidator(validators.file_or_none)] = None
    log_file: Annotated[Path | None, BeforeValidator(validators.file_or_none)] = None
    log_command: Command = None
    sources: Annotated[SourcesForm | None, BeforeValidator(validators.require)] = None
    service: Annotated[ServiceForm | None, BeforeValidator(env_entries.by_key(ServiceForm.example))] = None
    restart: Flag = None
    startup: Startup = None
    providers: Annotated[
        dict[Annotated[str, BeforeValidator(validators.provider)], ProviderForm] | None,
        BeforeValidator(validators.mapping("ollama: {restart: true, startup: 60s}")),
    ] = None
    stale_for: Annotated[float | None, BeforeValidator(quantities.staleness)] = None
    activate_with: Annotated[
        dict[Annotated[str, BeforeValidator(validators.provider)], OtherActivation] | None,
        BeforeValidator(validators.mapping("ollama: {path: …, body: {…}}")),
    ] = None
    chat_with: Annotated[OtherChat | None, BeforeValidator(validators.require)] = None
    routing: Annotated[RoutingForm | None, BeforeValidator(validators.require)] = None
    limit_types: Annotated[LimitTypesForm | None, BeforeValidator(validators.require)] = None
    activation_rewrites: Variables = None
    provider_key: Variable = None
    model_key: Variable = None
    reported_as: Annotated[
        dict[str, Annotated[str, BeforeValidator(validators.provider)]] | None,
        BeforeValidator(validators.mapping("google: google-gemini")),
    ] = None
    prove_way_back: Flag = None
    latency_bound: Milliseconds = None
    windows: Annotated[list[WindowForm] | None, BeforeValidator(validators.items)] = None
    freezes: Annotated[list[FreezeForm] | None, BeforeValidator(validators.items)] = None
    time_zone: Annotated[str | None, BeforeValidator(quantities.time_zone)] = None
    monitor: Annotated[MonitorForm | None, BeforeValidator(validators.require)] = None
    notify: Channels = None


class StandardForm(WholeForm):
    """Changes that a policy approves beforehand."""

    example = "{kind: provider, providers: [openai], models: [gpt-4o], risk: low}"
    needed = ("kind",)

    kind: Kind = ""
    providers: Annotated[
        list[Annotated[str, BeforeValidator(validators.provider)]] | None, BeforeValidator(validators.items)
    ] = None
    models: Texts = None
    keys: Variables = None
    risk: Annotated[str | None, BeforeValidator(validators.choice("low", "medium"))] = None

    @model_validator(mode="after")
    def _speaks_of_its_kind(self) -> Self:
        known = {"provider": {"providers", "models"}, "environment": {"keys"}, "limits": {"providers"}}
        odd = self.model_fields_set & {"providers", "models", "keys"} - known.get(self.kind, set())
        if self.kind and odd:
            raise ValueError(f"{' and '.join(sorted(odd))} cannot narrow changes of kind {self.kind}; remove it")
        if empty := [key for key in ("providers", "models", "keys") if getattr(self, key) == []]:
            raise ValueError(f"{empty[0]} is empty, so nothing would fit; write some, or leave it out for any")
        return self


class PolicyForm(Schema):
    """What one environment of ``policy.yaml`` demands."""

    example = "{window_at_least: 30m, approvals_at_least: 1}"

    window_at_least: Seconds = None
    not_demanded: Clauses = None
    ticket_pattern: Regex = None
    ticket_url: Annotated[str | None, BeforeValidator(validators.ticket_url)] = None
    ticket_lookup: Annotated[str | None, BeforeValidator(validators.ticket_url)] = None
    ticket_token_env: Variable = None
    approvals_at_least: Annotated[int | None, BeforeValidator(quantities.whole(0))] = None
    review: Annotated[str | None, BeforeValidator(validators.choice("named", "recorded", "signed"))] = None
    allowed_signers: Text = None
    approval_max_age: Annotated[float | None, BeforeValidator(quantities.seconds_or_none)] = None
    operator_ack_max_age: Annotated[float | None, BeforeValidator(quantities.seconds_or_none)] = None
    pull_request: Annotated[str | None, BeforeValidator(validators.choice("accept", "ignore"))] = None
    limits_for_good: Annotated[str | None, BeforeValidator(validators.choice("refuse", "accept"))] = None
    precheck_max_age: Seconds = None
    outside_window: Annotated[str | None, BeforeValidator(validators.choice("warn", "block"))] = None
    hold_at_most: Seconds = None
    canary_at_high_risk: Flag = None
    confirm_within: Seconds = None
    review_after: Seconds = None
    review_within: Seconds = None
    standard: Annotated[list[StandardForm] | None, BeforeValidator(validators.items)] = None
    retrospective_within: Seconds = None
    channels: Channels = None
    allowed_changes: Annotated[list[Kind] | None, BeforeValidator(validators.items)] = None
    required_sources: Annotated[
        list[Annotated[str, BeforeValidator(validators.choice("prometheus", "alertmanager", "log"))]] | None,
        BeforeValidator(validators.items),
    ] = None
    on_no_data: OnNoData = None
    redact: Patterns = None
    prove_way_back: Annotated[str | None, BeforeValidator(validators.choice(EXECUTE, EXCEPT_RESTART))] = None
    on_missing_evidence: Annotated[str | None, BeforeValidator(validators.choice(WAIT, KEEP))] = None


def _mentions(placeholder: str, path: str, body: Mapping[str, str]) -> bool:
    return any(placeholder in text for text in (path, *body.values()))
