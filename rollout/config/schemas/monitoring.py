"""The `monitor:` of a scenario or a target: its window, limits and synthetic requests."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, model_validator

from rollout.config import probes as probe_rules
from rollout.config import quantities
from rollout.config.schemas.signals import SignalsSchema, SlicesSchema
from rollout.config.schemas.values import Count, JudgedShare, Milliseconds, OnNoData, Pace, Prose, Regex, Seconds, Share
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema


class ExpectSchema(Schema):
    """What the answer to a probe must be."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
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


class ProbeSchema(CompleteSchema):
    """``{prompt: …, expect: {…}}``: a synthetic request (MON-5)."""

    example = "{prompt: say pong, expect: {contains: pong}}"
    required_keys = ("prompt",)

    prompt: Annotated[str, BeforeValidator(validators.prose)] = ""
    expect: Annotated[ExpectSchema | None, BeforeValidator(probe_rules.expectation)] = None
    max_tokens: Annotated[int | None, BeforeValidator(quantities.tokens)] = None


class NoDataSchema(Schema):
    """What happens when a source is unavailable (MON-6), by source.

    Attributes:
        status: the provider's status.
        metrics: requests, failures and latencies.
        alerts: the alerts.
        fallbacks: requests that another provider answered.
        log: the service's log.
        synthetic: the suite's own requests.
        operator: what operators ask for: an abort, a hold.
        signals: the expressions of PromQL under `signals`; as `metrics` where it is left out.
    """

    example = "{metrics: roll_back}"

    status: OnNoData = None
    metrics: OnNoData = None
    alerts: OnNoData = None
    fallbacks: OnNoData = None
    log: OnNoData = None
    synthetic: OnNoData = None
    operator: OnNoData = None
    signals: OnNoData = None


class SyntheticPowerSchema(CompleteSchema):
    """``{power: 0.9}``: as many of the suite's own requests as show twice the limit of failed requests (MON-2)."""

    example = "{power: 0.9}"
    required_keys = ("power",)

    power: Annotated[float, BeforeValidator(quantities.power)] = 0.0
    usd_at_most: Annotated[float | None, BeforeValidator(quantities.price)] = None


class MonitorSchema(Schema):
    """The bake time, in a scenario or as a target's defaults.

    Attributes:
        error_rate: the largest share of failed requests that is accepted (MON-2).
        latency_factor: the largest P95 that is accepted, times the baseline's (MON-3).
        dark_share: a larger share of failed polls of one source in total is MON-6.
        on_no_data: by source, or one word for all: `extend` (notify, give the source as long again and extend the
            window by that, once) or `roll_back` (at once), when it is unavailable (MON-6).
        probes: the synthetic requests, sent in turn, in the place of `prompt` and `expect`; `off` sends none.
    """

    example = "window: 30m"

    window_s: Seconds = None
    metrics_every_s: Pace = None
    alerts_every_s: Pace = None
    log_every_s: Pace = None
    synthetic_every_s: Pace = None
    way_back_every_s: Pace = None
    short_span_s: Seconds = None
    error_rate: JudgedShare = None
    latency_factor: Annotated[float | None, BeforeValidator(quantities.factor)] = None
    p95_ms: Milliseconds = None
    error_rate_rise: Annotated[float | None, BeforeValidator(quantities.factor)] = None
    fallback_share: JudgedShare = None
    unexpected_share: JudgedShare = None
    min_requests: Count = None
    min_samples: Count = None
    dark_in_a_row: Count = None
    dark_share: Share = None
    on_no_data: Annotated[NoDataSchema | None, BeforeValidator(quantities.on_no_data)] = None
    confirm_after_s: Seconds = None
    stable_polls: Count = None
    alerts: Annotated[str | None, BeforeValidator(validators.choice("any", "related"))] = None
    prompt: Prose = None
    expect: Prose = None
    error_pattern: Regex = None
    probes: Annotated[list[ProbeSchema] | None, BeforeValidator(probe_rules.in_turn)] = None
    synthetic_at_most: Count = None
    synthetic: SyntheticPowerSchema | None = None
    baseline_requests: Count = None
    signals: Annotated[SignalsSchema | None, BeforeValidator(validators.require)] = None
    slices: Annotated[SlicesSchema | None, BeforeValidator(validators.require)] = None
