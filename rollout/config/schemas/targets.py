"""One target of ``targets.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, model_validator

from rollout.config import env_entries, quantities
from rollout.config.schemas.change_windows import ChangeWindowSchema, FreezeSchema
from rollout.config.schemas.changes import SafeProviderSchema
from rollout.config.schemas.monitoring import MonitorSchema
from rollout.config.schemas.sources import SourcesSchema, TlsSchema
from rollout.config.schemas.values import Channels, Command, Flag, Milliseconds, Pace, Seconds, Startup, Url
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.deviations import (
    ActivationCalls,
    ChatCall,
    DeviationsSchema,
    LimitTypes,
    Paths,
    ReportedNames,
    WeightRouting,
)
from rollout.core.schemas.values import Text, Variable, Variables


class TimeoutsSchema(Schema):
    """Outer deadlines of calls."""

    example = "activate: 30s"

    read_s: Pace = None
    chat_s: Pace = None
    activate_s: Pace = None


class ServiceSchema(CompleteSchema):
    """How the service is stopped and started, and its `.env` file read and written elsewhere (APP-2).

    Attributes:
        read: prints the `.env` file, where it is not on this host.
        write: replaces the `.env` file by its standard input, where it is not on this host.
    """

    example = "{stop: [make, api-stop], start: [make, api-start]}"
    required_keys = ("stop", "start")

    stop: Command = None
    start: Command = None
    read: Command = None
    write: Command = None
    timeout_s: Seconds = None

    @model_validator(mode="after")
    def _reads_where_it_writes(self) -> Self:
        for one, other in (("read", "write"), ("write", "read")):
            if getattr(self, one) and not getattr(self, other):
                raise ValueError(
                    f"{one} stands without a {other}; a file that is elsewhere needs both: a `read` command that "
                    "prints it, and a `write` command that replaces it by its standard input"
                )
        return self


class ProviderSchema(Schema):
    """Where one provider's restart and start-up differ from the target's."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    example = "{restart: true, startup: 60s}"

    restart: Flag = None
    startup_s: Startup = None

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"says nothing; remove it, or write one such as `{self.example}`")
        return self


class TargetSchema(Schema):
    """One target of ``targets.yaml``.

    Attributes:
        url: base URL without `/api/v1` and without credentials.
        embedded: whether it is the embedded gateway, which is started on demand and has no `url`.
        environment: the policy that rules here, a name in `policy.yaml`; `production` where it is left out.
        staging: the staging gateway (PRE-3): its base URL, or the name of another target.
        kind: the kind of gateway, which names the driver that speaks to it; `rollout doctor --kinds` lists them.
        settings: the settings of its kind; those of the documented API may stand directly in the target, too.
        safe: the provider and model that an emergency activates.
        env_file: the service's `.env` file, on this host; `none` states that it cannot be reached from here.
        log_file: the service's log, on this host; `none` states that it cannot be read from here.
        log_command: prints the service's log as it grows, in the place of `log_file`.
        monitor: the bake time, for what a scenario leaves out.
    """

    example = "{url: https://gateway.example.com, environment: production}"

    url: Url = None
    embedded: Flag = None
    environment: Annotated[str | None, BeforeValidator(validators.name)] = None
    kind: Annotated[str | None, BeforeValidator(validators.name)] = None
    settings: Annotated[dict[str, Any] | None, BeforeValidator(validators.mapping(DeviationsSchema.example))] = None
    token_env: Variable = None
    user: Annotated[str | None, BeforeValidator(validators.header)] = None
    tls: Annotated[TlsSchema | None, BeforeValidator(validators.require)] = None
    timeouts: Annotated[TimeoutsSchema | None, BeforeValidator(validators.require)] = None
    paths: Paths = None
    staging: Text = None
    staging_token_env: Variable = None
    safe: Annotated[SafeProviderSchema | None, BeforeValidator(validators.require)] = None
    env_file: Annotated[Path | None, BeforeValidator(validators.file_or_none)] = None
    log_file: Annotated[Path | None, BeforeValidator(validators.file_or_none)] = None
    log_command: Command = None
    sources: Annotated[SourcesSchema | None, BeforeValidator(validators.require)] = None
    service: Annotated[ServiceSchema | None, BeforeValidator(env_entries.by_key(ServiceSchema.example))] = None
    restart: Flag = None
    startup_s: Startup = None
    providers: Annotated[
        dict[Annotated[str, BeforeValidator(validators.provider)], ProviderSchema] | None,
        BeforeValidator(validators.mapping("ollama: {restart: true, startup: 60s}")),
    ] = None
    stale_for_s: Annotated[float | None, BeforeValidator(quantities.staleness)] = None
    activate_with: ActivationCalls = None
    chat_with: ChatCall = None
    routing: WeightRouting = None
    limit_types: LimitTypes = None
    activation_rewrites: Variables = None
    provider_key: Variable = None
    model_key: Variable = None
    reported_as: ReportedNames = None
    fallbacks_are_normal: Flag = None
    prove_way_back: Flag = None
    latency_bound_ms: Milliseconds = None
    windows: Annotated[list[ChangeWindowSchema] | None, BeforeValidator(validators.items)] = None
    freezes: Annotated[list[FreezeSchema] | None, BeforeValidator(validators.items)] = None
    time_zone: Annotated[str | None, BeforeValidator(quantities.time_zone)] = None
    monitor: Annotated[MonitorSchema | None, BeforeValidator(validators.require)] = None
    notify: Channels = None
