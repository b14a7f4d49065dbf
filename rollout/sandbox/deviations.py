"""The deviations of docs/GATEWAY_API.md: those that the gateway always shows, and those that can be switched on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout.sandbox.files import write_private
from rollout.sandbox.validation import Problems, meant

ALWAYS = "always"
OPTION = "option --token-env"
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation.

    Attributes:
        name: the switch, or why there is none: ``always``, ``option --token-env``, ``not applicable``.
        sentence: what the gateway does with it.
    """

    name: str
    sentence: str


DEVIATIONS: dict[int, tuple[Deviation, ...]] = {
    1: (Deviation(ALWAYS, "Rates are percent in metrics and fractions in health."),),
    2: (Deviation(ALWAYS, "Counters are cumulative since the start, percentiles cover the last 1,000 requests."),),
    3: (Deviation(ALWAYS, "A provider without traffic answers zeros, and null for percentiles, with 200."),),
    4: (
        Deviation(ALWAYS, "The audit log and the metrics are empty after a restart."),
        Deviation("cost_always_zero", "The cost is always 0, whatever the price."),
        Deviation("limits_lost_on_restart", "After a restart the governance limits are those of the software."),
    ),
    5: (Deviation(ALWAYS, "A failed connection test and a preflight that is not ready are answered with 200."),),
    6: (Deviation("activate_without_effect", "activate answers success and changes nothing."),),
    7: (Deviation("activate_after_restart", "activate writes the configuration; a restart puts it in effect."),),
    8: (Deviation(ALWAYS, "activate without a model resets it to the provider's default."),),
    9: (
        Deviation(
            "config_write_errors",
            "Everything that writes (activate, limits, POST config/runtime) answers 200 with status error.",
        ),
    ),
    10: (Deviation("stream_chat", "Answers are server-sent events; one without content counts as a success."),),
    11: (Deviation("key_means_connected", "A cloud provider is connected if a key is set, even a wrong one."),),
    12: (Deviation(ALWAYS, "Secrets in config/runtime are masked."),),
    13: (
        Deviation(
            "local_activation_elsewhere",
            "activate refuses ollama and vllm with 400; POST /api/v1/system/llm-servers/active activates them.",
        ),
    ),
    14: (Deviation("reports_other_name", "Active google is reported as google-gemini, and no listed one as active."),),
    15: (Deviation(ALWAYS, "A governance limit cannot be deleted."),),
    16: (Deviation(NOT_APPLICABLE, "The gateway makes no backups; the suite makes its own."),),
    17: (
        Deviation("healthz", "/health is /healthz."),
        Deviation("stream_chat", "chat/completions is absent; POST /api/v1/llm/simple/stream takes its place."),
    ),
    18: (Deviation("rate_limited", "Every third request is answered with 429 and retry_after_seconds 0."),),
    19: (
        Deviation("no_audit", "An activation leaves no audit entry."),
        Deviation("audit_user_unknown", "The audit log names no user, whatever the headers are."),
    ),
    20: (
        Deviation(ALWAYS, "Scopes come back as global or provider:NAME."),
        Deviation("limit_types_cost_rate", "limit_type per_provider is refused with 400; it is cost or rate."),
    ),
    21: (Deviation(ALWAYS, "Log lines have no date, a harmless one says 'errors', a start truncates the file."),),
    22: (Deviation(OPTION, "The API asks for no token unless it is started with one."),),
    23: (Deviation("long_alerts", "An alert lasts six hours."),),
}
"""Number in docs/GATEWAY_API.md -> the parts of it that the gateway can show."""

BESIDES = (
    Deviation("activation_rewrites", "activate also writes LLM_SERVICE_TYPE and other declared keys."),
    Deviation("weights_outlive_activation", "activate leaves the routing weights as they are."),
    Deviation("chat_names_nobody", "A completion carries neither provider nor model."),
)
"""Deviations without a number: observed, or possible where a gateway splits its requests."""

SWITCHES: dict[str, str] = {
    deviation.name: deviation.sentence
    for found in (*DEVIATIONS.values(), BESIDES)
    for deviation in found
    if deviation.name not in (ALWAYS, OPTION, NOT_APPLICABLE)
}
"""Every switch -> what it does."""

NOT_IN_STAGING = frozenset({"activate_without_effect", "activate_after_restart", "config_write_errors"})
"""Faults of one installation: the staging gateway runs the same software and has none of them."""


class Switched:
    """The deviations that are switched on; a change at run time is kept in a file, and so survives a restart."""

    def __init__(self, names: Iterable[str], file: Path) -> None:
        """Switch on these; `file` keeps later changes."""
        self._names = frozenset(names)
        self._file = file

    def __contains__(self, name: object) -> bool:
        """Return whether the deviation is switched on."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Yield those that are switched on, in the order of the table."""
        return (name for name in SWITCHES if name in self._names)

    def replace(self, names: Iterable[str]) -> None:
        """Switch on these and no others. Raises OSError."""
        self._names = frozenset(names)
        write_private(self._file, json.dumps(sorted(self._names)).encode())


def read_deviations(raw: object, problems: Problems) -> tuple[str, ...]:
    """Read the list ``deviations``; mistakes are added to `problems`."""
    if not isinstance(raw, list | tuple):
        problems.append(("deviations", f"must be a list of deviations, not {type(raw).__name__}"))
        return ()
    for index, name in enumerate(raw):
        if not isinstance(name, str) or name not in SWITCHES:
            known = ", ".join(SWITCHES)
            problems.append(
                (f"deviations[{index}]", f"{name!r} is no deviation{meant(name, SWITCHES)}; known: {known}")
            )
    return tuple(str(name) for name in raw)
