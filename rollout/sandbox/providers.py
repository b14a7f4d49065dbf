"""The five providers that the gateway manages: type, models, price and latency of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CLOUD = "cloud_provider"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What a provider is expected to achieve.

    Attributes:
        availability: fraction 0-1 of requests that succeed, at least.
        error_rate: fraction 0-1 of requests that fail, at most.
        p99_ms: 99th percentile of the latency, at most.
        budget_usd: cost, at most; 0 where nothing is charged.
    """

    availability: float
    error_rate: float
    p99_ms: float
    budget_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the catalogue.

    Attributes:
        name: lower case, as in every path.
        provider_type: ``catalog_integrator``, ``local_runtime`` or ``cloud_provider``.
        can: capability -> whether the provider has it.
        connected: the message of the connection status while the provider is connected.
        failed: the message while the provider cannot be reached.
        service_level: what it is expected to achieve.
        models: model -> the name under which answers report it (a dated snapshot at cloud providers); the first one
            is the default, which an activation without a model takes (deviation 8).
        endpoint: where a local runtime listens; None at a cloud provider.
        key: configuration key of its API key; None where none is needed.
        key_starts: how a key that the provider accepts begins.
        runtime_version: what its runtime reports; None where it reports none.
        probe_ms: how long the probe of a local runtime takes; None where none is made.
        latency_ms: how long a completion usually takes.
        jitter_ms: by how much it varies.
        usd_per_1k_tokens: its price.
    """

    name: str
    provider_type: str
    can: Mapping[str, bool]
    connected: str
    failed: str
    service_level: ServiceLevel
    models: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None
    key: str | None = None
    key_starts: str = ""
    runtime_version: str | None = None
    probe_ms: float | None = None
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    usd_per_1k_tokens: float = 0.0

    @property
    def default_model(self) -> str | None:
        """Return the model of an activation that names none; None at a provider that serves no model."""
        return next(iter(self.models), None)

    def accepts(self, key: str) -> bool:
        """Return whether the provider accepts this key; it never accepts a masked one."""
        return key.startswith(self.key_starts) and "*" not in key


def _can(*has: str) -> dict[str, bool]:
    return {name: name in has for name in ("install", "search", "activate", "inference", "trainable")}


_CLOUD_LEVEL = ServiceLevel(availability=0.99, error_rate=0.01, p99_ms=2000.0, budget_usd=50.0)
_LOCAL_LEVEL = ServiceLevel(availability=0.95, error_rate=0.05, p99_ms=3000.0)

_ALL = (
    Provider(
        name="huggingface",
        provider_type="catalog_integrator",
        can=_can("install", "search", "trainable"),
        connected="HuggingFace catalog available",
        failed="Unable to reach the HuggingFace catalog",
        service_level=ServiceLevel(availability=0.98, error_rate=0.02, p99_ms=5000.0),
    ),
    Provider(
        name="ollama",
        provider_type="catalog_integrator",
        can=_can("install", "search", "activate", "inference"),
        connected="Ollama server is running",
        failed="Unable to connect to Ollama server",
        service_level=_LOCAL_LEVEL,
        models={name: name for name in ("gemma3:4b", "llama3.2:3b", "qwen2.5:7b")},
        endpoint="http://localhost:11434",
        runtime_version="0.5.4",
        probe_ms=4.0,
        latency_ms=60.0,
        jitter_ms=12.0,
    ),
    Provider(
        name="vllm",
        provider_type="local_runtime",
        can=_can("install", "activate", "inference"),
        connected="vLLM server is running",
        failed="Unable to connect to vLLM server",
        service_level=_LOCAL_LEVEL,
        models={name: name for name in ("gemma-3-4b-it", "llama-3.1-8b-instruct")},
        endpoint="http://127.0.0.1:18001",
        probe_ms=2.0,
        latency_ms=40.0,
        jitter_ms=8.0,
    ),
    Provider(
        name="openai",
        provider_type=CLOUD,
        can=_can("activate", "inference"),
        connected="OpenAI API key configured",
        failed="Unable to connect to the OpenAI API",
        service_level=_CLOUD_LEVEL,
        models={
            "gpt-4o": "gpt-4o-2024-08-06",
            "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
            "gpt-4.1": "gpt-4.1-2025-04-14",
        },
        key="OPENAI_API_KEY",
        key_starts="sk-",
        latency_ms=45.0,
        jitter_ms=10.0,
        usd_per_1k_tokens=0.0005,
    ),
    Provider(
        name="google",
        provider_type=CLOUD,
        can=_can("activate", "inference"),
        connected="Google Gemini API key configured",
        failed="Unable to connect to the Google Gemini API",
        service_level=_CLOUD_LEVEL,
        models={"gemini-2.5-flash": "gemini-2.5-flash-2025-06-17", "gemini-2.5-pro": "gemini-2.5-pro-2025-06-17"},
        key="GOOGLE_API_KEY",
        key_starts="AIza",
        latency_ms=50.0,
        jitter_ms=10.0,
        usd_per_1k_tokens=0.0003,
    ),
)

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ALL}
"""The catalogue, in the order in which the gateway lists it."""
