"""The deviations from docs/GATEWAY_API.md that show by reading alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rollout.cli.doctor.findings import ACCORDING, Deviation, ProbedCalls, mapping_at, mappings_at
from rollout.cli.doctor.stated_settings import activation_body, is_documented_body, limit_words, unfilled_fields
from rollout.core.redaction import is_secret_name

LONG_ALERT_S = 2 * 3600.0
CLOUD = "cloud_provider"
PERCENT = 100


def find_deviations(seen: ProbedCalls, token_env: str | None) -> Iterator[Deviation]:
    """Yield the deviations that show; `token_env` is None where no token was sent."""
    yield from _units(seen)
    yield from _traffic(seen)
    yield from _names(seen)
    yield from _audit(seen)
    masked = sorted(key for key, value in seen.config.items() if is_secret_name(key) and "*" in str(value))
    yield from _of_names(12, masked, "secrets are masked in config/runtime ({}): no backup to write back")
    yield from _paths(seen)
    if seen.busy:
        yield Deviation(18, f"it answered 429 {seen.busy} times; calls are repeated within their deadline")
    scopes = sorted(mapping_at(seen.document("governance"), "cost_limits"))
    if scopes:
        yield Deviation(20, f"limits come back by scope as {', '.join(scopes)}")
        yield Deviation(15, "no call takes a limit away: a scope without one cannot be put back to none")
    yield from _limit_types(seen)
    if not token_env and seen.answers("providers"):
        yield Deviation(22, "it asks for no token: every client that reaches it may change it")
    yield from _alerts(seen)


def _of_names(number: int, names: list[str], sentence: str) -> Iterator[Deviation]:
    """Yield the deviation, with the names in its sentence, where there are any."""
    if names:
        yield Deviation(number, sentence.format(", ".join(names)))


def _paths(seen: ProbedCalls) -> Iterator[Deviation]:
    if not seen.answers("health") and seen.answers("health, elsewhere"):
        yield Deviation(17, f"health is {seen.path_of('health, elsewhere')}{seen.according('health, elsewhere')}")
    if "chat" in seen.calls and not seen.answers("chat"):
        there = f"; {seen.path_of('chat, elsewhere')} is there{seen.according('chat, elsewhere')}"
        yield Deviation(17, f"chat/completions is absent{there if seen.answers('chat, elsewhere') else ''}")
    for name, path in seen.moved().items():
        yield Deviation(17, f"{name} is {path}, {ACCORDING}")


def _limit_types(seen: ProbedCalls) -> Iterator[Deviation]:
    """Yield the words for limit types, where the OpenAPI document enumerates them."""
    if seen.api is None or not seen.api.limit_types:
        return
    unknown = [kind for kind in ("cost", "rate") if kind not in limit_words(seen)]
    advice = f"; none of them is recognised as {' or as '.join(unknown)}: set limit_types" if unknown else ""
    yield Deviation(20, f"limit_type is one of {', '.join(seen.api.limit_types)}, {ACCORDING}{advice}")


def _units(seen: ProbedCalls) -> Iterator[Deviation]:
    """Yield the units of the rates, where the counters show them."""
    for name, metrics in seen.metrics():
        total, failed, rate = (metrics.get(key) for key in ("total_requests", "failed_requests", "error_rate"))
        good = metrics.get("success_rate")
        if not total or not isinstance(failed, int) or not isinstance(rate, int | float):
            continue
        if (isinstance(good, int | float) and good > 1) or (failed and rate > 1):
            health = mapping_at(seen.document(f"provider_health {name}"), "health").get("error_rate")
            yield Deviation(1, f"{name}: metrics say error_rate {rate:g} (percent), health says {health} (a fraction)")
            return
        if failed and abs(rate - failed / total) < 1 / PERCENT:
            yield Deviation(1, f"{name}: metrics say error_rate {rate:g} as a FRACTION; the suite reads percent")
            return


def _traffic(seen: ProbedCalls) -> Iterator[Deviation]:
    shown_by = (
        "boot_id shows a restart" if seen.has_boot_id else "there is no boot_id: only falling counters show a restart"
    )
    yield Deviation(2, f"counters are cumulative; {shown_by}")
    idle = [name for name, metrics in seen.metrics() if not metrics.get("total_requests")]
    yield from _of_names(3, idle, "no traffic at {}: zeros and null percentiles are no data, not 0 % errors")
    paid = {each["name"] for each in seen.providers if each.get("provider_type") == CLOUD}
    spent = [
        mapping_at(metrics, "cost").get("total_usd")
        for name, metrics in seen.metrics()
        if name in paid and metrics.get("total_requests")
    ]
    if spent and not any(spent):
        yield Deviation(4, "a cloud provider has traffic, and it costs 0: the cost impact cannot be read here")


def _names(seen: ProbedCalls) -> Iterator[Deviation]:
    listed = {each["name"].casefold() for each in seen.providers}
    if seen.active and seen.active.casefold() not in listed:
        yield Deviation(14, f"{seen.active} is reported active, and no listed provider is called so")
    written = seen.config.get("ACTIVE_PROVIDER")
    if written and seen.active and str(written).casefold() not in seen.active.casefold():
        yield Deviation(
            7,
            f"configured is {written}, active is {seen.active}: an activation that waits for a restart? "
            f"Then set `restart: true`, or `providers: {{{written}: {{restart: true}}}}` for it alone",
        )
    by_key = [
        each["name"]
        for each in seen.providers
        if each.get("provider_type") == CLOUD and _connection(each).get("status") == "connected"
        if _connection(each).get("latency_ms") is None
    ]
    yield from _of_names(11, by_key, "{}: connected without a latency may only mean that a key is set")
    stuck = [each["name"] for each in seen.providers if not mapping_at(each, "capabilities").get("activate")]
    yield from _of_names(13, stuck, "not to be activated here: {}")
    yield from _activations(seen)
    yield from _of_names(8, seen.rewritten, "an activation may rewrite {} besides provider and model")


def _activations(seen: ProbedCalls) -> Iterator[Deviation]:
    """Yield how activations differ from the documented one: another body, or another call."""
    fields = seen.fields_of("activate")
    if fields is not None and (missing := unfilled_fields(fields)):
        yield Deviation(13, f"activate requires {', '.join(missing)}, {ACCORDING}, which the suite cannot fill")
    elif fields is not None and not activation_body(fields):
        yield Deviation(8, f"activate takes no model, {ACCORDING}: the gateway would choose one")
    elif fields is not None and not is_documented_body(fields):
        yield Deviation(13, f"activate takes {', '.join(fields)}, {ACCORDING}: activate_with states that")
    if seen.answers("activate, elsewhere"):
        there = f"is there{said}" if (said := seen.according("activate, elsewhere")) else "may be there"
        path = seen.path_of("activate, elsewhere")
        yield Deviation(13, f"{path} {there}: local runtimes may have to be activated with it")


def _audit(seen: ProbedCalls) -> Iterator[Deviation]:
    if not seen.answers("audit"):
        return
    entries = mappings_at(seen.document("audit"), "entries")
    if not any("activat" in str(each.get("action", "")).casefold() for each in entries):
        yield Deviation(19, "the audit log holds no activation: either there was none since the start, or none is kept")
    if entries and all(each.get("user") in (None, "", "unknown") for each in entries):
        yield Deviation(19, "the audit log names no user: every entry's user is unknown")


def _alerts(seen: ProbedCalls) -> Iterator[Deviation]:
    firing = mappings_at(seen.document("alerts"), "alerts")
    long = [each for each in firing if _lasts_s(each) > LONG_ALERT_S]
    if long:
        yield Deviation(23, f"alerts last {max(map(_lasts_s, long)) / 3600:.0f} h, long after their cause is gone")
    if firing:
        kinds = ", ".join(sorted({f"{each.get('alert_type')}/{each.get('provider') or '-'}" for each in firing}))
        yield Deviation(23, f"firing already: {kinds}; a critical one blocks the precheck")


def _connection(provider: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping_at(provider, "connection_status")


def _lasts_s(alert: Mapping[str, Any]) -> float:
    try:
        moments = [datetime.fromisoformat(str(alert[key])) for key in ("timestamp", "expires_at")]
        return (moments[1] - moments[0]).total_seconds()
    except (KeyError, ValueError, TypeError):
        return 0.0
