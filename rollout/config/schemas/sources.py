"""The `sources:` of a target, and TLS."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from rollout.config.schemas.values import Counter, File, Url
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.values import Variable


class TlsSchema(Schema):
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


class PrometheusSchema(CompleteSchema):
    """Where users' requests, failures and latencies are read instead of from the gateway."""

    example = "{url: http://127.0.0.1:9090, requests: 'llm_requests_total{…}', errors: 'llm_errors_total{…}'}"
    required_keys = ("url", "requests", "errors")

    url: Url = None
    requests: Counter = None
    errors: Counter = None
    latency_seconds_bucket: Counter = None
    up: Counter = None
    token_env: Variable = None
    tls: Annotated[TlsSchema | None, BeforeValidator(validators.require)] = None


class AlertmanagerSchema(CompleteSchema):
    """Where critical alerts are read instead of from the gateway."""

    example = "{url: http://127.0.0.1:9093, match: ['severity=\"critical\"']}"
    required_keys = ("url",)

    url: Url = None
    match: Annotated[
        list[Annotated[str, BeforeValidator(validators.matcher)]] | None, BeforeValidator(validators.items)
    ] = None
    heartbeat: Annotated[str | None, BeforeValidator(validators.matcher)] = None
    token_env: Variable = None
    tls: Annotated[TlsSchema | None, BeforeValidator(validators.require)] = None

    @model_validator(mode="after")
    def _says_what_is_critical(self) -> Self:
        if self.match == []:
            raise ValueError("match is empty, so every alert would be critical; write what is, or leave match out")
        return self


class SourcesSchema(Schema):
    """What the window reads elsewhere than at the gateway.

    Attributes:
        prometheus: users' requests, failures and latencies (MON-2, MON-3).
        alertmanager: critical alerts (MON-4, PRE-5.3).
    """

    example = "prometheus: {url: …, requests: …, errors: …}"

    prometheus: Annotated[PrometheusSchema | None, BeforeValidator(validators.require)] = None
    alertmanager: Annotated[AlertmanagerSchema | None, BeforeValidator(validators.require)] = None
