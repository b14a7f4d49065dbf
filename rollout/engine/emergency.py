"""``rollout emergency``: to the safe provider and model, at once (EMG).

From the shell's return key to the activation request half a second may pass, so what runs before it imports almost
nothing, reads of the targets' file no more than this one target, and writes its intent into a file. Whatever can come
later is in `rollout.engine.emergency_followup`: the journal, the takeover, the read-back, the restart, the request and
the records.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rollout.core.caller import caller
from rollout.core.clock import format_utc
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.scenario import EMERGENCY_SOURCE
from rollout.core.visible import on_one_line
from rollout.gateway.endpoints import activation_of, path_of

TARGETS = Path("scenarios") / "targets.yaml"
NOTED_WITHIN_S = 0.2
"""How long the look at what is active may delay the activation."""

FENCED_WITHIN_S = 0.1
FENCED_IN_POSTGRESQL_WITHIN_S = 0.3
HELD_S = 60.0
LARGEST_ANSWER = 1_000_000
SAID_CHARACTERS = 200
REFUSED = range(400, 500)
BUSY = 429
_TAKE_OVER = (
    "UPDATE rollout_lease SET token = token + 1, rollout = ?, holder = ?, since = ?, until = ?, "
    "released = false WHERE target = ?"
)
_EMBEDDED = "embedded"
_ACTIVATES_WITHIN_S = 30.0
_TEXTS = ("token_env", "user", "provider_key", "model_key")
_MAPPINGS = ("paths", "reported_as")


@dataclass(frozen=True)
class Order:
    """What was asked for, and everything that is needed to send it.

    Attributes:
        id: names the emergency like a rollout, and its folder below `reports`.
        at: when it was asked for, UTC.
        by: who asked.
        reason: why, in their words.
        target: the target as the journal keeps it: its name, url, paths, other calls, service.
        channels: who is told: ``log`` or the name of an environment variable.
        provider: where to go.
        model: the model, always sent.
        before: ``provider:model`` that was active; None where the gateway did not say in time.
        reports: where evidence is.
        targets: the targets' file.
        wanted: ``--target`` and ``--gateway`` as they were given.
        restart: restart whatever the read-back says.
        journal: the journal's URL.
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

    @property
    def to(self) -> str:
        """Where to go, ``provider:model``."""
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True)
class Sent:
    """What became of the activation: ``done``, ``refused`` or ``unknown``, and the gateway's words."""

    result: str
    detail: str


Say = Callable[[str], None]
Finish = Callable[[Order, Sent, Mapping[str, str], Say], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout emergency``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument("--target", metavar="NAME", help="the target; its `safe:` says where to go")
    parser.add_argument("--gateway", metavar="URL", help="a base URL in place of the target's; asks first")
    parser.add_argument("--provider", metavar="P", help="go there instead of the safe one; asks first")
    parser.add_argument("--model", metavar="M", help="its model")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--restart", action="store_true", help="restart the service, whatever the read-back says")
    parser.add_argument("--reason", default="emergency", help="why, for the record")
    parser.add_argument("--targets", metavar="FILE", type=Path, default=TARGETS, help=f"default: {TARGETS}")


def run(args: argparse.Namespace, finish: Finish) -> int:
    """Go to the safe provider, prove it, record it.

    Args:
        args: the options.
        finish: what follows the activation (`rollout.engine.emergency_followup`), loaded when it is called.

    Returns:
        0 done and verified, 11 not verified: a person is needed.

    Raises:
        RolloutError: what was asked for cannot be done; nothing was sent.
    """
    order = ordered(args, os.environ)
    _say(f"EMERGENCY {order.id}: {order.target['url']} to {order.to}; active was {order.before or 'not readable'}")
    _spool(order)
    _fence(order)
    sent = activate(order, os.environ)
    _say(f"activation: {sent.result}{f', {sent.detail}' if sent.detail else ''}")
    try:
        return finish(order, sent, os.environ, _say)
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001 - whatever it is, people must hear where they stand
        return _left(order, sent, problem)


def _left(order: Order, sent: Sent, problem: BaseException) -> int:
    """Say what is known where the proof could not be made, and what a person can paste."""
    from rollout.gateway import manual_commands  # noqa: PLC0415 - what the activation does not need comes after it

    path, body = request_of(order)
    url, token_env = order.target["url"], order.target.get("token_env")
    look = manual_commands.get(f"{url}{path_of('providers', order.target.get('paths', {}))}", token_env)
    why = _without_secrets(repr(problem), order, os.environ)
    _say(f"EMERGENCY NOT VERIFIED: the activation of {order.to} was {sent.result}, and then: {why}")
    _say(f"A PERSON IS NEEDED. Look, then paste:\n  {look}\n  {manual_commands.post(f'{url}{path}', body, token_env)}")
    return ExitCode.ROLLBACK_FAILED


def ordered(args: argparse.Namespace, env: Mapping[str, str]) -> Order:
    """Return what was asked for, with what is active now; asks a person where it is not the declared way.

    Raises:
        RolloutError: it cannot be done, or was not confirmed; nothing was sent.
    """
    if not (args.target or args.gateway):
        raise RolloutError("name the gateway: --target=NAME of the targets' file, or --gateway=URL")
    reports, now = Path(args.reports).absolute(), datetime.now(UTC)
    settings = _settings(args.targets, args.target) if args.target else {}
    provider, model, declared = _where_to(args, settings)
    url = _base(args.gateway or settings.get("url") or _embedded(reports))
    target = _recordable(args.target or urlsplit(url).netloc, url, settings)
    _token(target, env)
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
        before=noted(target, env),
        reports=reports,
        targets=args.targets,
        wanted=(args.target, args.gateway),
        restart=args.restart,
        journal=args.journal or f"sqlite:///{reports / 'journal.sqlite'}",
    )


def noted(target: Mapping[str, Any], env: Mapping[str, str]) -> str | None:
    """Return the active ``provider:model``, so that it can be undone; None where it is not known in time.

    Both looks run side by side and are left behind when they take too long: they must not delay the activation.
    """
    paths = target.get("paths", {})
    seen: dict[str, Any] = {}

    def look(call: str) -> None:
        try:
            status, body = _exchange(target, env, "GET", path_of(call, paths), None, 5 * NOTED_WITHIN_S)
            seen[call] = json.loads(body) if status == 200 else None  # noqa: PLR2004
        except (OSError, HTTPException, ValueError, RecursionError):
            seen[call] = None

    looks = [threading.Thread(target=look, args=(call,), daemon=True) for call in ("providers", "runtime_config")]
    for each in looks:
        each.start()
    until = datetime.now(UTC).timestamp() + NOTED_WITHIN_S
    for each in looks:
        each.join(max(0.0, until - datetime.now(UTC).timestamp()))
    try:
        reported = seen["providers"]["active_provider"]
        model = seen["runtime_config"]["config"][target.get("model_key", "LLM_MODEL_NAME")]
        names = {alias.casefold(): name for name, alias in target.get("reported_as", {}).items()}
        provider = names.get(reported.casefold(), reported)
    except (KeyError, TypeError, AttributeError):
        return None
    return f"{provider}:{model}" if provider and model else None


def activate(order: Order, env: Mapping[str, str]) -> Sent:
    """Send the activation, once, and return what became of it; never raises for what the gateway does."""
    try:
        path, body = request_of(order)
        status, answer = _exchange(order.target, env, "POST", path, body, _ACTIVATES_WITHIN_S)
    except (OSError, HTTPException, ValueError) as problem:
        return Sent("unknown", _without_secrets(f"no answer ({str(problem) or type(problem).__name__})", order, env))
    if status in REFUSED:
        return Sent("unknown" if status == BUSY else "refused", _said(status, answer, order, env))
    try:
        claimed = json.loads(answer).get("status")
    except (ValueError, AttributeError, RecursionError):
        claimed = None
    # A claim only: whether it is true, the read-back says (deviations 6 and 9).
    ok = status == 200 and claimed != "error"  # noqa: PLR2004
    return Sent("done", "") if ok else Sent("unknown", _said(status, answer, order, env))


def _said(status: int, answer: bytes, order: Order, env: Mapping[str, str]) -> str:
    # Redacted first, cut then: half a secret would not be recognised.
    return f"{status}: {_without_secrets(answer.decode(errors='replace'), order, env)[:SAID_CHARACTERS]}"


def _without_secrets(text: str, order: Order, env: Mapping[str, str]) -> str:
    """Return the gateway's words without the token, the environment's secrets and those of the `.env` file."""
    from rollout.core.redaction import knowing  # noqa: PLC0415 - the activation has been sent

    redactor = knowing(env)
    redactor.add(_token(order.target, env))
    if "env_file" in order.target:
        from rollout.gateway.host.env_text import EnvFileError, values  # noqa: PLC0415

        with suppress(OSError, EnvFileError):
            named = (order.provider, order.model, *(order.before or "").split(":", 1))
            redactor.learn_file(values(Path(order.target["env_file"]).read_bytes()), named)
    return redactor.text(text)


def request_of(order: Order) -> tuple[str, dict[str, str]]:
    """Return path and body of the activation, the target's own call for this provider before the documented one."""
    others = {name: (call["path"], call["body"]) for name, call in order.target.get("activate_with", {}).items()}
    return activation_of(others, order.target.get("paths", {}), order.provider, order.model)


def opening(order: Order) -> list[tuple[str, dict[str, Any]]]:
    """Return the first entries of its record: what it is, and the intent that stands before the write."""
    change = {"provider": order.provider, "model": order.model, "restart": order.restart}
    scenario = {
        "name": "emergency",
        "source": EMERGENCY_SOURCE,
        "target": order.target["name"],
        "changes": [change],
        "author": order.by,
        "notify": list(order.channels),
    }
    opened = {
        "digest": order.id,  # nothing was approved, and no later run may continue it
        "scenario": scenario,
        "target": order.target,
        "policy": {"name": "emergency"},
        "change": f"EMERGENCY {order.to}",
        "author": order.by,
        "ticket": None,
        "url": order.target["url"],
        "reason": order.reason,
        "before": order.before,
    }
    intent = {"step": "EMG-1", "direction": "forward", "to": order.to, "before": order.before}
    return [("opened", opened), ("intent", intent)]


def _spool(order: Order) -> None:
    """Put the intent on disk, where `rollout.journal.spool.reconcile` finds it whatever becomes of this process.

    A disk that takes nothing does not stop an emergency.
    """
    folder = order.reports / order.id
    lines = "".join(
        json.dumps({"at": order.at, "rollout": order.id, "kind": kind, "body": body, "because": "emergency"}) + "\n"
        for kind, body in opening(order)
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The name that `rollout.journal.spool` gives it, which is too heavy to ask.
        handle = os.open(folder / "journal-spool.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "wb") as spool:
            spool.write(lines.encode())
            spool.flush()
            os.fsync(spool.fileno())
    except OSError as problem:
        sys.stderr.write(f"the intent cannot be recorded ({problem}): {lines}")


def _fence(order: Order) -> None:
    """Give out a newer token for a target that a rollout holds.

    Else the rollout would take the emergency for somebody's change, and roll it back, before the journal's own library
    is loaded. Where this does not work in time, `rollout.engine.emergency_followup` does it later.
    """
    until = format_utc(datetime.now(UTC) + timedelta(seconds=HELD_S))
    row = (order.id, f"emergency of {order.by}", order.at, until, order.target["url"])
    if order.journal.startswith("postgresql"):
        # A database that does not answer must not delay the activation: it is left behind.
        fencing = threading.Thread(target=_fence_in_postgresql, args=(order.journal, row), daemon=True)
        fencing.start()
        fencing.join(FENCED_IN_POSTGRESQL_WITHIN_S)
    elif order.journal.startswith("sqlite:///"):
        _fence_in_file(Path(order.journal.removeprefix("sqlite:///")), row)


def _fence_in_file(path: Path, row: tuple[str, ...]) -> None:
    if not path.exists():
        return
    import sqlite3  # noqa: PLC0415 - only such a journal needs it

    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=FENCED_WITHIN_S)) as journal, journal:
        journal.execute(_TAKE_OVER, row)


def _fence_in_postgresql(journal: str, row: tuple[str, ...]) -> None:
    with suppress(Exception):
        import psycopg  # noqa: PLC0415 - only such a journal needs it

        url = re.sub(r"^postgresql(\+\w+)?://", "postgresql://", journal)
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute(_TAKE_OVER.replace("?", "%s"), row)


def _settings(path: Path, name: str) -> Mapping[str, Any]:
    """Return what the targets' file says of one target; a mistake elsewhere in it does not stop an emergency."""
    import yaml  # noqa: PLC0415 - not needed with --gateway alone

    # Every value as text: nothing is taken for a number, a date or a yes.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        found = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - it makes texts, lists and mappings only
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
    settings: Mapping[str, Any] = known[name]
    return settings


def _where_to(args: argparse.Namespace, settings: Mapping[str, Any]) -> tuple[str, str, bool]:
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


def _embedded(reports: Path) -> str:
    """Return where the one on-demand gateway that runs is.

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
        running = ", ".join(urls) or "none"
        raise RolloutError(f"one embedded gateway must run below {reports}, and there run: {running}; give --gateway")
    return urls[0]


def _base(url: Any) -> str:
    parts = urlsplit(url if isinstance(url, str) and "@" not in url else "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RolloutError("the gateway's URL is none; write one such as https://gateway.example.com")
    return str(url).rstrip("/")


def _recordable(name: str, url: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target as the journal keeps one, of what matters here; what does not have its shape is left out."""
    kept: dict[str, Any] = {"name": name, "environment": settings.get("environment") or "production", "url": url}
    kept |= {key: settings[key] for key in _TEXTS if isinstance(settings.get(key), str)}
    kept |= {key: settings[key] for key in _MAPPINGS if isinstance(settings.get(key), dict)}
    if str(settings.get("env_file", "")).startswith("/"):
        kept["env_file"] = settings["env_file"]
    if isinstance(settings.get("tls"), dict):
        kept["tls"] = dict(settings["tls"])
    if isinstance(settings.get("activate_with"), dict):
        kept["activate_with"] = {
            provider: {"path": str(call["path"]), "body": dict(call.get("body") or {})}
            for provider, call in settings["activate_with"].items()
            if isinstance(call, dict) and "path" in call
        }
    return kept


def _texts(value: Any) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _token(target: Mapping[str, Any], env: Mapping[str, str]) -> str:
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
    """Have a person say yes.

    Raises:
        RolloutError: nobody can be asked, or they said no.
    """
    if not sys.stdin.isatty():
        raise RolloutError(f"{what} is not the target's declared safe way, and nobody can be asked here; give --yes")
    if input(f"{on_one_line(what)}: type yes to go there: ").strip().casefold() not in ("y", "yes"):
        raise RolloutError("not confirmed; nothing was sent")


def _exchange(
    target: Mapping[str, Any], env: Mapping[str, str], method: str, path: str, body: Any, within_s: float
) -> tuple[int, bytes]:
    """Send one request and return status and body; no proxy, no redirect.

    Raises:
        OSError, HTTPException: there was no answer.
    """
    parts = urlsplit(target["url"])
    connection = _connection(target, parts.hostname or "", parts.port, parts.scheme, within_s)
    headers = {"User-Agent": "rollout", "X-User": target.get("user", "rollout"), "Accept": "application/json"}
    if token := _token(target, env):
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path + path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST_ANSWER)
    finally:
        connection.close()


def _connection(target: Mapping[str, Any], host: str, port: int | None, scheme: str, within_s: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=within_s)
    import ssl  # noqa: PLC0415 - only https needs it

    tls = target.get("tls", {})
    context = ssl.create_default_context(cafile=tls.get("ca_file"))
    if tls.get("client_cert"):
        context.load_cert_chain(tls["client_cert"], tls.get("client_key"))
    return HTTPSConnection(host, port, timeout=within_s, context=context)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
