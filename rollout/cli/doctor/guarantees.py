"""What the suite can and cannot guarantee at a gateway."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.cli.doctor.findings import Guarantee
from rollout.cli.doctor.probed_calls import ProbedCalls, mapping_at
from rollout.cli.doctor.target_file import LONGEST_STALE_S, model_key


def find_guarantees(seen: ProbedCalls) -> Iterator[Guarantee]:
    """Yield every promise of the suite that depends on the gateway, and whether it holds there."""
    model = bool(model_key(seen))
    is_known = bool(seen.active) and model
    unknown = "no provider is reported active" if not seen.active else "no key of config/runtime holds the active model"
    yield _guarantee_if(
        "the rollback is known (PRE-2.4)", is_known, f"{seen.active} and its model can be read", unknown
    )
    active = next(
        (p for p in seen.providers if p.get("is_active") or p["name"].casefold() == seen.active.casefold()), {}
    )
    can = bool(mapping_at(active, "capabilities").get("activate"))
    yield Guarantee(
        "the rollback is accepted (APP-0.2)",
        "unknown" if can else "no",
        "only activating it once more shows it" if can else f"{seen.active or 'nothing'} is not listed as activatable",
    )
    yield _read_back(seen)
    yield _guarantee_by_provider(seen, "a provider that goes offline is noticed (MON-1)", "status")
    yield _guarantee_by_provider(seen, "errors and latency are judged (MON-2, MON-3)", "metrics")
    yield _guarantee_by_call(seen, "critical alerts are noticed (MON-4)", "alerts")
    yield Guarantee("errors in the log are noticed (MON-5)", "no", "the log is not read over HTTP; set log_file")
    yield _guarantee_by_call(seen, "limits are backed up and compared (PRE-1.3, APP-3)", "governance")
    yield Guarantee("`.env` is backed up and restored (RBK-3)", "no", "not over HTTP; set env_file and service")
    known = seen.answers("chat") or seen.answers("chat, elsewhere")
    why = "the call is there; it was not sent" if known else "no call for a completion was found; set chat_with"
    yield Guarantee("a real request proves it (VER-2)", "unknown" if known else "no", why)
    yield _guarantee_by_call(seen, "the audit log is compared (VER-3)", "audit")
    boot = isinstance(seen.document("system_status").get("boot_id"), str)
    yield _guarantee_if(
        "a restart is distinguished from traffic", boot, "boot_id", "no boot_id; a falling counter counts as one"
    )


def _read_back(seen: ProbedCalls) -> Guarantee:
    what, stale = "a write is read back (APP-1.2, RBK-4)", seen.stalest
    if stale is None:
        return Guarantee(what, "unknown", "no header speaks of a cache; a lagging replica does not show (stale_for)")
    why = f"GET {stale.path} comes from a cache, and may be {stale.stale_for_s:g} s old"
    if stale.stale_for_s > LONGEST_STALE_S:
        return Guarantee(what, "no", f"{why}, longer than the suite waits ({LONGEST_STALE_S:g} s); read past the cache")
    return Guarantee(what, "yes", f"{why}: each proof waits for that (stale_for)")


def _guarantee_if(what: str, can: bool, yes: str, no: str) -> Guarantee:
    return Guarantee(what, "yes" if can else "no", yes if can else no)


def _guarantee_by_call(seen: ProbedCalls, what: str, name: str) -> Guarantee:
    call = seen.calls[name]
    return Guarantee(what, "yes" if call.answers else "no", f"GET {call.path}: {call.result}")


def _guarantee_by_provider(seen: ProbedCalls, what: str, name: str) -> Guarantee:
    calls = [call for key, call in seen.calls.items() if key.startswith(f"{name} ")]
    bad = [f"{call.name}: {call.result}" for call in calls if not call.answers]
    if not calls:
        return Guarantee(what, "no", "no provider is listed")
    return _guarantee_if(what, not bad, f"for {len(calls)} providers", "; ".join(bad))
