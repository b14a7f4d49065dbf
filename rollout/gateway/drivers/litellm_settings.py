"""What a target says of a LiteLLM proxy: its file, the name that users ask for, and where that name may lead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rollout.core.key_paths import spell_key

ALIASES = ("router_settings", "model_group_alias")
"""Where a configuration says which deployments an alias leads to."""

Name = Annotated[str, Field(min_length=1, pattern=r"^[^:\s\x00-\x1f]+$")]
"""A public name of the proxy; a colon would end it, because a provider and its model are written as ``name:model``."""


def _require_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("is a relative path, which the watchdog would look for in another folder; write it from / on")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_require_absolute)]


class LiteLLMSettings(BaseModel):
    """The settings of one proxy.

    Attributes:
        config: its configuration, a YAML file on this host.
        group: the name that users ask for, a key of ``router_settings.model_group_alias``; None where `model_name` is
            given.
        model_name: the name that users ask for, a ``model_name`` whose deployments share the requests by
            ``litellm_params.weight``; None where `group` is given.
        providers: with `group`, ``model_name`` of each group of deployments that it may lead to; with `model_name`,
            ``model_info.id`` of each of its deployments -> its ``litellm_params.model``.
        examination: ``paid`` sends one completion to each deployment of a provider that is examined (``GET
            /health?model=``); ``free`` sends none, and then no examination shows whether a provider answers.
        counters: ``prometheus`` where ``litellm_settings.callbacks`` has it; ``none`` where it does not.
        python: the interpreter of the proxy's environment, whose LiteLLM then loads the new configuration before it is
            written; None judges it by what this driver knows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: AbsolutePath
    group: Name | None = None
    model_name: Name | None = None
    providers: Annotated[dict[Name, Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    examination: Literal["free", "paid"] = "free"
    counters: Literal["prometheus", "none"] = "prometheus"
    python: AbsolutePath | None = None

    @model_validator(mode="after")
    def _refuse_circle(self) -> Self:
        if (self.group is None) == (self.model_name is None):
            raise ValueError(
                "name either `group`, an alias that leads to one model_name, or `model_name`, whose deployments share "
                "the requests by weights"
            )
        if self.group in self.providers:
            raise ValueError(
                f"{self.group} is `group` and among `providers`: an alias cannot lead to itself; name the deployments' "
                "own model_name there"
            )
        return self

    @property
    def asked_for(self) -> str:
        """The name that users ask for."""
        return self.group or self.model_name or ""

    @property
    def alias_key(self) -> str:
        """The configuration key that an activation of an alias writes: ``router_settings.model_group_alias.chat``."""
        return spell_key((*ALIASES, self.asked_for))


def examination_of(settings: LiteLLMSettings, provider: str) -> str:
    """Return the path of the call by which the proxy sends a provider's deployments one completion each."""
    by = "model" if settings.model_name is None else "model_id"
    return f"/health?{urlencode({by: provider})}"
