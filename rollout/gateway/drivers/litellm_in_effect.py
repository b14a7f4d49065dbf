"""What a running LiteLLM proxy knows: its deployments, where an alias leads, and how weights split the requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from rollout.gateway.documents import InvalidResponse


class _Parameters(BaseModel):
    model: str
    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _About(BaseModel):
    id: str = Field(min_length=1)
    active: bool = False


class Deployment(BaseModel):
    """One row of ``GET /v1/model/info``; an alias has one for each deployment that it leads to, under its own name."""

    model_name: str
    litellm_params: _Parameters
    model_info: _About


class Deployments(BaseModel):
    """The answer of ``GET /v1/model/info``."""

    data: list[Deployment]


@dataclass(frozen=True, slots=True)
class InEffect:
    """What the running proxy knows: its deployments, and where the alias of the group leads.

    Attributes:
        group: the name that users ask for.
        rows: the deployments, and those of aliases under the aliases' names.
    """

    group: str
    rows: tuple[Deployment, ...]

    def ids(self, name: str) -> frozenset[str]:
        """Return the ids of the deployments of a ``model_name``."""
        return frozenset(row.model_info.id for row in self.rows if row.model_name == name)

    def models(self, name: str) -> tuple[str, ...]:
        """Return the models of the deployments of a ``model_name``, each once, in order."""
        return tuple(dict.fromkeys(row.litellm_params.model for row in self.rows if row.model_name == name))

    def names(self) -> tuple[str, ...]:
        """Return every ``model_name`` but the group's own, in order."""
        return tuple(dict.fromkeys(row.model_name for row in self.rows if row.model_name != self.group))

    def active(self, listed: Mapping[str, str]) -> str | None:
        """Return the ``model_name`` whose deployments are the group's; None where there is none.

        Another alias of the same deployments reads alike; a name that the target lists goes first.
        """
        wanted = self.ids(self.group)
        found = [name for name in self.names() if wanted and self.ids(name) == wanted]
        return next((name for name in found if name in listed), found[0] if found else None)

    def owner(self, deployment: str, listed: Mapping[str, str]) -> str | None:
        """Return the ``model_name`` of a deployment; None where the proxy has no such deployment."""
        found = [name for name in self.names() if deployment in self.ids(name)]
        return next((name for name in found if name in listed), found[0] if found else None)


@dataclass(frozen=True, slots=True)
class SplitInEffect:
    """What the running proxy knows of one ``model_name`` whose deployments share the requests by weights.

    A provider is one deployment, known by its id.

    Attributes:
        model_name: the name that users ask for.
        rows: the deployments.
    """

    model_name: str
    rows: tuple[Deployment, ...]

    def ids(self, name: str) -> frozenset[str]:
        """Return the id itself where it is a deployment of the ``model_name``."""
        return frozenset(own.model_info.id for own in self._own() if own.model_info.id == name)

    def models(self, name: str) -> tuple[str, ...]:
        """Return the model of a deployment; none where there is no such deployment."""
        return tuple(own.litellm_params.model for own in self._own() if own.model_info.id == name)

    def active(self, _listed: Mapping[str, str]) -> str | None:
        """Return the one deployment that is marked as active; None where none is, or several are."""
        marked = [own.model_info.id for own in self._own() if own.model_info.active]
        return marked[0] if len(marked) == 1 else None

    def owner(self, deployment: str, _listed: Mapping[str, str]) -> str | None:
        """Return the deployment itself where it is one of the ``model_name``."""
        return deployment if self.ids(deployment) else None

    def shares(self) -> dict[str, float]:
        """Return deployment -> fraction of the requests; empty where the active one gets all.

        Raises:
            InvalidResponse: no weight is above 0, so that LiteLLM does not split by weights.
        """
        weights = {own.model_info.id: own.litellm_params.weight or 0.0 for own in self._own()}
        total = math.fsum(weights.values())
        if not total:
            raise InvalidResponse(
                f"no deployment of {self.model_name} has a weight above 0, and LiteLLM chooses among them at random; "
                "give each a litellm_params.weight"
            )
        shares = {name: weight / total for name, weight in weights.items() if weight}
        return {} if list(shares) == [self.active({})] else shares

    def _own(self) -> tuple[Deployment, ...]:
        return tuple(row for row in self.rows if row.model_name == self.model_name)
