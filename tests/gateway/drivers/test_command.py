"""The kind `command`: its settings, its description, and what it makes of the output of real commands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from pydantic import ValidationError

from rollout.core.capabilities import Capability
from rollout.core.clock import SystemClock
from rollout.core.errors import GatewayError
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target, Timeouts
from rollout.core.wishes import Activate, Split
from rollout.core.writes import Command, Read, Restart
from rollout.engine import emergency_order
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.command import CommandLine
from rollout.gateway.drivers.command_settings import CommandSettings
from rollout.gateway.drivers.masking import MASK
from rollout.gateway.sender import LONGEST_OUTPUT
from rollout.gateway.transport import Exchange

SECRET = "hunter2-planted-9f3c2b7a"
ACTIVE = {"provider": "ollama", "model": "gemma3"}
LISTED: list[dict[str, Any]] = [{"name": "ollama"}, {"name": "openai", "models": ["gpt-4o"]}]
SNAPSHOT: dict[str, Any] = {"active": ACTIVE, "providers": LISTED}
LEAST: dict[str, Any] = {
    "snapshot": ["/srv/state"],
    "activate": ["/srv/use", "{provider}", "--model={model}"],
    "ask": ["/srv/ask", "{prompt}"],
}


def printing(text: str, *, code: int = 0, errors: str = "") -> list[str]:
    """Return a command that prints this."""
    program = f"import sys; sys.stdout.write({text!r}); sys.stderr.write({errors!r}); sys.exit({code})"
    return [sys.executable, "-c", program.replace("{", "\\x7b").replace("}", "\\x7d")]


def target(**settings: Any) -> Target:
    """Return a target with these settings besides the least; None leaves one out."""
    said = {key: value for key, value in (LEAST | settings).items() if value is not None}
    found = CommandSettings.model_validate(said).model_dump(mode="json", by_alias=True)
    return Target("lab", "sandbox", url="http://127.0.0.1:1", kind="command", settings=found)


@contextmanager
def client(snapshot: Any = SNAPSHOT, *, exchanges: list[Exchange] | None = None, **settings: Any) -> Iterator[Gateway]:
    """Give a client whose snapshot command prints this; a text is printed as it is."""
    with NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(snapshot if isinstance(snapshot, str) else json.dumps(snapshot))
        file.flush()
        on = target(snapshot=["cat", file.name], **settings)
        keep = (exchanges if exchanges is not None else []).append
        made = Gateway(on, clock=SystemClock(), redactor=Redactor([SECRET]), on_exchange=keep)
        with closing(made) as found:
            yield found


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a line for a shell": ({"snapshot": "state | jq ."}, "is not a list of arguments"),
    "no snapshot": ({"snapshot": None}, "says no snapshot"),
    "no model": ({"activate": ["/srv/use", "{provider}"]}, "does not say where {model} stands"),
    "an unknown placeholder": ({"ask": ["/srv/ask", "{promt}", "{prompt}"]}, "is no placeholder here"),
    "a placeholder as the program": ({"test": ["{provider}"]}, "has a placeholder in its program's name"),
    "an offer that is none": ({"offers": ["weights"]}, "write status, counters, alerts or audit"),
    "no way to ask": ({"ask": None}, "is not one way to ask for a completion"),
    "two ways to ask": ({"chat": {}}, "is not one way to ask for a completion"),
    "names of its own output": ({"served_by": {"model": "model"}}, "has served_by beside ask"),
}


@pytest.mark.parametrize(("settings", "why"), REFUSED.values(), ids=REFUSED)
def test_settings_that_cannot_be_meant_are_refused_with_the_remedy(settings: dict[str, Any], why: str):
    with pytest.raises(ValidationError) as refused:
        target(**settings)
    assert why in str(refused.value)


def test_an_activation_is_the_targets_command_within_its_timeout():
    wish = Activate("openai", "gpt-4o")
    command = Command(("/srv/use", "openai", "--model=gpt-4o"), 30.0)
    assert CommandLine(target()).writes(wish) == (command,)
    assert CommandLine(target(restart=True)).writes(wish) == (command, Restart())
    assert CommandLine(target()).writes(replace(wish, restart=True)) == (command, Restart(if_needed=True))


def test_a_body_of_json_keeps_its_braces_and_a_value_is_never_filled_twice():
    body = '{"config": {"provider": "{provider}", "name": "{model}"}}'
    (command,) = CommandLine(target(activate=["curl", "-d", body])).writes(Activate("openai", "{provider}"))
    assert isinstance(command, Command)
    assert command.arguments[2] == '{"config": {"provider": "openai", "name": "{provider}"}}'


@pytest.mark.parametrize("wish", [Activate("openai", ""), Activate("--all", "gpt-4o"), Split({"openai": 1.0})])
def test_what_the_commands_cannot_be_asked_for_is_not_described(wish: Any):
    with pytest.raises(GatewayError):
        CommandLine(target()).writes(wish)


def test_capabilities_follow_from_what_is_named():
    least = CommandLine(target()).capabilities()
    assert {each for each, why in least.items() if why is None} == {Capability.SERVED_BY, Capability.LIVE_SWITCH}
    more = CommandLine(target(offers=["counters", "audit"], restart=True, ask=None, chat={})).capabilities()
    assert {each for each, why in more.items() if why is None} == {Capability.COUNTERS, Capability.AUDIT}


def test_a_read_is_shown_as_the_command_that_reads():
    shown = CommandLine(target(health=["/srv/up"], test=["/srv/test", "{provider}"]))
    assert shown.read_call(Read.ACTIVE).command == ("/srv/state",)
    assert shown.read_call(Read.HEALTH).command == ("/srv/up",)
    assert shown.read_call(Read.TEST_CONNECTION, "openai").command == ("/srv/test", "openai")


def test_the_snapshot_is_read():
    config = {"API_KEY": SECRET, "TIMEOUT": 30, "DEBUG": False}
    with client({**SNAPSHOT, "config": config}) as on:
        assert on.active_provider() == ProviderChange("ollama", "gemma3")
        assert [each.name for each in on.providers().providers] == ["ollama", "openai"]
        found = on.runtime_config().config
    assert (found["API_KEY"], found["TIMEOUT"], found["DEBUG"]) == (MASK, "30", "false")


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ("", "is not of the documented shape"),
    "a page": ("<html>", "is not of the documented shape"),
    "a list": ([], "the object"),
    "no active": ({"providers": SNAPSHOT["providers"]}, "active: field required"),
    "a misspelt key": ({**SNAPSHOT, "countrs": {}}, "countrs: extra inputs are not permitted"),
    "no model": ({**SNAPSHOT, "active": {"provider": "ollama"}}, "active.model: field required"),
    "an empty model": ({**SNAPSHOT, "active": {**ACTIVE, "model": ""}}, "active.model"),
    "no providers": ({**SNAPSHOT, "providers": []}, "providers"),
    "a provider twice": ({**SNAPSHOT, "providers": [{"name": "a"}, {"name": "A"}]}, "names a provider twice"),
    "a number as text": ({**SNAPSHOT, "counters": {"ollama": {"requests": "3", "failures": 0}}}, "requests"),
    "more failures": ({**SNAPSHOT, "counters": {"ollama": {"requests": 1, "failures": 2}}}, "more failures than"),
    "no counters": (SNAPSHOT, "it printed no counters, which the target's `offers` names"),
}


@pytest.mark.parametrize(("printed", "why"), BAD.values(), ids=BAD)
def test_an_output_of_another_shape_is_an_error_that_says_where(printed: Any, why: str):
    with client(printed, offers=["counters"]) as on, pytest.raises(GatewayError) as problem:
        on.providers()
    assert str(problem.value).startswith("RUN settings.snapshot: ")
    assert why in str(problem.value)


def test_no_message_and_no_evidence_holds_a_secret():
    exchanges: list[Exchange] = []
    wrong = {**SNAPSHOT, "active": {"provider": SECRET, "model": 1}, SECRET: 1}
    with client(wrong, exchanges=exchanges) as on, pytest.raises(GatewayError) as problem:
        on.providers()
    failing = [*printing("", code=3, errors=f"token {SECRET} expired"), f"--token={SECRET}"]
    with client(exchanges=exchanges, health=failing) as on, pytest.raises(GatewayError) as failed:
        on.health()
    assert "exit code 3" in str(failed.value)
    assert "correct the target's settings.health" in str(failed.value)
    assert len(exchanges) == 2
    assert SECRET not in f"{problem.value}{failed.value}{exchanges}"


def test_an_output_without_end_is_refused():
    command = [sys.executable, "-c", f"print('x' * {LONGEST_OUTPUT + 1})"]
    on = Gateway(target(snapshot=command), clock=SystemClock(), redactor=Redactor())
    with closing(on), pytest.raises(GatewayError, match=r"printed more than 2,097,152 bytes"):
        on.providers()


def test_a_command_that_does_not_end_is_killed_at_the_targets_timeout():
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    slow = replace(target(snapshot=command), timeouts=Timeouts(0.2, 0.2, 0.2))
    with closing(Gateway(slow, clock=SystemClock(), redactor=Redactor())) as on, pytest.raises(GatewayError) as problem:
        on.health()
    assert "did not end within 0.2 s, and was killed" in str(problem.value)


def test_counters_status_alerts_and_audit_are_those_of_the_snapshot():
    alert = {"id": "a", "severity": "critical", "alert_type": "DOWN", "provider": None, "message": "m"}
    alert |= {"timestamp": "t"}
    entry = {"timestamp": "t", "action": "x", "user": "bob", "provider": None, "details": {}, "result": "ok"}
    full = {
        "active": ACTIVE,
        "providers": [{**LISTED[0], "status": "connected"}, {**LISTED[1], "status": "offline", "message": "no"}],
        "counters": {"Ollama": {"requests": 4, "failures": 1}},
        "alerts": [alert, {**alert, "severity": "info"}],
        "audit": [entry, entry],
    }
    with client(full, offers=["status", "counters", "alerts", "audit"]) as on:
        counted = on.metrics("ollama")
        assert (counted.total_requests, counted.failed_requests, counted.error_rate) == (4, 1, 0.25)
        assert (on.status("openai").status, on.status("openai").message) == ("offline", "no")
        assert not on.test_connection("openai").succeeded
        assert [each.severity for each in on.alerts("critical")] == ["critical"]
        assert len(on.audit(limit=1)) == 1
        with pytest.raises(GatewayError, match="it printed no counters of openai"):
            on.metrics("openai")


def test_a_completion_is_what_the_command_prints():
    answer = {"content": "pong", "provider": "ollama", "model": "gemma3", "total_tokens": 3}
    with client(ask=[*printing(json.dumps(answer)), "{prompt}"]) as on:
        found = on.chat("ping")
    assert (found.content, found.provider, found.model, found.total_tokens) == ("pong", "ollama", "gemma3", 3)
    with client(ask=[*printing('{"content": "pong"}'), "{prompt}"]) as on, pytest.raises(GatewayError) as problem:
        on.chat("ping")
    assert "provider: field required" in str(problem.value)
    with client(ask=[*printing(json.dumps(answer)), "{prompt}"]) as on, pytest.raises(GatewayError, match="an option"):
        on.chat("--ping")


def test_a_preflight_fails_where_a_restart_is_due_and_nothing_says_how():
    with client() as on:
        assert on.preflight("openai").ready
        assert not on.preflight("stranger").ready
    with client(restart=True) as on:
        found = on.preflight("openai")
    assert not found.ready
    assert "does not say how it is restarted; add `service: {stop: […], start: […]}`" in str(found.checks["take_over"])


# What an emergency reads before it writes


def read_before(**settings: Any) -> str | None:
    """Return what `rollout emergency` reads as active."""
    of = target(**settings)
    known = {"name": of.name, "environment": of.environment, "url": of.url, "kind": of.kind, "settings": of.settings}
    return emergency_order.read_active(known, {})


def test_an_emergency_reads_what_is_active_by_the_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(emergency_order, "ACTIVE_WITHIN_S", 20.0)
    printed = tmp_path / "snapshot.json"
    printed.write_text(json.dumps(SNAPSHOT), encoding="utf-8")
    assert read_before(snapshot=["cat", str(printed)]) == "ollama:gemma3"
    for other in ("[]", "nothing", '{"active": "ollama"}', '{"active": {"provider": "ollama", "model": 3}}'):
        printed.write_text(other, encoding="utf-8")
        assert read_before(snapshot=["cat", str(printed)]) is None, other
    assert read_before(snapshot=["false"]) is None


def test_an_emergency_does_not_wait_for_a_slow_snapshot():
    began = time.monotonic()
    assert read_before(snapshot=["sleep", "30"]) is None
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("kind", ["file", "command"])
def test_the_settings_of_a_target_load_no_client(kind: str):
    """They are read before the first write of an emergency."""
    program = (
        "import sys; from rollout.gateway.drivers.registry import load_driver; "
        f"load_driver({kind!r}).settings.model_json_schema(); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert f"rollout.gateway.drivers.{kind}_settings" in loaded
    assert {"httpx", "httpcore", "h11", "rollout.gateway.sender", "rollout.gateway.parsing"}.isdisjoint(loaded)
