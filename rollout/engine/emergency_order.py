"""The order of `rollout emergency`: its options, the target's entry in the targets' file, and the active provider."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rollout.config.project import TARGETS, journal_in
from rollout.core.caller import caller, identify
from rollout.core.clock import SystemClock, format_utc
from rollout.core.errors import RolloutError
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.target import OtherCall, Target
from rollout.core.visible import on_one_line
from rollout.core.writes import ReadCall
from rollout.gateway import bare_http
from rollout.gateway.drivers.selection import driver_of

ACTIVE_WITHIN_S = 0.2
"""How many seconds the read of the active provider may delay the activation."""

_LONGEST = 2_000_000
"""The most bytes that a command may print that reads the active provider."""
_EMBEDDED = "embedded"
_TEXTS = ("token_env", "user", "provider_key", "model_key")
_MAPPINGS = ("paths", "reported_as", "tls")
_BELOW_SETTINGS = ("paths", "activate_with", "reported_as", "provider_key", "model_key")
"""What an emergency reads of the settings of the default kind, which stand below ``settings:`` or in the target."""


@dataclass(frozen=True)
class Order:
    """What the operator asked for, and everything that is needed to send it.

    Attributes:
        id: names the emergency, which is a rollout, and its folder below `reports`.
        at: when the operator asked, UTC.
        by: the operator.
        reason: the operator's reason.
        target: the target as the journal keeps it: its name, url, paths, other calls, service.
        channels: who is notified: ``log`` or the name of an environment variable.
        provider: the provider to activate.
        model: its model, always sent.
        before: ``provider:model`` that was active; None where the gateway did not answer in time.
        reports: the folder of the evidence.
        targets: the targets' file.
        wanted: ``--target`` and ``--gateway`` as they were given.
        restart: restart the service in any case.
        journal: the journal's URL.
        policy: the file in the place of ``policy.yaml``; None uses that beside the targets.
        caller: the operator, and the job of a CI service, as a journal records them; empty records nothing.
    """

    id: str
    at: str
    by: str
    reason: str
    target: Mapping[str, Any]
    channels: tuple[str, ...]
    provider: str
    model: str
    before: str | None
    reports: Path
    targets: Path
    wanted: tuple[str | None, str | None]
    restart: bool
    journal: str
    policy: Path | None = None
    caller: Mapping[str, str] = field(default_factory=dict)

    @property
    def to(self) -> str:
        """What to activate, ``provider:model``."""
        return f"{self.provider}:{self.model}"

    @property
    def described(self) -> Target:
        """The target, as far as an emergency knows it, for the driver that describes the activation."""
        return describe(self.target)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout emergency``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument("--target", metavar="NAME", help="the target; its `safe:` says where to go")
    parser.add_argument("--gateway", metavar="URL", help="a base URL in place of the target's; asks first")
    parser.add_argument("--provider", metavar="P", help="go there instead of the safe one; asks first")
    parser.add_argument("--model", metavar="M", help="its model")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--restart", action="store_true", help="restart the service in any case")
    parser.add_argument("--reason", default="emergency", help="why, for the record")
    parser.add_argument("--targets", metavar="FILE", type=Path, help="default: scenarios/targets.yaml")


def read_order(args: argparse.Namespace, env: Mapping[str, str]) -> Order:
    """Return the operator's order; ask for a yes where the target does not declare this provider and URL.

    Raises:
        RolloutError: the order cannot be carried out, or is not confirmed; nothing is sent.
    """
    if not (args.target or args.gateway):
        raise RolloutError("name the gateway: --target=NAME of the targets' file, or --gateway=URL")
    reports, now = args.reports, datetime.now(UTC)
    targets = args.targets or args.scenarios / TARGETS
    settings = _read_settings(targets, args.target) if args.target else {}
    provider, model, declared = _choose_provider(args, settings)
    url = _check_url(args.gateway or settings.get("url") or _find_embedded(reports))
    target = _describe_target(args.target or urlsplit(url).netloc, url, settings)
    read_token(target, env)
    if not (declared and args.gateway is None) and not args.yes:
        _confirm(f"{url} to {provider}:{model}")
    return Order(
        id=f"{now:%Y%m%d-%H%M%S}-emergency-{os.urandom(2).hex()}",
        at=format_utc(now),
        by=caller(),
        reason=args.reason,
        target=target,
        channels=tuple(_texts(settings.get("notify"))) or ("log",),
        provider=provider,
        model=model,
        before=read_active(target, env),
        reports=reports,
        targets=targets,
        policy=args.policy,
        wanted=(args.target, args.gateway),
        restart=args.restart,
        journal=args.journal or journal_in(reports),
        caller=identify(env).facts(),
    )


def read_active(target: Mapping[str, Any], env: Mapping[str, str]) -> str | None:
    """Return the active ``provider:model``, so that it can be undone; None where it is not read in time.

    Two threads read in parallel. One that takes too long is abandoned: it must not delay the activation.
    """
    driver, token = driver_of(describe(target)), read_token(target, env)
    calls = driver.active_calls()
    answers: list[Any] = [None] * len(calls)

    def read(number: int, call: ReadCall) -> None:
        with suppress(OSError, ValueError, RecursionError, RolloutError):
            answers[number] = _read(call, target, token)

    reads = [threading.Thread(target=read, args=numbered, daemon=True) for numbered in enumerate(calls)]
    for each in reads:
        each.start()
    until = datetime.now(UTC).timestamp() + ACTIVE_WITHIN_S
    for each in reads:
        each.join(max(0.0, until - datetime.now(UTC).timestamp()))
    place = driver.place_in(answers)
    return None if place is None else str(place)


def _read(call: ReadCall, target: Mapping[str, Any], token: str) -> Any:
    """Return the JSON that a call answers, or that its command prints; None where it answers another status than 200.

    Raises:
        OSError: there is no answer.
        ValueError: it is no JSON.
        RolloutError: the command failed, or did not end in time.
    """
    within_s = 5 * ACTIVE_WITHIN_S
    if call.command:
        from rollout.gateway.host.commands import exchange  # noqa: PLC0415 - a call does without

        # What fails is not shown, so nothing of it has to be redacted.
        return json.loads(
            exchange(call.command, timeout_s=within_s, clock=SystemClock(), redact=str, setting="", longest=_LONGEST)
        )
    status, body = bare_http.exchange(target, token, call.method, call.path, None, within_s)
    return json.loads(body) if status == 200 else None  # noqa: PLR2004


def describe(target: Mapping[str, Any]) -> Target:
    """Return a target as the journal keeps one, as far as its driver needs it to describe an activation."""
    calls = {name: OtherCall(call["path"], call["body"]) for name, call in target.get("activate_with", {}).items()}
    texts = {key: target[key] for key in ("token_env", "provider_key", "model_key") if key in target}
    return Target(
        name=target["name"],
        environment=target["environment"],
        url=target["url"],
        paths=target.get("paths", {}),
        activate_with=calls,
        reported_as=target.get("reported_as", {}),
        kind=target.get("kind", DEFAULT_KIND),
        settings=target.get("settings", {}),
        **texts,
    )


def _read_settings(path: Path, name: str) -> Mapping[str, Any]:
    """Return one entry of the targets' file; a mistake elsewhere in it does not stop an emergency."""
    import yaml  # noqa: PLC0415 - not needed with --gateway alone

    # Every value stays text: none becomes a number, a date or a boolean.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        found = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - it makes text, lists and mappings only
    except OSError as problem:
        raise RolloutError(
            f"{path}: cannot be read ({problem.strerror}); run it where the file is, or give --targets"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise RolloutError(f"{path}: is not valid YAML ({problem}); give --gateway, --provider and --model") from None
    known = found if isinstance(found, dict) else {}
    if name == _EMBEDDED and name not in known:
        return {}
    if not isinstance(known.get(name), dict):
        raise RolloutError(f"{path}: {name!r} is no target; it knows {', '.join(map(str, known)) or 'none'}")
    return _with_settings(path, name, known[name])


def _with_settings(path: Path, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target's entry with the settings of the default kind among its keys, and those of another validated."""
    kind, below = entry.get("kind") or DEFAULT_KIND, entry.get("settings")
    settings = below if isinstance(below, dict) else {}
    if kind != DEFAULT_KIND:
        return {**entry, "settings": _validated(path, name, str(kind), settings)}
    return {**{key: settings[key] for key in _BELOW_SETTINGS if key in settings}, **entry}


def _validated(path: Path, name: str, kind: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a driver, whose model reads the text of every value.

    Raises:
        RolloutError: no installed package brings the kind, or its model refuses the settings.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - the default kind does without

    from rollout.gateway.drivers.registry import load_driver  # noqa: PLC0415 - likewise

    try:
        read = load_driver(kind).settings.model_validate(settings)
    except ValidationError as problem:
        what = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors())
        raise RolloutError(f"{path}: the settings of {name!r} cannot be used: {what}; correct them") from None
    found: Mapping[str, Any] = read.model_dump(mode="json", by_alias=True)
    return found


def _choose_provider(args: argparse.Namespace, settings: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Return provider, model, and whether they are the declared ones."""
    safe = settings.get("safe") if isinstance(settings.get("safe"), dict) else {}
    declared = (safe.get("activate", ""), safe.get("model", "")) if safe else ("", "")
    if bool(args.provider) != bool(args.model):
        raise RolloutError("give --provider and --model together: an activation without a model would reset it")
    asked = (args.provider, args.model) if args.provider else declared
    if not all(isinstance(part, str) and part for part in asked):
        what = (
            f"target {args.target!r} declares no `safe: {{activate: …, model: …}}`"
            if args.target
            else "nothing is safe there"
        )
        raise RolloutError(f"{what}; give --provider and --model")
    return asked[0], asked[1], asked == declared


def _find_embedded(reports: Path) -> str:
    """Return the URL of the one on-demand gateway that runs.

    Raises:
        RolloutError: none runs, or several do.
    """
    from rollout.sandbox.files import RECORD  # noqa: PLC0415

    urls = []
    for path in sorted(reports.glob(f"sandbox/*/{RECORD}")):
        try:
            record = json.loads(path.read_bytes())
            os.kill(int(record["pid"]), 0)
        except (OSError, ValueError, KeyError):
            continue
        urls.append(str(record["url"]))
    if len(urls) != 1:
        raise RolloutError(
            f"one embedded gateway must run below {reports}, and there run: {', '.join(urls) or 'none'}; give --gateway"
        )
    return urls[0]


def _check_url(url: Any) -> str:
    parts = urlsplit(url if isinstance(url, str) and "@" not in url else "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RolloutError("the gateway's URL is none; write one such as https://gateway.example.com")
    return str(url).rstrip("/")


def _describe_target(name: str, url: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target as the journal keeps one, without what an emergency does not need or cannot read."""
    kept: dict[str, Any] = {"name": name, "environment": settings.get("environment") or "production", "url": url}
    kept |= {key: settings[key] for key in _TEXTS if isinstance(settings.get(key), str)}
    kept |= {key: settings[key] for key in _MAPPINGS if isinstance(settings.get(key), dict)}
    if settings.get("kind", DEFAULT_KIND) != DEFAULT_KIND:
        kept |= {"kind": settings["kind"], "settings": settings["settings"]}
    if str(settings.get("env_file", "")).startswith("/"):
        kept["env_file"] = settings["env_file"]
    if isinstance(settings.get("activate_with"), dict):
        kept["activate_with"] = {
            provider: {"path": str(call["path"]), "body": dict(call.get("body") or {})}
            for provider, call in settings["activate_with"].items()
            if isinstance(call, dict) and "path" in call
        }
    return kept


def _texts(value: Any) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def read_token(target: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Return the bearer token, empty where the target sends none.

    Raises:
        RolloutError: it is not set, or no header can carry it; the message never holds it.
    """
    name = target.get("token_env")
    if not name:
        return ""
    token = env.get(name, "")
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        raise RolloutError(f"the environment variable {name} is not set to a token that a header can carry")
    return token


def _confirm(what: str) -> None:
    """Ask the operator for a yes.

    Raises:
        RolloutError: there is no terminal, or the answer is another one.
    """
    if not sys.stdin.isatty():
        raise RolloutError(
            f"{what} is not the target's declared safe provider, and there is no terminal to ask on; give --yes"
        )
    if input(f"{on_one_line(what)}: type yes to go there: ").strip().casefold() not in ("y", "yes"):
        raise RolloutError("not confirmed; nothing was sent")
