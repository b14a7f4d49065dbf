"""A LiteLLM proxy that is configured by its file: the name that users ask for is led to another deployment.

The name is an alias in ``router_settings.model_group_alias`` of the proxy's configuration, or one ``model_name`` whose
deployments share the requests by weights. The proxy reads its file when it is started, so a change is an edit of those
keys and a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.recognition import Get, Recognition
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split, Wish
from rollout.core.writes import FileEdit, Read, ReadCall, Restart, Write
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings, examination_of
from rollout.gateway.drivers.litellm_weights import ACTIVE_KEY, activation_edit, split_edit, weight_keys
from rollout.gateway.drivers.plain import PlainDriver

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rollout.gateway.drivers.protocol import Reads
    from rollout.gateway.sender import Sender

_MODEL_KEY, _RUNNING_KEY = "active_model", "running_alias"
_LIMITS = "the limits of a proxy without a database are keys of its file, which no clause reads back"
_LACKING: Mapping[Capability, str] = {
    Capability.STATUS: (
        "LiteLLM reports of a deployment what its last requests did, and nothing where there were none; its counters "
        "show the same (MON-2)"
    ),
    Capability.ALERTS: "LiteLLM sends its alerts elsewhere, and has no call that lists them",
    Capability.AUDIT: "LiteLLM keeps an audit log only with a licence and a database",
    Capability.COST_LIMITS: _LIMITS,
    Capability.RATE_LIMITS: _LIMITS,
    Capability.WEIGHTS: (
        "an alias leads to one model_name, and so does every request; `settings: {model_name: …}` splits the requests "
        "of one model_name by the weights of its deployments"
    ),
    Capability.LIVE_SWITCH: "LiteLLM reads its file when it is started, so an activation takes effect with a restart",
    Capability.DELETE_LIMIT: _LIMITS,
}
_COUNTED = (Capability.COUNTERS, Capability.BOOT_ID)
_UNCOUNTED = (
    "the target says `counters: none`; let the proxy's configuration say `litellm_settings: {callbacks: [prometheus]}`"
)


class LiteLLM(PlainDriver):
    """One proxy, as its target describes it."""

    kind: ClassVar[str] = "litellm"
    summary: ClassVar[str] = "a LiteLLM proxy that is configured by its file; docs/LITELLM.md"
    settings: ClassVar[type[BaseModel]] = LiteLLMSettings

    def __init__(self, target: Target) -> None:
        """Keep the target's settings; nothing is read."""
        self._target = target
        self._settings = LiteLLMSettings.model_validate(target.settings)

    @classmethod
    def recognise(cls, get: Get) -> Recognition | None:
        """Return what shows that a LiteLLM proxy answers: its call of life, which costs nothing."""
        from rollout.gateway.drivers.litellm_recognition import recognise_proxy  # noqa: PLC0415 - as in `connect`

        return recognise_proxy(get)

    def capabilities(self) -> Mapping[Capability, str | None]:
        """Return what this proxy lacks: most of it with or without counters."""
        uncounted = dict.fromkeys(_COUNTED, _UNCOUNTED) if self._settings.counters == "none" else {}
        lacking = {**_LACKING, **uncounted}
        if self._settings.model_name is not None:
            del lacking[Capability.WEIGHTS]
        return {each: lacking.get(each) for each in Capability}

    def asks_directly(self) -> bool:
        """Return whether one deployment can be asked by its id, which a target with weights has."""
        return self._settings.model_name is not None

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the edit of the alias or of the weights, and the restart.

        Raises:
            GatewayError: the wish is none of these, or of a provider or model that the target does not list.
        """
        match wish:
            case Activate():
                self._refuse_unlisted(wish)
                return self.activation_edit(wish.provider), Restart()
            case Split() if self._settings.model_name is not None:
                return split_edit(self._settings, wish.shares, wish.rest), Restart()
        raise GatewayError(str(self._settings.config), f"a LiteLLM proxy without a database cannot be asked for {wish}")

    def activation_edit(self, provider: str) -> FileEdit:
        """Return the edit that leads every request to a provider."""
        if self._settings.model_name is not None:
            return activation_edit(self._settings, provider)
        return FileEdit(self._settings.config, "yaml", {self._settings.alias_key: provider})

    def destination(self, of: ProviderChange) -> str:
        """Return the id of the deployment among the weights.

        Raises:
            GatewayError: the target names an alias, and splits no requests.
        """
        return super().destination(of) if self._settings.model_name is None else of.provider

    def read_call(self, read: Read, provider: str = "") -> ReadCall:
        """Return how a read is asked for."""
        match read:
            case Read.HEALTH:
                return ReadCall("GET", "/health/liveliness")
            case Read.COMPLETION:
                return ReadCall("POST", "/v1/chat/completions")
            case Read.TEST_CONNECTION if self._settings.examination == "paid":
                return ReadCall("GET", examination_of(self._settings, provider))
        return ReadCall("GET", "/v1/model/info")

    def paid_reads(self) -> Iterator[str]:
        """Yield the completion, and the examination where the target lets it be paid for."""
        yield (
            "POST /v1/chat/completions: a completion is paid for by its tokens (PRE-5.4, VER-2, RBK-4.1, EMG, and the "
            "synthetic requests while the change is watched)"
        )
        if self._settings.examination == "paid":
            yield (
                "GET /health?model=…: LiteLLM sends each deployment of the provider a completion for it (PRE-2.4, "
                "PRE-3.1, PRE-5.1, APP-1.1, REL-1, a diagnosis, and every `way_back_every` while it is watched)"
            )

    def place(self, reported: str | None, configuration: Mapping[str, str]) -> ProviderChange:
        """Return where the group leads in the running proxy, and the model of where it leads in the file.

        Between an edit and the restart the two belong to different providers.

        Raises:
            GatewayError: the group leads nowhere in the running proxy.
        """
        if not reported:
            raise GatewayError("GET /v1/model/info", self._why_none_is_active())
        return ProviderChange(reported, configuration.get(_MODEL_KEY, ""))

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return the list of deployments, which has the alias's too."""
        return (ReadCall("GET", "/v1/model/info"),)

    def place_in(self, answers: Sequence[Any]) -> ProviderChange | None:
        """Return where the group leads by the list of deployments, and the model there."""
        try:
            rows = [
                (row["model_name"], row["model_info"]["id"], row["litellm_params"]["model"])
                for row in answers[0]["data"]
            ]
        except (KeyError, TypeError, IndexError):
            return None
        if self._settings.model_name is not None:
            return self._marked_in(answers[0]["data"])
        wanted = {deployment for name, deployment, _ in rows if name == self._settings.group}
        for listed in self._settings.providers:
            own = {deployment: model for name, deployment, model in rows if name == listed}
            if wanted and own.keys() == wanted:
                return ProviderChange(listed, ",".join(dict.fromkeys(own.values())))
        return None

    def activation_keys(self) -> tuple[str, ...]:
        """Return the key of what the file leads to, the key of its model, what the proxy runs with, and the weights."""
        if self._settings.model_name is not None:
            return ACTIVE_KEY, _MODEL_KEY, _RUNNING_KEY, *weight_keys(self._settings)
        return self._settings.alias_key, _MODEL_KEY, _RUNNING_KEY

    def connect(self, sender: Sender) -> Reads:
        """Return the reads over `sender`'s connections, and of the proxy's file."""
        # Reading takes an HTTP client and the codecs, which a description does without.
        from rollout.gateway.drivers.litellm_reads import LiteLLMReads  # noqa: PLC0415

        return LiteLLMReads(self._settings, sender, self.activation_edit)

    def _marked_in(self, rows: Sequence[Any]) -> ProviderChange | None:
        marked = [
            ProviderChange(row["model_info"]["id"], row["litellm_params"]["model"])
            for row in rows
            if row["model_name"] == self._settings.model_name and row["model_info"].get("active") is True
        ]
        return marked[0] if len(marked) == 1 else None

    def _why_none_is_active(self) -> str:
        if self._settings.model_name is not None:
            return (
                f"not exactly one deployment of {self._settings.model_name} is marked as active; write `model_info: "
                f"{{active: true}}` for that one into {self._settings.config}, and restart the proxy"
            )
        return (
            f"{self._settings.group} leads to no deployment; write {self._settings.alias_key} into "
            f"{self._settings.config} as a model_name of model_list, not as a hidden alias, and restart the proxy"
        )

    def _refuse_unlisted(self, wish: Activate) -> None:
        listed = self._settings.providers
        if wish.provider not in listed:
            raise GatewayError(
                f"activating {wish.provider}",
                f"it is not among the target's `settings: {{providers: …}}`, which are {', '.join(listed)}; add it "
                "with its model, or correct the scenario",
            )
        if wish.model != listed[wish.provider]:
            raise GatewayError(
                f"activating {wish.provider}",
                f"its model is {listed[wish.provider]} by the target, and {wish.model or 'none'} is asked for; an "
                "alias chooses deployments, and no model: correct the one or the other",
            )
