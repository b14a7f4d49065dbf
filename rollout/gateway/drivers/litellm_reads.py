"""The reads of a LiteLLM proxy: what is in effect over HTTP, and what is configured from its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, Field

from rollout.core.errors import GatewayError, RolloutError
from rollout.core.writes import FileEdit
from rollout.gateway import parsing
from rollout.gateway.calls import CHAT, READ, Call
from rollout.gateway.documents import InvalidResponse, decode_text, read_shape
from rollout.gateway.drivers.lacking import LackingReads
from rollout.gateway.drivers.litellm_config import (
    NO_ALIAS,
    configured_alias,
    deployed_models,
    find_faults,
    flatten,
    join_models,
)
from rollout.gateway.drivers.litellm_in_effect import Deployments, InEffect, SplitInEffect
from rollout.gateway.drivers.litellm_loader import load_with
from rollout.gateway.drivers.litellm_metrics import count_fallbacks, deployment_metrics, process_start, read_samples
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings, examination_of
from rollout.gateway.drivers.litellm_weights import (
    ACTIVE_KEY,
    configured_active,
    find_weight_faults,
    show_configured,
    without_weights,
)
from rollout.gateway.host.settings_document import Document
from rollout.gateway.host.settings_file import compose_content, read_settings_file
from rollout.gateway.responses import (
    Completion,
    Connection,
    ConnectionTest,
    Metrics,
    Preflight,
    PreflightCheck,
    Provider,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.sender import Sender
from rollout.gateway.transport import Answer

T = TypeVar("T")

LIFE = "/health/liveliness"
DEPLOYMENTS = "/v1/model/info"
READINESS = "/health/readiness"
COUNTERS = "/metrics/"
CHAT_PATH = "/v1/chat/completions"
MODEL_KEY = "active_model"
"""The key of the configuration that holds the model of the deployment that the file's alias leads to."""

RUNNING_KEY = "running_alias"
"""The key that holds where the group leads in the running proxy, which may have been started with another file."""

_ALIVE = "alive"
_MODEL_ID = "x-litellm-model-id"
_UNHEALTHY = 503
_NO_DATABASE = "Not connected"
"""What a proxy that was started without a database answers; one that cannot reach its database answers otherwise."""


class _Examined(BaseModel):
    healthy_count: int = Field(ge=0)
    unhealthy_count: int = Field(ge=0)


class _Readiness(BaseModel):
    db: str


class LiteLLMReads(LackingReads):
    """Reads one proxy over the connections of a sender. Safe to share between threads."""

    def __init__(self, settings: LiteLLMSettings, sender: Sender, edit: Callable[[str], FileEdit]) -> None:
        """Keep what is needed; nothing is sent yet.

        Args:
            settings: the target's settings.
            sender: keeps deadlines, retries, redaction and evidence.
            edit: the edit that lets the alias lead to a provider.
        """
        self._settings, self._sender, self._edit = settings, sender, edit
        self._started: list[str] = []

    def health(self) -> None:
        """Return if the proxy is up; ``GET /health`` would send a completion to every deployment, and is not called."""
        self._get(LIFE, _alive)

    def providers(self) -> Providers:
        """Read the providers of the target that the proxy has, and the one that the group leads to now.

        The active one is listed although the target does not name it: someone may have moved the alias there.
        """
        now = self._in_effect()
        active = now.active(self._settings.providers)
        names = [name for name in self._settings.providers if now.ids(name)]
        names += [active] if active is not None and active not in names else []
        known = [
            Provider(
                name,
                "litellm",
                {"activate": name in self._settings.providers},
                Connection("unknown", "this proxy does not watch its connections"),
                name == active,
                models=(join_models(now.models(name)),),
            )
            for name in names
        ]
        return Providers(tuple(known), active)

    def runtime_config(self) -> RuntimeConfig:
        """Read the configuration from the proxy's file, secrets masked, and what is active in the running proxy.

        The two differ where the file was edited since the proxy was started.
        """
        document = self._document(self._bytes())
        now, settings = self._in_effect(), self._settings
        running = {RUNNING_KEY: now.active(settings.providers) or ""}
        config = self._by_weights(document) if settings.model_name else self._by_alias(document)
        sources = dict.fromkeys(config, str(settings.config)) | {RUNNING_KEY: f"GET {DEPLOYMENTS}"}
        return RuntimeConfig(config | running, sources)

    def _by_alias(self, document: Mapping[str, object]) -> dict[str, str]:
        leads_to = configured_alias(document, self._settings.asked_for)
        model = NO_ALIAS if leads_to is None else join_models(deployed_models(document, leads_to)) or NO_ALIAS
        return flatten(document) | {self._settings.alias_key: leads_to or "", MODEL_KEY: model}

    def _by_weights(self, document: Mapping[str, object]) -> dict[str, str]:
        active, model = configured_active(document, self._settings)
        rest = flatten(without_weights(document, self._settings))
        return rest | show_configured(document, self._settings) | {ACTIVE_KEY: active, MODEL_KEY: model}

    def weights(self) -> Weights:
        """Read the weights in effect, those of the running proxy, as fractions of the requests."""
        return Weights(self._get(DEPLOYMENTS, self._shares))

    def _shares(self, answer: Answer) -> dict[str, float]:
        listed = read_shape(answer, Deployments)
        return SplitInEffect(self._settings.asked_for, tuple(listed.data)).shares()

    def boot_id(self) -> str | None:
        """Read when the proxy's process was started; None where several processes serve one set of counters."""
        return self._get(COUNTERS, lambda answer: process_start(read_samples(answer)))

    def metrics(self, provider: str) -> Metrics:
        """Read the counters of a provider's deployments, failed tries that a fallback hides among them.

        Raises:
            GatewayError: the proxy has no such deployment; or several workers answer, each with counters of its own.
        """
        ids = self._in_effect().ids(provider)
        if not ids:
            raise GatewayError(f"GET {DEPLOYMENTS}", f"the proxy has no deployment of the model_name {provider}")
        return self._get(COUNTERS, lambda answer: self._count(answer, ids))

    def fallbacks(self) -> int:
        """Read how many requests for the group a fallback has answered (MON-5)."""
        models = {self._settings.asked_for, *self._settings.providers}
        return self._get(COUNTERS, lambda answer: count_fallbacks(read_samples(answer), models))

    def test_connection(self, provider: str) -> ConnectionTest:
        """Examine whether the proxy could be moved to a provider, and, where that may be paid for, whether it answers.

        The configuration is examined as it would be after the edit, so that none is written with which the proxy would
        not start.
        """
        for examine in (self._examine_database, self._examine_deployment, self._examine_file):
            check = examine(provider)
            if not check.passed:
                return _failed("unknown", check.message or "")
        return self._examine_connection(provider)

    def preflight(self, provider: str) -> Preflight:
        """Examine as `test_connection` does, and let the proxy's own LiteLLM load the new configuration."""
        checks = {
            "database": self._examine_database(provider),
            "deployment": self._examine_deployment(provider),
            "configuration": self._examine_file(provider),
        }
        if self._settings.python is not None and checks["configuration"].passed:
            checks["load"] = _check(load_with(self._settings, self._bytes(), provider))
        return Preflight(all(check.passed for check in checks.values()), checks)

    def ask(self, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        """Request a completion of the group; who answered is the deployment in the header ``x-litellm-model-id``.

        The body names the alias, whoever answered. An answer by a fallback names the fallback's deployment.
        """
        return self._ask(self._settings.asked_for, prompt, max_tokens=max_tokens, stream=stream)

    def ask_directly(self, provider: str, prompt: str, *, max_tokens: int) -> Completion:
        """Request a completion of one deployment by its id, past the weights: users are led as before."""
        return self._ask(provider, prompt, max_tokens=max_tokens, stream=False)

    def _ask(self, model: str, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            **({"stream": True} if stream else {}),
        }
        answered, by = self._sender.send(Call("settings", "POST", CHAT_PATH, body, CHAT), _identified)
        if by is None:
            return replace(answered, provider=None, model=None)
        now = self._in_effect()
        name = now.owner(by, self._settings.providers)
        if name is None:
            return replace(answered, provider=f"deployment {by}", model=None)
        return replace(answered, provider=name, model=join_models(now.models(name)))

    def _count(self, answer: Answer, deployments: frozenset[str]) -> Metrics:
        samples = read_samples(answer)
        start = process_start(samples)
        if start is not None and start not in self._started[-1:]:
            if start in self._started:
                raise InvalidResponse(
                    "several workers answer in turn, each with counters of its own, so no difference of two polls "
                    "counts requests; set PROMETHEUS_MULTIPROC_DIR for the proxy, or name Prometheus in the target "
                    "(`sources: {prometheus: …}`)"
                )
            self._started.append(start)
        return deployment_metrics(samples, deployments)

    # Examinations

    def _examine_database(self, _provider: str) -> PreflightCheck:
        """Refuse a proxy that was started with a database, which its environment names and its file does not."""
        try:
            database = self._get(READINESS, lambda answer: read_shape(answer, _Readiness)).db
        except GatewayError as problem:
            # With this status a proxy says that it cannot reach its database.
            if problem.status != _UNHEALTHY:
                raise
            return _check(f"the proxy does not say that it has no database: {problem}")
        if database == _NO_DATABASE:
            return _check("")
        return _check(
            f"GET {READINESS} says `db: {database}`, so the proxy was started with a database (DATABASE_URL), whose "
            "routing goes before that of the file; start it without one, or change it by its own calls"
        )

    def _examine_deployment(self, provider: str) -> PreflightCheck:
        wanted, found = self._settings.providers.get(provider), join_models(self._in_effect().models(provider))
        if wanted is None:
            return _check(f"{provider} is not among the target's `settings: {{providers: …}}`; add it with its model")
        if not found:
            return _check(f"the proxy has no deployment of {provider}; add it to model_list, and restart the proxy")
        if found == wanted:
            return _check("")
        return _check(f"the deployments of {provider} call {found}, and the target says {wanted}; correct the target")

    def _examine_file(self, provider: str) -> PreflightCheck:
        try:
            before = read_settings_file(self._settings.config)
            document = self._document(compose_content(self._edit(provider), before, {}))
        except RolloutError as problem:
            return _check(str(problem))
        faults = [*self._faults_of(self._document(before)), *self._faults_of(document)]
        return _check("; ".join(f"{self._settings.config}: {fault}" for fault in dict.fromkeys(faults)))

    def _faults_of(self, document: Mapping[str, object]) -> Iterator[str]:
        settings = self._settings
        yield from find_faults(document, settings.group, judge_strategies=settings.python is None)
        if settings.model_name:
            yield from find_weight_faults(document, settings)

    def _examine_connection(self, provider: str) -> ConnectionTest:
        if self._settings.examination == "free":
            return ConnectionTest(
                succeeded=True,
                connection_status="unknown",
                latency_ms=None,
                message="deployment and configuration are in order; whether it answers is not examined, because this "
                "proxy can only send a completion for it: `settings: {examination: paid}` lets it",
            )
        path = examination_of(self._settings, provider)
        try:
            return self._get(path, _examined)
        except GatewayError as problem:
            # With this status LiteLLM says that none of the deployments has answered.
            if problem.status != _UNHEALTHY:
                raise
            return _failed("offline", f"none of its deployments answered a completion ({problem.reason})")

    # Files and calls

    def _bytes(self) -> bytes:
        try:
            return read_settings_file(self._settings.config)
        except RolloutError as problem:
            raise GatewayError(str(self._settings.config), str(problem)) from None

    def _document(self, data: bytes) -> Mapping[str, object]:
        try:
            found: Mapping[str, object] = Document.of("yaml", data, str(self._settings.config)).plain
        except RolloutError as problem:
            raise GatewayError(str(self._settings.config), str(problem)) from None
        return found

    def _in_effect(self) -> InEffect | SplitInEffect:
        rows = tuple(self._get(DEPLOYMENTS, lambda answer: read_shape(answer, Deployments)).data)
        if self._settings.model_name:
            return SplitInEffect(self._settings.model_name, rows)
        return InEffect(self._settings.asked_for, rows)

    def _get(self, path: str, parse: Callable[[Answer], T]) -> T:
        return self._sender.send(Call("url", "GET", path, None, READ), parse)


def _alive(answer: Answer) -> None:
    if _ALIVE not in decode_text(answer):
        raise InvalidResponse("the answer does not say that the proxy is alive; is this a LiteLLM proxy's base URL?")


def _identified(answer: Answer) -> tuple[Completion, str | None]:
    return parsing.completion(answer), answer.headers.get(_MODEL_ID) or None


def _examined(answer: Answer) -> ConnectionTest:
    found = read_shape(answer, _Examined)
    asked = found.healthy_count + found.unhealthy_count
    message = f"{found.healthy_count} of {asked} deployments answered a completion"
    succeeded = found.unhealthy_count == 0 and asked > 0
    return ConnectionTest(succeeded, "connected" if succeeded else "degraded", answer.elapsed_ms, message)


def _check(problem: str) -> PreflightCheck:
    return PreflightCheck(not problem, "failed" if problem else "passed", problem or None)


def _failed(status: str, message: str) -> ConnectionTest:
    return ConnectionTest(succeeded=False, connection_status=status, latency_ms=None, message=message)
