"""``rollout doctor``: what a gateway answers, how it deviates, and what the suite can and cannot guarantee there.

Nothing is written, no provider is called, and nothing is asked that may cost money. What only reads is sent as GET. A
call that writes or may cost (`rollout.gateway.costs`, ``/health`` among them) is looked for with OPTIONS, which
executes nothing: 404 says that it is not there, 405 that it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.urls import base_url, is_loopback
from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import InvalidInput, Problem, RolloutError
from rollout.core.redaction import is_secret_name
from rollout.gateway import parsing
from rollout.gateway.caching import stale_for_s
from rollout.gateway.costs import MAY_COST
from rollout.gateway.embedded_proof import prove_embedded
from rollout.gateway.endpoints import DEFAULTS, path_of
from rollout.gateway.transport import Answer, NoAnswer, Transport

DEADLINE_S = 5.0
TRIES = 3
MOST_PROVIDERS = 10
LONG_ALERT_S = 2 * 3600.0
OK, NOT_FOUND, NOT_ALLOWED, BUSY = 200, 404, 405, 429
DENIED = (401, 403)
OTHER_HEALTH, OTHER_CHAT, OTHER_ACTIVATION = (
    "/healthz",
    "/api/v1/llm/simple/stream",
    "/api/v1/system/llm-servers/active",
)
CLOUD = "cloud_provider"
REWRITTEN = ("LLM_SERVICE_TYPE", "ACTIVE_LLM_SERVER", "LLM_CONFIG_HASH")
PERCENT = 100
LOOKED_BACK = ("providers", "runtime_config", "governance")
"""The calls that show whether a write is in effect."""
LONGEST_STALE_S = 600.0
"""The longest `stale_for` that a target may state."""

_CALLS: Mapping[str, Callable[[Answer], Any]] = {
    "providers": parsing.providers,
    "runtime_config": parsing.runtime_config,
    "system_status": parsing.boot_id,
    "alerts": parsing.alerts,
    "governance": parsing.governance,
    "audit": parsing.audit,
}
_OF_PROVIDERS: Mapping[str, Callable[[Answer], Any]] = {
    "status": parsing.status,
    "metrics": parsing.metrics,
    "provider_health": parsing.provider_health,
}
_NEVER_SENT = ("health", "test_connection", "preflight", "activate", "limits", "chat")
"""Calls that write or may cost money: whether they are there is asked, and nothing else."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: whether it answers as documented, what it said, the JSON, and how old that may be by its headers."""

    name: str
    path: str
    answers: bool
    said: str
    status: int | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    stale_for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Deviates:
    """One deviation that shows: its number in docs/GATEWAY_API.md, and what was seen."""

    number: int
    seen: str


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Something that the suite promises, and whether it can here: ``yes``, ``no`` or ``unknown``."""

    what: str
    can: str
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token; None where none was given.
        calls: every look.
        deviations: those that show.
        guarantees: what can be promised here.
        target: the target's settings, as ``targets.yaml`` has them.
    """

    url: str
    name: str
    token_env: str | None
    calls: tuple[Call, ...]
    deviations: tuple[Deviates, ...]
    guarantees: tuple[Guarantee, ...]
    target: Mapping[str, Any]

    @property
    def answers(self) -> bool:
        """Whether it is a gateway that can be worked with at all."""
        return any(call.name == "providers" and call.answers for call in self.calls)


@dataclass(slots=True)
class _Seen:
    """The looks so far, by name; those of a provider as ``metrics openai``."""

    calls: dict[str, Call] = field(default_factory=dict)
    busy: int = 0

    def document(self, name: str) -> Mapping[str, Any]:
        """Return what a call answered; empty where it did not."""
        return self.calls[name].document if name in self.calls else {}

    def answers(self, name: str) -> bool:
        """Tell whether a call answers as documented."""
        return name in self.calls and self.calls[name].answers

    @property
    def active(self) -> str:
        """The name under which a provider is reported active."""
        return str(self.document("providers").get("active_provider") or "")

    @property
    def providers(self) -> list[Mapping[str, Any]]:
        """The providers as listed."""
        return [each for each in _list(self.document("providers"), "providers") if isinstance(each.get("name"), str)]

    @property
    def config(self) -> Mapping[str, Any]:
        """The runtime configuration."""
        found = self.document("runtime_config").get("config")
        return found if isinstance(found, dict) else {}

    @property
    def rewritten(self) -> list[str]:
        """The keys that describe the active runtime once more, where somebody has written them."""
        sources = _mapping(self.document("runtime_config"), "config_sources")
        return [key for key in REWRITTEN if key in self.config and sources.get(key) != "default"]

    @property
    def stalest(self) -> Call | None:
        """The call whose answer may be the oldest of those that show whether a write is in effect; None: none is."""
        found = max((self.calls[name] for name in LOOKED_BACK), key=lambda call: call.stale_for_s)
        return found if found.stale_for_s else None

    def metrics(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each provider's metrics."""
        for each in self.providers:
            found = self.document(f"metrics {each['name']}").get("metrics")
            if isinstance(found, dict):
                yield each["name"], found


def examine(
    gateway: str, name: str, token_env: str | None, env: Mapping[str, str], clock: Clock | None = None
) -> Findings:
    """Look at every call once, reading only, and return what was found.

    Raises:
        RolloutError: the URL is none, or the token's variable is not set.
    """
    try:
        url = base_url(gateway)
    except ValueError as problem:
        raise InvalidInput([Problem("--gateway", None, "", str(problem))]) from None
    if token_env and not env.get(token_env):
        raise RolloutError(f"--token-env: the environment variable {token_env} is not set")
    headers = {"User-Agent": "rollout doctor"}
    if token_env:
        headers["Authorization"] = f"Bearer {env[token_env].strip()}"
    transport, seen = Transport(secure=url.startswith("https:")), _Seen()
    try:
        _look(_Asker(transport, url, headers, clock or SystemClock(), seen))
    finally:
        transport.close()
    deviations = tuple(_deviations(seen, token_env))
    target = _target(url, seen, token_env)
    return Findings(url, name, token_env, tuple(seen.calls.values()), deviations, tuple(_guarantees(seen)), target)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Sends GETs, and again on 429, within reason."""

    transport: Transport
    url: str
    headers: Mapping[str, str]
    clock: Clock
    seen: _Seen

    def ask(self, name: str, path: str, parse: Callable[[Answer], Any] | None) -> Call:
        """Ask once, keep and return what came of it; without `parse`, only whether the call is there."""
        call = self._asked(name, path, parse)
        self.seen.calls[name] = call
        return call

    def _asked(self, name: str, path: str, parse: Callable[[Answer], Any] | None) -> Call:
        try:
            answer = self._answer("GET" if parse else "OPTIONS", path)
        except NoAnswer as problem:
            return Call(name, path, answers=False, said=str(problem))
        if parse is None:
            there = {NOT_FOUND: "it is not there", NOT_ALLOWED: "it is there, and was not sent"}
            said = there.get(answer.status, f"{answer.status}: it may be there, and was not sent")
            return Call(name, path, answer.status != NOT_FOUND, said, answer.status)
        document = _json(answer)
        if answer.status != OK:
            return Call(name, path, answers=False, said=_why(answer, document), status=answer.status)
        try:
            parse(answer)
        except parsing.InvalidResponse as problem:
            return Call(name, path, answers=False, said=str(problem), status=OK, document=document)
        said = f"as documented, {answer.elapsed_ms:.0f} ms"
        stale_s = stale_for_s(answer.headers)
        return Call(name, path, answers=True, said=said, status=OK, document=document, stale_for_s=stale_s)

    def _answer(self, method: str, path: str) -> Answer:
        for _ in range(TRIES):
            answer = self.transport.exchange(method, self.url + path, headers=self.headers, deadline_s=DEADLINE_S)
            if answer.status != BUSY:
                break
            self.seen.busy += 1
            self.clock.wait(0.1)
        return answer


def _look(asker: _Asker) -> None:
    for name, parse in _CALLS.items():
        asker.ask(name, DEFAULTS[name], parse)
    for each in asker.seen.providers[:MOST_PROVIDERS]:
        for name, parse in _OF_PROVIDERS.items():
            asker.ask(f"{name} {each['name']}", path_of(name, {}, each["name"]), parse)
    provider = quote(asker.seen.providers[0]["name"], safe="") if asker.seen.providers else "none"
    for name in _NEVER_SENT:
        asker.ask(name, DEFAULTS[name].replace("{provider}", provider), None)
    if not asker.seen.answers("health"):
        asker.ask("health, elsewhere", OTHER_HEALTH, None)
    asker.ask("chat, elsewhere", OTHER_CHAT, None)
    asker.ask("activate, elsewhere", OTHER_ACTIVATION, None)


def _deviations(seen: _Seen, token_env: str | None) -> Iterator[Deviates]:
    yield from _units(seen)
    yield from _traffic(seen)
    yield from _names(seen)
    yield from _audit(seen)
    masked = sorted(key for key, value in seen.config.items() if is_secret_name(key) and "*" in str(value))
    if masked:
        yield Deviates(12, f"secrets are masked in config/runtime ({', '.join(masked)}): no backup to write back")
    if not seen.answers("health") and seen.answers("health, elsewhere"):
        yield Deviates(17, f"health is {OTHER_HEALTH}")
    if "chat" in seen.calls and not seen.answers("chat"):
        elsewhere = f"; {OTHER_CHAT} is there" if seen.answers("chat, elsewhere") else ""
        yield Deviates(17, f"chat/completions is absent{elsewhere}")
    if seen.busy:
        yield Deviates(18, f"it answered 429 {seen.busy} times; calls are repeated within their deadline")
    scopes = sorted({*_mapping(seen.document("governance"), "cost_limits")})
    if scopes:
        yield Deviates(20, f"limits come back by scope as {', '.join(scopes)}")
        yield Deviates(15, "no call takes a limit away: a scope without one cannot be put back to none")
    if not token_env and seen.answers("providers"):
        yield Deviates(22, "it asks for no token: whoever reaches it may change it")
    yield from _alerts(seen)


def _units(seen: _Seen) -> Iterator[Deviates]:
    """Yield what the rates' units are, where the counters tell."""
    for name, metrics in seen.metrics():
        total, failed, rate = (metrics.get(key) for key in ("total_requests", "failed_requests", "error_rate"))
        good = metrics.get("success_rate")
        if not total or not isinstance(failed, int) or not isinstance(rate, int | float):
            continue
        if (isinstance(good, int | float) and good > 1) or (failed and rate > 1):
            health = _mapping(seen.document(f"provider_health {name}"), "health").get("error_rate")
            yield Deviates(1, f"{name}: metrics say error_rate {rate:g} (percent), health says {health} (a fraction)")
            return
        if failed and abs(rate - failed / total) < 1 / PERCENT:
            yield Deviates(1, f"{name}: metrics say error_rate {rate:g} as a FRACTION; the suite reads percent")
            return


def _traffic(seen: _Seen) -> Iterator[Deviates]:
    identified = isinstance(seen.document("system_status").get("boot_id"), str)
    told = (
        "boot_id tells of a restart" if identified else "there is no boot_id: only falling counters tell of a restart"
    )
    yield Deviates(2, f"counters are cumulative; {told}")
    idle = [name for name, metrics in seen.metrics() if not metrics.get("total_requests")]
    if idle:
        yield Deviates(3, f"no traffic at {', '.join(idle)}: zeros and null percentiles are no data, not 0 % errors")
    paid = {each["name"] for each in seen.providers if each.get("provider_type") == CLOUD}
    used = [metrics for name, metrics in seen.metrics() if name in paid and metrics.get("total_requests")]
    spent = [_mapping(metrics, "cost").get("total_usd") for metrics in used]
    if spent and not any(spent):
        yield Deviates(4, "a cloud provider has traffic, and it costs 0: the cost impact cannot be read here")


def _names(seen: _Seen) -> Iterator[Deviates]:
    listed = {each["name"].casefold() for each in seen.providers}
    if seen.active and seen.active.casefold() not in listed:
        yield Deviates(14, f"{seen.active} is reported active, and no listed provider is called so")
    written = seen.config.get("ACTIVE_PROVIDER")
    if written and seen.active and str(written).casefold() not in seen.active.casefold():
        yield Deviates(7, f"configured is {written}, active is {seen.active}: an activation that waits for a restart?")
    by_key = [
        each["name"]
        for each in seen.providers
        if each.get("provider_type") == CLOUD and _connection(each).get("status") == "connected"
        if _connection(each).get("latency_ms") is None
    ]
    if by_key:
        yield Deviates(11, f"{', '.join(by_key)}: connected without a latency may only mean that a key is set")
    stuck = [each["name"] for each in seen.providers if not _mapping(each, "capabilities").get("activate")]
    if stuck:
        yield Deviates(13, f"not to be activated here: {', '.join(stuck)}")
    if seen.calls.get("activate, elsewhere") and seen.answers("activate, elsewhere"):
        yield Deviates(13, f"{OTHER_ACTIVATION} may be there: local runtimes may have to be activated with it")
    rewritten = seen.rewritten
    if rewritten:
        yield Deviates(8, f"an activation may rewrite {', '.join(rewritten)} besides provider and model")


def _audit(seen: _Seen) -> Iterator[Deviates]:
    if not seen.answers("audit"):
        return
    entries = _list(seen.document("audit"), "entries")
    if not any("activat" in str(each.get("action", "")).casefold() for each in entries):
        yield Deviates(19, "the audit log holds no activation: either there was none since the start, or none is kept")
    if entries and all(each.get("user") in (None, "", "unknown") for each in entries):
        yield Deviates(19, "the audit log names nobody: every entry's user is unknown")


def _alerts(seen: _Seen) -> Iterator[Deviates]:
    firing = _list(seen.document("alerts"), "alerts")
    long = [each for each in firing if _lasts_s(each) > LONG_ALERT_S]
    if long:
        hours = max(map(_lasts_s, long)) / 3600
        yield Deviates(23, f"alerts last {hours:.0f} h, long after their cause is gone")
    if firing:
        kinds = ", ".join(sorted({f"{each.get('alert_type')}/{each.get('provider') or '-'}" for each in firing}))
        yield Deviates(23, f"firing already: {kinds}; a critical one blocks the precheck")


def _guarantees(seen: _Seen) -> Iterator[Guarantee]:
    model = bool(_model_key(seen))
    way_back = bool(seen.active) and model
    no_way = "no provider is reported active" if not seen.active else "no key of config/runtime holds the active model"
    yield _guarantee("the way back is known (PRE-2.4)", way_back, f"{seen.active} and its model can be read", no_way)
    active = next(
        (p for p in seen.providers if p.get("is_active") or p["name"].casefold() == seen.active.casefold()), {}
    )
    can = bool(_mapping(active, "capabilities").get("activate"))
    yield Guarantee(
        "the way back is accepted (APP-0.2)",
        "unknown" if can else "no",
        "only activating it once more shows it" if can else f"{seen.active or 'nothing'} is not said to be activatable",
    )
    yield _read_back(seen)
    yield _each(seen, "a provider that goes offline is noticed (MON-1)", "status")
    yield _each(seen, "errors and latency are judged (MON-2, MON-3)", "metrics")
    yield _call(seen, "critical alerts are noticed (MON-4)", "alerts")
    yield Guarantee("errors in the log are noticed (MON-5)", "no", "the log is not read over HTTP; set log_file")
    yield _call(seen, "limits are backed up and compared (PRE-1.3, APP-3)", "governance")
    yield Guarantee("`.env` is backed up and restored (RBK-3)", "no", "not over HTTP; set env_file and service")
    known = seen.answers("chat") or seen.answers("chat, elsewhere")
    why = "the call is there; it was not sent" if known else "no call for a completion was found; set chat_with"
    yield Guarantee("a real request proves it (VER-2)", "unknown" if known else "no", why)
    yield _call(seen, "the audit log is compared (VER-3)", "audit")
    boot = isinstance(seen.document("system_status").get("boot_id"), str)
    yield _guarantee("a restart is told from traffic", boot, "boot_id", "no boot_id; a falling counter counts as one")


def _read_back(seen: _Seen) -> Guarantee:
    what, stale = "a write is read back (APP-1.2, RBK-4)", seen.stalest
    if stale is None:
        return Guarantee(what, "unknown", "no header speaks of a cache; a lagging replica does not show (stale_for)")
    why = f"GET {stale.path} comes from a cache, and may be {stale.stale_for_s:g} s old"
    if stale.stale_for_s > LONGEST_STALE_S:
        return Guarantee(what, "no", f"{why}, longer than the suite waits ({LONGEST_STALE_S:g} s); read past the cache")
    return Guarantee(what, "yes", f"{why}: each proof waits for that (stale_for)")


def _guarantee(what: str, can: bool, yes: str, no: str) -> Guarantee:
    return Guarantee(what, "yes" if can else "no", yes if can else no)


def _call(seen: _Seen, what: str, name: str) -> Guarantee:
    call = seen.calls[name]
    return Guarantee(what, "yes" if call.answers else "no", f"GET {call.path}: {call.said}")


def _each(seen: _Seen, what: str, name: str) -> Guarantee:
    calls = [call for key, call in seen.calls.items() if key.startswith(f"{name} ")]
    bad = [f"{call.name}: {call.said}" for call in calls if not call.answers]
    if not calls:
        return Guarantee(what, "no", "no provider is listed")
    return _guarantee(what, not bad, f"for {len(calls)} providers", "; ".join(bad))


def _target(url: str, seen: _Seen, token_env: str | None) -> dict[str, Any]:
    """Return the settings to start from, as ``targets.yaml`` has them."""
    # A tunnel is on loopback too; elsewhere the question is none that a real gateway should see.
    embedded = is_loopback(url) and prove_embedded(url).is_embedded
    found: dict[str, Any] = {"url": url, "environment": SANDBOX if embedded else PRODUCTION}
    if token_env:
        found["token_env"] = token_env
    if not seen.answers("health") and seen.answers("health, elsewhere"):
        found["paths"] = {"health": OTHER_HEALTH}
    if not seen.answers("chat") and seen.answers("chat, elsewhere"):
        found["chat_with"] = {"path": OTHER_CHAT, "body": {"content": "{prompt}"}}
    keys = {"provider_key": _provider_key(seen), "model_key": _model_key(seen)}
    found |= {setting: key for setting, key in keys.items() if key}
    rewritten = [key for key in seen.rewritten if key != found.get("provider_key")]
    if rewritten:
        found["activation_rewrites"] = rewritten
    listed = [each["name"] for each in seen.providers]
    alias = [name for name in listed if seen.active.casefold().startswith(f"{name.casefold()}-")]
    if seen.active and seen.active.casefold() not in {name.casefold() for name in listed} and alias:
        found["reported_as"] = {alias[0]: seen.active}
    if seen.stalest and seen.stalest.stale_for_s <= LONGEST_STALE_S:
        found["stale_for"] = f"{seen.stalest.stale_for_s:g}s"
    return found | {"env_file": "none", "log_file": "none", "notify": ["log"]}


def _provider_key(seen: _Seen) -> str | None:
    """Return the key that holds the active provider; the documented one where it does."""
    keys = ("ACTIVE_PROVIDER", *sorted(seen.config))
    return next((key for key in keys if seen.active and seen.config.get(key) == seen.active), None)


def _model_key(seen: _Seen) -> str | None:
    keys = ("LLM_MODEL_NAME", *sorted(key for key in seen.config if key.endswith(("MODEL", "MODEL_NAME"))))
    return next((key for key in keys if seen.config.get(key)), None)


def text(found: Findings) -> str:
    """Return the findings for people."""
    lines = [f"{found.url}, read only", "", "calls"]
    lines += [f"  {'yes' if c.answers else 'NO ':<4} {c.name:<26} {c.path}: {c.said}" for c in found.calls]
    lines += ["", "what may cost money, none of which was sent; a rollout sends it at these clauses"]
    lines += [f"  {paid.method:<4} {paid.call}: {paid.why} ({paid.clauses})" for paid in MAY_COST]
    lines += ["", "deviations that show (numbers of docs/GATEWAY_API.md); what only a write shows is not among them"]
    lines += [f"  {each.number:>2}  {each.seen}" for each in found.deviations] or ["  none"]
    lines += ["", "what the suite can guarantee here"]
    lines += [f"  {each.can:<8} {each.what}: {each.why}" for each in found.guarantees]
    return "\n".join([*lines, ""])


def target_file(found: Findings) -> str:
    """Return a ``targets.yaml`` to start from."""
    import yaml  # noqa: PLC0415 - only here

    body = yaml.safe_dump({found.name: dict(found.target)}, sort_keys=False, allow_unicode=True)
    local = [call for call in found.calls if call.name == "activate, elsewhere" and call.answers]
    hints = [
        "# A target file to start from, as `rollout doctor` found the gateway. Add what it cannot see:",
        "#   safe: {activate: PROVIDER, model: MODEL}   where an emergency goes",
        "#   staging: https://…                         the staging gateway (PRE-3)",
        "#   env_file, log_file, service                the service's files and commands; `none` is a decision",
        "#   startup: 60s                               how long a restart may take (15s where nothing is said)",
        "#   restart: true                              activations take effect only after a restart;",
        "#   providers: {NAME: {restart: true}}         or those of one provider do",
    ]
    if "stale_for" not in found.target:
        hints.append(
            "#   stale_for: 10s                             how long reads may lag a write (a cache, a replica)"
        )
    if local:
        call = f'{{path: {OTHER_ACTIVATION}, body: {{server_name: "{{provider}}", model: "{{model}}"}}}}'
        hints.append(f"#   activate_with: {{ollama: {call}}}")
    return "\n".join(hints) + "\n" + body


def write(found: Findings, path: Path) -> None:
    """Write the target file; one that is there is never overwritten.

    Raises:
        RolloutError: it is there, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(target_file(found))
    except FileExistsError:
        raise RolloutError(f"{path} is there already and is not overwritten; name another file") from None
    except OSError as problem:
        raise RolloutError(f"{path} cannot be written ({problem.strerror})") from None


def _why(answer: Answer, document: Mapping[str, Any]) -> str:
    if answer.status in DENIED:
        return f"{answer.status}: it asks for a token; name its variable with --token-env"
    return f"{answer.status}: {parsing.words(document)}" if document else str(answer.status)


def _json(answer: Answer) -> Mapping[str, Any]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _list(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _connection(provider: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(provider, "connection_status")


def _lasts_s(alert: Mapping[str, Any]) -> float:
    try:
        moments = [datetime.fromisoformat(str(alert[key])) for key in ("timestamp", "expires_at")]
        return (moments[1] - moments[0]).total_seconds()
    except (KeyError, ValueError, TypeError):
        return 0.0
