"""The kind `file`: its settings, its description, and its reads of a real service behind a real file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from rollout.core.capabilities import Capability
from rollout.core.clock import SystemClock
from rollout.core.errors import GatewayError
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split
from rollout.core.writes import Command, FileEdit, Read, Restart, Signal
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.file import MODEL_IN_EFFECT, File, codec_of
from rollout.gateway.drivers.file_settings import FileSettings
from rollout.gateway.drivers.masking import MASK, MASKED_VALUES
from rollout.gateway.drivers.registry import load_driver
from tests.support.documents import yaml_blocks
from tests.support.file_subjects import FileService

LEAST: dict[str, Any] = {
    "path": "/srv/llm/config.yaml",
    "provider_key": "llm.provider",
    "model_key": "llm.model",
    "providers": {"ollama": ["gemma3"], "openai": ["gpt-4o", "gpt-4o-mini"]},
    "apply": "restart",
    "health": "/healthz",
    "in_effect": {"path": "/status", "provider": "provider", "model": "model"},
}
OPENAI = Activate("OpenAI", "gpt-4o")


def driver(**settings: Any) -> File:
    """Return the driver of a target with these settings besides the least; None leaves one out."""
    said = {key: value for key, value in (LEAST | settings).items() if value is not None}
    found = FileSettings.model_validate(said).model_dump(mode="json", by_alias=True)
    return File(Target("lab", "sandbox", url="http://127.0.0.1:1", kind="file", settings=found))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"pth": 1}, "Extra inputs are not permitted"),
    "no provider key": ({"provider_key": None}, "says no provider_key"),
    "a relative path": ({"path": "config.yaml"}, "is not an absolute path"),
    "a file of no known format": ({"path": "/srv/llm/config.ini"}, "add `codec: env`, yaml, json or toml"),
    "one key twice": ({"model_key": "llm.provider"}, "leave out model_key where the key holds PROVIDER/MODEL"),
    "a key that is none": ({"model_key": "llm..model"}, "is no key"),
    "no providers": ({"providers": {}}, "names no providers"),
    "a provider without models": ({"providers": {"ollama": []}}, "at least 1 item"),
    "a provider twice": ({"providers": {"ollama": "a", "Ollama": "b"}}, "capitals do not distinguish providers"),
    "two ways to apply": ({"apply": {"restart": True, "command": ["/x"]}}, "is not one way to apply the file"),
    "no way to apply": ({"apply": {}}, "is not one way to apply the file"),
    "a signal to nobody": ({"apply": {"signal": "SIGHUP"}}, "they belong together"),
    "a signal that ends it": ({"apply": {"signal": "SIGKILL", "pid_file": "/x"}}, "write SIGHUP, SIGUSR1 or SIGUSR2"),
    "a line for a shell": ({"apply": {"command": "make reload"}}, "is not a list of arguments"),
    "a deadline without a unit": ({"apply": {"command": ["/x"], "timeout": 5}}, "has no unit"),
    "nothing of the running service": ({"in_effect": None}, "says nothing of the running service"),
    "no model in effect": ({"in_effect": {"path": "/s", "provider": "p"}}, "and in_effect names no model"),
    "a model of two providers": (
        {"providers": {"a": "m", "b": "m"}, "in_effect": {"path": "/s", "model": "m"}},
        "a model does not tell its provider",
    ),
    "names of no answer": ({"served_by": {}}, "names neither provider nor model"),
    "a cookie": ({"served_by": {"provider": {"cookie": "x"}}}, "is neither a key of the answer nor a header"),
}


@pytest.mark.parametrize(("settings", "why"), REFUSED.values(), ids=REFUSED)
def test_settings_that_cannot_be_meant_are_refused_with_the_remedy(settings: dict[str, Any], why: str):
    said = {key: value for key, value in (LEAST | settings).items() if value is not None}
    with pytest.raises(ValidationError) as refused:
        FileSettings.model_validate(said)
    assert why in str(refused.value)


@pytest.mark.parametrize("page", ["docs/SERVICE-BEHIND-A-FILE.md", "docs/COMMANDS.md"])
def test_the_settings_of_the_pages_targets_are_valid(page: str):
    """`tests/test_documented_yaml.py` judges the rest of a target."""
    blocks = [yaml.safe_load(block.text) for block in yaml_blocks() if block.file == page]
    targets = [each for block in blocks for each in block.values() if isinstance(each, dict) and "kind" in each]
    assert len(targets) >= 2
    for target in targets:
        load_driver(target["kind"]).settings.model_validate(target["settings"])


@pytest.mark.parametrize(
    ("path", "codec"),
    [(".env", "env"), (".env.dev", "env"), ("a.env", "env"), ("a.YML", "yaml"), ("a.toml", "toml"), ("a.ini", None)],
)
def test_the_suffix_tells_the_format(path: str, codec: str | None):
    assert codec_of(f"/srv/{path}", None) == codec
    assert codec_of(f"/srv/{path}", "json") == "json"


APPLIED: dict[str, tuple[Any, object]] = {
    "restart": ("restart", Restart()),
    "signal": ({"signal": "SIGHUP", "pid_file": "/run/x.pid"}, Signal("SIGHUP", Path("/run/x.pid"))),
    "command": ({"command": ["/srv/reload"], "timeout": "5s"}, Command(("/srv/reload",), 5.0)),
}


@pytest.mark.parametrize(("apply", "write"), APPLIED.values(), ids=APPLIED)
def test_an_activation_is_an_edit_and_what_takes_it_over(apply: Any, write: object):
    values = {"llm.provider": "openai", "llm.model": "gpt-4o"}
    assert driver(apply=apply).writes(OPENAI) == (FileEdit(Path("/srv/llm/config.yaml"), "yaml", values), write)
    live = driver(apply=apply).capabilities()[Capability.LIVE_SWITCH]
    assert (live is None) == (apply != "restart")


def test_a_restart_that_the_scenario_asks_for_is_added_once():
    wish = replace(OPENAI, restart=True)
    assert driver(apply=APPLIED["signal"][0]).writes(wish)[2:] == (Restart(if_needed=True),)
    assert driver().writes(wish)[1:] == (Restart(),)


def test_one_key_holds_provider_and_model():
    one = driver(model_key=None, in_effect={"path": "/s", "provider": "now"})
    assert one.writes(OPENAI)[0].values == {"llm.provider": "openai/gpt-4o"}
    assert one.place_in([{"now": "openai/org/gpt"}]) == ProviderChange("openai", "org/gpt")
    assert one.place_in([{"now": "openai"}]) is None


@pytest.mark.parametrize(
    "wish", [Activate("stranger", "m"), Activate("openai", "gemma3"), Activate("openai", ""), Split({"openai": 1.0})]
)
def test_what_the_settings_do_not_list_is_not_described(wish: Any):
    with pytest.raises(GatewayError):
        driver().writes(wish)


def test_what_is_in_effect_is_never_guessed_from_half_an_answer():
    assert driver().place_in([{"provider": "openai", "model": "gpt-4o"}]) == ProviderChange("openai", "gpt-4o")
    for answer in ({"model": "gpt-4o"}, {"provider": "openai"}, {"provider": 1, "model": "m"}, [], None):
        assert driver().place_in([answer]) is None
    by_model = driver(in_effect={"path": "/v1/models", "model": "data[0].id"})
    assert by_model.place_in([{"data": [{"id": "gpt-4o-mini"}]}]) == ProviderChange("openai", "gpt-4o-mini")
    assert by_model.place_in([{"data": [{"id": "another"}]}]) is None


def test_what_the_settings_do_not_say_is_lacking():
    said = driver(served_by={"provider": "provider"}).capabilities()
    assert {each for each, why in said.items() if why is None} == {Capability.SERVED_BY}
    assert "served_by" in (driver().capabilities()[Capability.SERVED_BY] or "")


def test_a_read_is_shown_as_it_is_asked_for():
    shown = driver(test="/reach/{provider}")
    assert shown.read_call(Read.ACTIVE).path == "/status"
    assert shown.read_call(Read.TEST_CONNECTION, "a b").path == "/reach/a%20b"
    assert driver(in_effect=None, served_by={"provider": "p"}).read_call(Read.ACTIVE).method == "POST"
    with pytest.raises(GatewayError):
        shown.read_call(Read.TEST_CONNECTION, "..")


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileService]:
    """A running service behind a `.env` file; no test leaves it changed."""
    found = FileService(tmp_path_factory.mktemp("service"), "env", "command")
    found.folder.start()
    yield found
    found.folder.stop()


@pytest.fixture
def kept(on: FileService) -> Iterator[FileService]:
    """The service; its file and its faults are put back."""
    content = on.file.read_bytes()
    yield on
    on.folder.set_faults()
    on.file.write_bytes(content)


def connect(on: FileService, *, service: bool = True, **settings: Any) -> Gateway:
    """Return a client of the service."""
    target = on.target(**settings)
    target = target if service else replace(target, service=None)
    return Gateway(target, clock=SystemClock(), redactor=Redactor())


def test_an_edit_that_the_service_has_not_read_is_configured_and_not_in_effect(kept: FileService):
    kept.file.write_bytes(kept.file.read_bytes().replace(b"ollama", b"openai").replace(b"gemma3", b"gpt-4o"))
    with closing(connect(kept)) as client:
        assert client.active_provider() == ProviderChange("ollama", "gemma3")
        config, preflight = client.runtime_config().config, client.preflight("openai")
    assert not preflight.ready
    assert "an edit waits to be read; have the service read it, or take it back" in str(preflight.checks["in_effect"])
    assert (config["LLM_PROVIDER"], config["LLM_MODEL"], config[MODEL_IN_EFFECT]) == ("openai", "gpt-4o", "gemma3")


def test_a_secret_of_the_file_is_masked(on: FileService):
    with closing(connect(on)) as client:
        config = client.runtime_config().config
    assert config["SERVICE_API_KEY"] == MASK
    assert config["LOG_LEVEL"] == "info"
    assert "hunter2" not in str(config)


def test_a_masked_value_that_is_changed_shows_by_a_digest_alone(kept: FileService):
    def read() -> dict[str, str]:
        with closing(connect(kept)) as client:
            return dict(client.runtime_config().config)

    before, content = read(), kept.file.read_bytes()
    kept.file.write_bytes(content.replace(b"LOG_LEVEL=info", b"LOG_LEVEL=debug"))
    assert read()[MASKED_VALUES] == before[MASKED_VALUES]
    kept.file.write_bytes(content.replace(b"hunter2-planted-9f3c2b7a", b"hunter3-planted-9f3c2b7a"))
    after = read()
    assert {key for key in before if after[key] != before[key]} == {MASKED_VALUES}
    assert "hunter" not in f"{before}{after}"
    kept.file.write_bytes(content.replace(b"SERVICE_API_KEY=hunter2-planted-9f3c2b7a\n", b""))
    assert MASKED_VALUES not in read()


def test_where_no_call_shows_what_is_in_effect_the_file_is_read(kept: FileService):
    with closing(connect(kept, in_effect=None)) as client:
        assert client.active_provider() == ProviderChange("ollama", "gemma3")
        kept.file.write_text("LLM_PROVIDER=ollama\n")
        with pytest.raises(GatewayError, match="it holds no provider and model at LLM_PROVIDER and LLM_MODEL"):
            client.active_provider()


def test_an_answer_that_shows_nothing_in_effect_is_an_error_that_names_the_setting(on: FileService):
    in_effect = {"path": "/status", "provider": "active.provider", "model": "active.modl"}
    with closing(connect(on, in_effect=in_effect)) as client, pytest.raises(GatewayError) as problem:
        client.providers()
    assert "at 'active.provider' and 'active.modl'; correct the target's settings.in_effect" in str(problem.value)


SERVED_BY: dict[str, tuple[dict[str, Any] | None, str | None, str | None]] = {
    "keys": ({"provider": "provider", "model": "model"}, "ollama", "gemma3"),
    "a header": ({"provider": {"header": "X-Served-By"}}, "ollama", None),
    "the model alone": ({"model": "model"}, "ollama", "gemma3"),
    "a key that is not there": ({"provider": "meta.provider", "model": "model"}, None, "gemma3"),
    "nothing": (None, None, None),
}


@pytest.mark.parametrize(("served_by", "provider", "model"), SERVED_BY.values(), ids=SERVED_BY)
def test_who_answered_is_read_where_the_target_says(
    on: FileService, served_by: dict[str, Any] | None, provider: str | None, model: str | None
):
    with closing(connect(on, served_by=served_by)) as client:
        answer = client.chat("ping")
    assert (answer.content, answer.provider, answer.model) == ("pong", provider, model)


def test_an_answer_by_another_provider_is_seen(kept: FileService):
    kept.folder.set_faults(impostor="vllm")
    with closing(connect(kept)) as client:
        assert client.chat("ping").provider == "vllm"


def test_a_preflight_fails_for_a_file_that_cannot_be_edited_and_writes_nothing(kept: FileService):
    with closing(connect(kept)) as client:
        assert client.preflight("openai").ready
        broken = kept.file.read_bytes() + b"\xff\n"
        kept.file.write_bytes(broken)
        found = client.preflight("openai")
    assert (found.ready, found.checks["edit"].passed) == (False, False)
    assert kept.file.read_bytes() == broken


def test_a_preflight_fails_where_a_restart_is_due_and_nothing_says_how(on: FileService):
    with closing(connect(on, service=False, apply="restart")) as client:
        found = client.preflight("openai")
    assert not found.ready
    assert "does not say how it is restarted; add `service: {stop: […], start: […]}`" in str(found.checks["take_over"])


def test_where_nothing_tests_a_connection_the_test_says_so(on: FileService):
    with closing(connect(on, test=None)) as client:
        known, unknown = client.test_connection("openai"), client.test_connection("stranger")
    assert (known.succeeded, known.connection_status) == (True, "unknown")
    assert "no call that tests a connection" in known.message
    assert not unknown.succeeded
