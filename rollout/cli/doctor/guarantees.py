"""What the suite can and cannot guarantee at a gateway."""

from __future__ import annotations

from rollout.cli.doctor.findings import Guarantee, ProbedCalls, mapping_at
from rollout.cli.doctor.target_file import LONGEST_STALE_S, model_key


def find_guarantees(seen: ProbedCalls) -> tuple[Guarantee, ...]:
    """Return every promise of the suite that depends on the gateway, and whether it holds there."""
    return (
        _guarantee_if(
            "the rollback is known (PRE-2.4)",
            bool(seen.active and model_key(seen)),
            f"{seen.active} and its model can be read",
            "no key of config/runtime holds the active model" if seen.active else "no provider is reported active",
        ),
        _accepted(seen),
        _read_back(seen),
        _guarantee_by_provider(seen, "a provider that goes offline is noticed (MON-1)", "status"),
        _guarantee_by_provider(seen, "errors and latency are judged (MON-2, MON-3)", "metrics"),
        _guarantee_by_call(seen, "critical alerts are noticed (MON-4)", "alerts"),
        Guarantee("errors in the log are noticed (MON-5)", "no", "the log is not read over HTTP; set log_file"),
        _guarantee_by_call(seen, "limits are backed up and compared (PRE-1.3, APP-3)", "governance"),
        Guarantee("`.env` is backed up and restored (RBK-3)", "no", "not over HTTP; set env_file and service"),
        _guarantee_if(
            "a real request proves it (VER-2)",
            seen.answers("chat") or seen.answers("chat, elsewhere"),
            "the call is there; it was not sent",
            "no call for a completion was found; set chat_with",
            can="unknown",
        ),
        _guarantee_by_call(seen, "the audit log is compared (VER-3)", "audit"),
        _guarantee_if(
            "a restart is distinguished from traffic",
            seen.has_boot_id,
            "boot_id",
            "no boot_id; a falling counter counts as one",
        ),
    )


def _accepted(seen: ProbedCalls) -> Guarantee:
    active = next(
        (p for p in seen.providers if p.get("is_active") or p["name"].casefold() == seen.active.casefold()), {}
    )
    return _guarantee_if(
        "the rollback is accepted (APP-0.2)",
        bool(mapping_at(active, "capabilities").get("activate")),
        "only activating it once more shows it",
        f"{seen.active or 'nothing'} is not listed as activatable",
        can="unknown",
    )


def _read_back(seen: ProbedCalls) -> Guarantee:
    what, stale = "a write is read back (APP-1.2, RBK-4)", seen.stalest
    if stale is None:
        return Guarantee(what, "unknown", "no header speaks of a cache; a lagging replica does not show (stale_for)")
    why = f"GET {stale.path} comes from a cache, and may be {stale.stale_for_s:g} s old"
    if stale.stale_for_s > LONGEST_STALE_S:
        return Guarantee(what, "no", f"{why}, longer than the suite waits ({LONGEST_STALE_S:g} s); read past the cache")
    return Guarantee(what, "yes", f"{why}: each proof waits for that (stale_for)")


def _guarantee_if(what: str, holds: bool, yes: str, no: str, *, can: str = "yes") -> Guarantee:
    return Guarantee(what, can, yes) if holds else Guarantee(what, "no", no)


def _guarantee_by_call(seen: ProbedCalls, what: str, name: str) -> Guarantee:
    call = seen.calls[name]
    return Guarantee(what, "yes" if call.answers else "no", f"GET {call.path}: {call.result}")


def _guarantee_by_provider(seen: ProbedCalls, what: str, name: str) -> Guarantee:
    calls = [call for key, call in seen.calls.items() if key.startswith(f"{name} ")]
    bad = [f"{call.name}: {call.result}" for call in calls if not call.answers]
    if not calls:
        return Guarantee(what, "no", "no provider is listed")
    return _guarantee_if(what, not bad, f"for {len(calls)} providers", "; ".join(bad))
