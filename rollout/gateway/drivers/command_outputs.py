"""What the target's own commands print (docs/COMMANDS.md), read strictly: a key that is not known is a mistake."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from rollout.gateway.documents import InvalidResponse
from rollout.gateway.responses import Alert, Amount, AuditEntry, Count

_Name = Annotated[str, Field(min_length=1)]
_SHOWN = 3

Printed = TypeVar("Printed", bound="Output")


class Output(BaseModel):
    """The base of what a command prints."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ActiveOutput(Output):
    """What is in effect in the running service."""

    provider: _Name
    model: _Name


class ProviderOutput(Output):
    """One provider; `status` is there where the target's `offers` names it."""

    name: _Name
    models: tuple[str, ...] = ()
    status: Literal["connected", "degraded", "offline", "unknown"] | None = None
    message: str | None = None


class CountersOutput(Output):
    """The requests and failures of a provider since the service was started."""

    requests: Count
    failures: Count

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.failures > self.requests:
            raise ValueError("has more failures than requests")
        return self


class SnapshotOutput(Output):
    """What the snapshot prints; `counters`, `alerts` and `audit` where the target's `offers` names them."""

    active: ActiveOutput
    providers: Annotated[tuple[ProviderOutput, ...], Field(min_length=1)]
    config: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    counters: dict[str, CountersOutput] | None = None
    alerts: tuple[Alert, ...] | None = None
    audit: tuple[AuditEntry, ...] | None = None

    @model_validator(mode="after")
    def _names_each_provider_once(self) -> Self:
        names = [each.name.casefold() for each in self.providers]
        if len(set(names)) != len(names):
            raise ValueError("names a provider twice; capitals do not distinguish them")
        return self


class CompletionOutput(Output):
    """What `ask` prints: the text, and the provider and model that gave it."""

    content: str
    provider: _Name
    model: _Name
    total_tokens: Count = 0
    first_token_ms: Amount | None = None


def parse_output(model: type[Printed], printed: bytes) -> Printed:
    """Return what a command printed.

    Raises:
        InvalidResponse: it is not of this shape; the message holds none of its values.
    """
    try:
        return model.model_validate_json(printed)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_input=False)
    shown = "; ".join(map(_describe, errors[:_SHOWN]))
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    raise InvalidResponse(f"what it printed is not of the documented shape: {shown}{more} (docs/COMMANDS.md)")


def _describe(error: ErrorDetails) -> str:
    where = ".".join(map(str, error["loc"])) or "the object"
    message: str = error["msg"]
    return f"{where}: {message[:1].lower()}{message[1:]}"
