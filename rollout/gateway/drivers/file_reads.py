"""The reads of a service behind a file: the file for what is configured, the service for what is in effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.core.wishes import Activate
from rollout.core.writes import Codec, FileEdit
from rollout.gateway import parsing
from rollout.gateway.calls import READ, Call
from rollout.gateway.documents import read_document
from rollout.gateway.drivers import openai_chat
from rollout.gateway.drivers.examinations import report_test
from rollout.gateway.drivers.lacking import LackingReads
from rollout.gateway.drivers.masking import MASKED_VALUES, digest_masked, mask_secret
from rollout.gateway.expectations import same_model
from rollout.gateway.host import codecs
from rollout.gateway.host.settings_file import compose_content, read_settings_file
from rollout.gateway.responses import (
    Completion,
    Connection,
    ConnectionTest,
    Preflight,
    PreflightCheck,
    Provider,
    Providers,
    RuntimeConfig,
)
from rollout.gateway.sender import Sender

if TYPE_CHECKING:
    from rollout.gateway.drivers.file import File

_NOTHING: Mapping[Codec, bytes] = {"env": b"", "yaml": b"{}", "json": b"{}", "toml": b""}
_LEAST_OF_A_FAILURE = 400


class FileReads(LackingReads):
    """Reads the file, and the service over the connections of a sender. Safe to share between threads."""

    def __init__(self, driver: File, said: Mapping[str, Any], sender: Sender) -> None:
        """Keep all three; nothing is read yet."""
        self._driver = driver
        self._said = said
        self._sender = sender

    def health(self) -> None:
        """Return if the service is up. Raises GatewayError where it is not."""
        self._sender.send(Call("settings.health", "GET", self._said["health"], None, READ), parsing.health)

    def providers(self) -> Providers:
        """Return the providers of the settings, and the one in effect.

        Raises:
            GatewayError: the service or the file cannot be read, or neither names a provider and model.
        """
        active = self._active()
        listed = tuple(
            Provider(
                name,
                "listed in the target",
                {"activate": True},
                Connection("unknown"),
                name == active.provider,
                models=tuple(models),
            )
            for name, models in self._driver.providers.items()
        )
        return Providers(listed, active.provider)

    def runtime_config(self) -> RuntimeConfig:
        """Return what the file configures, secrets masked with one digest of them all, and the model in effect.

        Raises:
            GatewayError: as `providers`.
        """
        from rollout.gateway.drivers.file import MODEL_IN_EFFECT  # noqa: PLC0415 - the driver imports this module

        codec, data = self._driver.codec, self._content()
        file = str(self._driver.path)
        try:
            keys = codecs.changed_keys(codec, _NOTHING[codec], data, file=file)
            found = codecs.read_keys(codec, data, keys, file=file)
        except RolloutError as problem:
            raise GatewayError(f"reading {file}", str(problem)) from None
        config = {key: mask_secret(key, value) for key, value in found.items()}
        if digest := digest_masked(found, file):
            config[MASKED_VALUES] = digest
        in_effect = self._said["in_effect"]
        origin = file if in_effect is None else f"GET {in_effect['path']}"
        sources = {**dict.fromkeys(config, file), MODEL_IN_EFFECT: origin}
        return RuntimeConfig({**config, MODEL_IN_EFFECT: self._active().model}, sources)

    def test_connection(self, provider: str) -> ConnectionTest:
        """Have the service test its connection to a provider, where it can; else say that nothing tests it.

        Raises:
            GatewayError: the service does not answer.
        """
        if provider.casefold() not in map(str.casefold, self._driver.providers):
            self.health()
            return report_test(f"{provider} is no provider of the target", "unknown", succeeded=False)
        if not self._said["test"]:
            self.health()
            return report_test(f"{provider} is listed; the service has no call that tests a connection", "unknown")
        call = Call("settings.test", "GET", self._driver.test_path(provider), None, READ)
        try:
            self._sender.send(call, parsing.health)
        except GatewayError as problem:
            if problem.status is None or problem.status < _LEAST_OF_A_FAILURE:
                raise
            return report_test(problem.reason, "offline", succeeded=False)
        return report_test(f"GET {call.path} answered 200", "connected")

    def preflight(self, provider: str) -> Preflight:
        """Examine whether a provider could be activated.

        Its connection is tested, the edit of the file as it is now is composed, and an edit that the service has not
        read yet is found.

        Raises:
            GatewayError: the service does not answer.
        """
        found = self.test_connection(provider)
        connection = PreflightCheck(found.succeeded, found.connection_status, found.message)
        problem = self._explain_uneditable(provider)
        edit = PreflightCheck(not problem, "refused" if problem else "possible", problem or "the file can be edited")
        lacking = self._driver.explain_no_restart()
        take_over = PreflightCheck(not lacking, "unknown" if lacking else "stated", lacking or None)
        checks = {"connection": connection, "edit": edit, "take_over": take_over, "in_effect": self._check_in_effect()}
        return Preflight(all(check.passed for check in checks.values()), checks)

    def ask(self, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        """Request a completion; the provider is the answer's, or the one provider that has the answer's model.

        Raises:
            Refused: the service refused it.
            GatewayError: no completion, or an incomplete one.
        """
        served_by = self._said["served_by"]
        found = openai_chat.ask(
            self._sender, self._said["chat"], served_by, prompt, max_tokens=max_tokens, stream=stream
        )
        if served_by is None or served_by["provider"] is not None or found.model is None:
            return found
        having = [
            name
            for name, models in self._driver.providers.items()
            if any(same_model(found.model, model) for model in models)
        ]
        return replace(found, provider=having[0] if len(having) == 1 else None)

    def _active(self) -> ProviderChange:
        in_effect = self._said["in_effect"]
        if in_effect is None:
            return self._configured()
        call = Call("settings.in_effect.path", "GET", in_effect["path"], None, READ)
        found = self._driver.place_in([self._sender.send(call, read_document)])
        if found is None:
            wanted = " and ".join(repr(in_effect[each]) for each in ("provider", "model") if in_effect[each])
            raise GatewayError(
                call.name,
                f"the answer does not show the provider and model in effect at {wanted}; correct the target's "
                "settings.in_effect",
            )
        return found

    def _configured(self) -> ProviderChange:
        """Return what the file configures: of a service that does not tell what is in effect."""
        file, keys = str(self._driver.path), (self._said["provider_key"], self._said["model_key"])
        try:
            found = codecs.read_keys(self._driver.codec, self._content(), filter(None, keys), file=file)
        except RolloutError as problem:
            raise GatewayError(f"reading {file}", str(problem)) from None
        named = [found[each] if isinstance(found.get(each), str) and found[each] else None for each in keys]
        active = self._driver.identify(*named)
        if active is None or None in named[: 1 + (keys[1] is not None)]:
            wanted = " and ".join(filter(None, keys))
            raise GatewayError(f"reading {file}", f"it holds no provider and model at {wanted}; correct the keys")
        return active

    def _check_in_effect(self) -> PreflightCheck:
        try:
            configured = self._configured()
        except GatewayError as problem:
            return PreflightCheck(passed=False, status="unknown", message=problem.reason)
        active = self._active()
        if configured == active:
            return PreflightCheck(passed=True, status="in effect")
        return PreflightCheck(
            passed=False,
            status="pending",
            message=f"{self._driver.path} holds {configured}, and the service uses {active}: an edit waits to be read; "
            "have the service read it, or take it back",
        )

    def _content(self) -> bytes:
        try:
            return read_settings_file(self._driver.path)
        except RolloutError as problem:
            raise GatewayError(f"reading {self._driver.path}", str(problem)) from None

    def _explain_uneditable(self, provider: str) -> str:
        """Return why the file cannot be edited for a provider; empty where it can. Nothing is written."""
        name = self._driver.activated_as(provider)
        try:
            models = self._driver.providers.get(name, ())
            writes = self._driver.writes(Activate(name, models[0] if models else ""))
            for edit in writes:
                if isinstance(edit, FileEdit):
                    compose_content(edit, read_settings_file(self._driver.path), {})
        except RolloutError as problem:
            return str(problem)
        return ""
