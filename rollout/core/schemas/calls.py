"""Calls of a target that replace documented ones: paths, bodies, weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.core.schemas import commands, validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.values import CallPath, ProviderPath, Text


class PathsSchema(Schema):
    """Call -> path, where a gateway deviates; `rollout.gateway.endpoints` has the same keys.

    Attributes:
        health: polled after a restart; name one that costs nothing.
        runtime_config: reads the configuration.
        providers: lists the providers and the active one.
        status: reads whether a provider is connected.
        test_connection: tests the connection to a provider.
        preflight: tests whether a provider could be activated.
        activate: activates a provider.
        metrics: reads the requests, failures and latencies of a provider.
        provider_health: reads the health of a provider.
        alerts: reads the alerts.
        governance: reads the governance limits and what is spent.
        limits: sets a governance limit.
        chat: answers a request, chat/completions.
        audit: reads the audit log.
        system_status: reads the state of the system.
    """

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


class ActivationCallSchema(CompleteSchema):
    """The call that activates one provider; without its model the gateway would reset it (docs/GATEWAY_API.md, 8)."""

    example = '{path: /api/v1/system/llm-servers/active, body: {server_name: "{provider}", model: "{model}"}}'
    required_keys = ("path", "body")

    path: Annotated[str | None, BeforeValidator(commands.activation_path)] = None
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


class ChatCallSchema(CompleteSchema):
    """The call in the place of chat/completions."""

    example = '{path: /api/v1/llm/simple/stream, body: {content: "{prompt}"}}'
    required_keys = ("path", "body")

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


class SetWeightsSchema(Schema):
    """The call that sets the weights.

    Attributes:
        method: the HTTP method, `PUT` where it is left out.
        path: its path.
        body: its JSON body; one value is just `"{weights}"` and stands for them: destination -> weight.
    """

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


class ReadWeightsSchema(Schema):
    """The call that reads the weights, and where they are in its answer.

    Attributes:
        path: its path.
        at: the keys that lead to the weights in its answer, dotted: `data.weights`.
    """

    example = "{path: /api/v1/routing/weights, at: weights}"

    path: CallPath = None
    at: Text = None


class RoutingSchema(Schema):
    """How the gateway splits requests by weights (CAN-2); what it does not say is as the embedded gateway has it.

    Attributes:
        put: the call that sets the weights.
        read: the call that reads them.
        unit: whether the weights add up to 1 (`fraction`) or to 100 (`percent`).
    """

    example = "{set: {path: /api/v1/routing/weights, …}, read: {path: …, at: weights}}"

    put: Annotated[SetWeightsSchema | None, BeforeValidator(validators.require), Field(alias="set")] = None
    read: Annotated[ReadWeightsSchema | None, BeforeValidator(validators.require)] = None
    destination: Annotated[str | None, BeforeValidator(commands.destination)] = None
    unit: Annotated[str | None, BeforeValidator(validators.choice("fraction", "percent"))] = None


def _mentions(placeholder: str, path: str, body: Mapping[str, str]) -> bool:
    return any(placeholder in text for text in (path, *body.values()))
