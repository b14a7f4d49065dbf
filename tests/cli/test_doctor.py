"""``rollout doctor``: what a gateway answers and how it deviates, found by reading alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.cli.doctor import examination
from rollout.cli.doctor.examination import examine, read_address
from rollout.cli.doctor.findings import Findings, ProbedCalls, describe_findings
from rollout.cli.doctor.target_file import describe_missing_keys, render_target, write_target_file
from rollout.cli.main import main
from rollout.config.load import load
from rollout.core.clock import SystemClock
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.target import OtherCall, Target
from rollout.gateway.drivers.documented import Documented
from rollout.gateway.embedded_proof import doubt_request
from rollout.gateway.endpoints import DEFAULTS
from rollout.gateway.transport import Transport
from rollout.sandbox.process import Running, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.drivers import install_driver
from tests.support.liar import Behaviour, Liar, Visit, answer, drip_body, edited, hang, html, huge, moved


class Patient:
    """A gateway to be examined, and the means to spoil it."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self._http = httpx.Client(base_url=sandbox.url, timeout=10, trust_env=False, headers={"X-User": "bob"})

    def put(self, what: str, body: Any) -> None:
        """Set something of the sandbox's own."""
        self._http.put(f"/sandbox/{what}", json=body).raise_for_status()

    def post(self, path: str, body: Any) -> None:
        """Have somebody else call the gateway."""
        self._http.post(path, json=body).raise_for_status()

    def state(self) -> Any:
        """Return everything that the gateway holds, the counters of its providers among it."""
        return self._http.get("/sandbox/state").json()

    def logged(self) -> list[dict[str, Any]]:
        """Return what the gateway was asked."""
        return list(self._http.get("/sandbox/requests").json())


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = SandboxSettings.from_mapping({"users_per_s": 0})
    running = start(tmp_path_factory.mktemp("gateway") / "state", settings=settings)
    yield running
    stop(running)


@pytest.fixture
def patient(sandbox: Running) -> Iterator[Patient]:
    patient = Patient(sandbox)
    yield patient
    patient.put("deviations", [])


def _examined(url: str, **parts: Any) -> Findings:
    announce = parts.get("announce", lambda _: None)
    token_env = parts.get("token_env")
    base, token = read_address(url, token_env, parts.get("env", {}))
    return examine(base, "gateway", token_env, token, announce=announce)


CIRCLE = {"$ref": "#/components/schemas/ActivateRequest"}


def _shown(found: Findings, number: int) -> str:
    return "; ".join(each.seen for each in found.deviations if each.number == number)


def _costly(path: str) -> bool:
    """Return whether a call may cost money on some gateway (docs/GATEWAY_API.md)."""
    return path in {"/health", "/healthz"} or path.endswith(("/test-connection", "/preflight", "/chat/completions"))


def test_it_sends_nothing_that_may_cost_money(patient: Patient) -> None:
    """No call that writes or may cost is sent: whether it is there is asked with OPTIONS, which executes nothing."""
    before, counted = len(patient.logged()), patient.state()
    _examined(patient.sandbox.url)
    asked = patient.logged()[before:]
    assert [each for each in asked if _costly(each["path"]) and each["method"] != "OPTIONS"] == []
    assert {each["method"] for each in asked} == {"GET", "OPTIONS"}
    assert any(_costly(each["path"]) for each in asked), "whether they are there is still found out"
    assert patient.state() == counted


def test_it_names_what_may_cost_and_that_it_did_not_send_it(patient: Patient) -> None:
    """Completions, connection tests, preflights and ``/health`` are named, with the clauses at which a rollout asks."""
    shown = describe_findings(_examined(patient.sandbox.url))
    part = shown.partition("what may cost money, none of which was sent")[2].partition("deviations")[0]
    for call in ("POST chat", "POST test_connection", "POST preflight", "GET  health"):
        assert call in part
    assert "VER-2" in part


def test_a_gateway_as_documented_answers_every_call(patient: Patient) -> None:
    """Every documented call answers, and the rollback is known."""
    steps: list[str] = []
    found = _examined(patient.sandbox.url, announce=steps.append)
    assert steps[0] == "examining the gateway: call 1, providers (5 s at most)"
    assert len(steps) == len(found.calls), "each call is announced"
    assert "openai" not in "".join(steps), "a provider's name is text of the gateway"
    missing = [call.name for call in found.calls if not call.answers and not call.name.endswith("elsewhere")]
    assert missing == []
    assert found.guarantees[0].can == "yes"
    assert not _shown(found, 17)
    assert not _shown(found, 18)


def test_what_every_gateway_of_the_family_shows_is_named(patient: Patient) -> None:
    """Idle providers, masked secrets, scopes, limits for good, no token, connected by key."""
    found = _examined(patient.sandbox.url)
    assert "no data" in _shown(found, 3)
    assert "OPENAI_API_KEY" in _shown(found, 12)
    assert "global" in _shown(found, 20)
    assert _shown(found, 15)
    assert "no token" in _shown(found, 22)
    assert "openai" in _shown(found, 11)


@pytest.mark.parametrize(
    ("switch", "number", "words"),
    [
        ("healthz", 17, "/healthz"),
        ("stream_chat", 17, "chat/completions is absent; /api/v1/llm/simple/stream is there"),
        ("local_activation_elsewhere", 13, "llm-servers/active"),
        ("rate_limited", 18, "429"),
        ("key_means_connected", 11, "only mean that a key is set"),
    ],
)
def test_a_deviation_that_is_switched_on_is_named(patient: Patient, switch: str, number: int, words: str) -> None:
    """What shows without writing is named, by its number."""
    patient.put("deviations", [switch])
    assert words in _shown(_examined(patient.sandbox.url), number)


def test_deviations_that_need_a_history_are_named(patient: Patient) -> None:
    """After an activation, an alert and a request: other name, no user, no audit, no cost, long alerts, percent."""
    found = _examined(patient.sandbox.url)
    assert "holds no activation" in _shown(found, 19)
    names = ["reports_other_name", "audit_user_unknown", "cost_always_zero", "long_alerts", "activation_rewrites"]
    patient.put("deviations", names)
    patient.post("/api/v1/providers/google/activate", {"model": "gemini-2.5-flash"})
    patient.post("/api/v1/chat/completions", {"messages": [{"role": "user", "content": "ping"}]})
    alert = {"severity": "critical", "alert_type": "ERROR_SPIKE", "provider": "google", "message": "by hand"}
    patient.post("/sandbox/alerts", alert)
    found = _examined(patient.sandbox.url)
    assert "google-gemini" in _shown(found, 14)
    assert "names no user" in _shown(found, 19)
    assert "costs 0" in _shown(found, 4)
    assert "ERROR_SPIKE/google" in _shown(found, 23)
    assert "last 6 h" in _shown(found, 23)
    assert "LLM_CONFIG_HASH" in _shown(found, 8)
    assert "percent" in _shown(found, 1)
    assert found.target["reported_as"] == {"google": "google-gemini"}
    patient.post("/api/v1/providers/ollama/activate", {"model": "gemma3:4b"})


def test_an_activation_that_waits_for_a_restart_shows(patient: Patient) -> None:
    """Deviation 7: what is configured and what is active differ."""
    with Liar(patient.sandbox.url) as liar:
        liar.rule("/providers$", answer(200, {"providers": [], "active_provider": "vllm", "count": 0}))
        assert "configured is ollama, active is vllm" in _shown(_examined(liar.url), 7)


@pytest.mark.parametrize("behaviour", [answer(500), html()], ids=["500", "a web page"])
def test_a_call_that_does_not_answer_is_a_promise_less(patient: Patient, behaviour: Any) -> None:
    """Without alerts MON-4 cannot be kept, and the table says so with the reason."""
    with Liar(patient.sandbox.url) as liar:
        liar.rule("/alerts", behaviour)
        found = _examined(liar.url)
    (row,) = [each for each in found.guarantees if "MON-4" in each.what]
    assert row.can == "no"
    assert "GET /api/v1/alerts" in row.why


def test_a_gateway_that_wants_a_token_says_so(patient: Patient) -> None:
    """401 leads to the option that helps, and nothing can be worked with."""
    with Liar(patient.sandbox.url) as liar:
        liar.rule("/api", answer(401, {"detail": "no"}))
        found = _examined(liar.url)
    assert not found.answers
    assert "--token-env" in describe_findings(found)


# The OpenAPI document


def _result(found: Findings, name: str) -> str:
    return next(call.result for call in found.calls if call.name == name)


def _target_file(found: Findings) -> str:
    return "\n".join([*describe_missing_keys(found), render_target(found.name, found.target)])


def _loaded(found: Findings, folder: Path) -> Target:
    """Return the target that the written file is."""
    write_target_file(_target_file(found), folder / "targets.yaml")
    asked: dict[str, Any] = {"scenario": None, "activate": "openai:gpt-4o", "ticket": "T-1", "gateway": None}
    return load(target="gateway", directory=folder, env=os.environ, doubt=lambda _: "", **asked).target


def _stating(edit: Callable[[dict[str, Any]], None]) -> Behaviour:
    """Answer the gateway's own document, edited in place."""

    def changed(document: dict[str, Any]) -> dict[str, Any]:
        edit(document)
        return document

    return edited(changed)


def test_what_the_document_states_is_certain(patient: Patient, tmp_path: Path) -> None:
    """Calls that are never sent, bodies and limit types: no guess is left where the gateway serves a document."""
    patient.put("deviations", ["healthz", "stream_chat", "local_activation_elsewhere", "limit_types_cost_rate"])
    before = len(patient.logged())
    found = _examined(patient.sandbox.url)
    asked = patient.logged()[before:]
    assert [each["method"] for each in asked if each["path"] == "/openapi.json"] == ["GET"]
    assert _result(found, "openapi").endswith("; it states 13 of 15 calls")
    assert _result(found, "activate") == "it is there, according to /openapi.json, and was not sent"
    assert "/healthz, according to /openapi.json" in _shown(found, 17)
    assert "/api/v1/llm/simple/stream is there, according to /openapi.json" in _shown(found, 17)
    assert "llm-servers/active is there, according to /openapi.json: local runtimes" in _shown(found, 13)
    assert "limit_type is one of cost, rate, according to /openapi.json" in _shown(found, 20)
    assert "may be" not in describe_findings(found).partition("deviations that show")[0]
    assert _loaded(found, tmp_path).chat_with == OtherCall("/api/v1/llm/simple/stream", {"content": "{prompt}"})
    text = (tmp_path / "targets.yaml").read_text(encoding="utf-8")
    assert "# paths, chat_with: according to /openapi.json." in text
    assert 'active, body: {server_name: "{provider}", model: "{model}"}}}' in text


def test_calls_below_another_prefix_are_found_and_read_there(patient: Patient, tmp_path: Path) -> None:
    """Nothing is at the documented paths: the document leads to all of them, and the target has them."""

    def edit(document: dict[str, Any]) -> None:
        paths = {path.replace("/api/v1/", "/gw/v2/"): item for path, item in document["paths"].items()}
        paths["/gw/v2/providers/{name}/activate"] = paths.pop("/gw/v2/providers/{provider}/activate")
        document["paths"] = paths

    with Liar(patient.sandbox.url) as liar:
        liar.rule("^/api/v1", answer(404, {"detail": "Not Found"}))
        assert not _examined(liar.url).answers, "without a true document nothing is found"
        liar.rule("^/openapi.json", _stating(edit))
        liar.rule("^/gw/v2/", moved(lambda path: path.replace("/gw/v2/", "/api/v1/")))
        found = _examined(liar.url)
        posted = liar.seen("POST")
    assert found.answers
    assert posted == []
    paths = _loaded(found, tmp_path).paths
    assert paths["activate"] == "/gw/v2/providers/{provider}/activate"
    assert paths["metrics"] == "/gw/v2/providers/{provider}/metrics"
    assert set(DEFAULTS) - set(paths) == {"health"}
    assert "providers is /gw/v2/providers, according to /openapi.json" in _shown(found, 17)
    assert [each.can for each in found.guarantees if "MON-2" in each.what] == ["yes"]


def test_another_body_and_other_limit_types_become_settings(patient: Patient, tmp_path: Path) -> None:
    """Each provider that can be activated has the call with the document's fields."""

    def edit(document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        schemas["ActivateRequest"] = {"properties": {"model_name": {}, "note": {}}, "required": ["model_name"]}
        schemas["LimitType"]["enum"] = ["per_provider", "rate_limit"]

    with Liar(patient.sandbox.url) as liar:
        liar.rule("^/openapi.json", _stating(edit))
        found = _examined(liar.url)
    target = _loaded(found, tmp_path)
    call = OtherCall("/api/v1/providers/{provider}/activate", {"model_name": "{model}"})
    assert target.activate_with == dict.fromkeys(("ollama", "vllm", "openai", "google"), call)
    assert target.limit_types == {"cost": "per_provider", "rate": "rate_limit"}
    assert "activate takes model_name, note, according to /openapi.json" in _shown(found, 13)


@pytest.mark.parametrize(
    ("body", "number", "words"),
    [
        ({"properties": {"why": {}}}, 8, "activate takes no model, according to /openapi.json"),
        ({"properties": {"provider": {}}, "required": ["provider"]}, 8, "activate takes no model, according"),
        (
            {"properties": {"model": {}, "model_name": {}}, "required": ["model", "model_name"]},
            13,
            "activate requires model_name, according to /openapi.json, which the suite cannot fill",
        ),
        (
            {"properties": {"model": {}, "tenant": {}}, "required": ["model", "tenant"]},
            13,
            "activate requires tenant, according to /openapi.json, which the suite cannot fill",
        ),
    ],
)
def test_a_body_that_cannot_be_filled_is_said(patient: Patient, body: Any, number: int, words: str) -> None:
    """It leads to no setting."""
    with Liar(patient.sandbox.url) as liar:
        limits = {"enum": ["daily", "rate"]}
        schemas = {"ActivateRequest": body, "LimitType": limits}
        liar.rule("^/openapi.json", _stating(lambda found: found["components"]["schemas"].update(schemas)))
        found = _examined(liar.url)
    assert words in _shown(found, number)
    assert "activate_with" not in found.target
    assert "limit_type is one of daily, rate, according to /openapi.json; none of them is recognised as cost" in (
        _shown(found, 20)
    )
    assert "limit_types" not in found.target


def test_what_the_gateway_does_counts_before_what_it_states(patient: Patient) -> None:
    """A call that is answered with 404 is not there; one that exists may be missing in the document."""

    def edit(document: dict[str, Any]) -> None:
        for path in ("/api/v1/chat/completions", "/api/v1/providers/{provider}/preflight", "/api/v1/alerts"):
            del document["paths"][path]
        body = {"properties": {"content": {}, "session": {}}, "required": ["content", "session"]}
        content = {"application/json": {"schema": body}}
        document["paths"]["/api/v1/llm/simple/stream"] = {"post": {"requestBody": {"content": content}}}

    with Liar(patient.sandbox.url) as liar:
        liar.rule("^/openapi.json", _stating(edit))
        liar.rule("/governance/limits", answer(404, {"detail": "Not Found"}))
        liar.rule("/chat/completions|/simple/stream", answer(200, {}))
        found = _examined(liar.url)
    assert _result(found, "limits") == "it is not there, although /openapi.json states it"
    assert _result(found, "preflight") == "it is there, and was not sent"
    assert _result(found, "chat") == "it is not there, according to /openapi.json"
    assert _result(found, "alerts").startswith("as documented")
    assert found.target["chat_with"]["body"] == {"content": "{prompt}"}
    assert found.certain == (), "a body that cannot be filled is still a guess"


@pytest.mark.parametrize(("serves", "says"), [("none", "404: Not Found"), ("garbage", "cut off")])
def test_without_a_document_it_is_guessed_as_before_and_said(
    serves: str, says: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Everything is examined all the same."""
    settings = SandboxSettings.from_mapping({"users_per_s": 0, "openapi": serves, "deviations": ["healthz"]})
    running = start(tmp_path_factory.mktemp("gateway") / "state", settings=settings)
    try:
        found = _examined(running.url)
    finally:
        stop(running)
    assert says in _result(found, "openapi")
    assert _result(found, "openapi").endswith("; what is never sent is only guessed")
    assert _result(found, "activate") == "it is there, and was not sent"
    assert _shown(found, 17) == "health is /healthz"
    assert found.target["paths"] == {"health": "/healthz"}
    assert "according to" not in describe_findings(found) + _target_file(found)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (huge(50), "longer than 2097152 bytes"),
        (hang(), "no complete answer within 0.5 s"),
        (drip_body(), "no complete answer within 0.5 s"),
        (answer(200, "[" * 1_000_000), "not valid JSON"),
        (_stating(lambda found: found["components"]["schemas"].update(ActivateRequest=CIRCLE)), "in a circle"),
    ],
    ids=["50 MB", "hangs", "drips", "nested", "circle"],
)
def test_a_hostile_document_is_refused_within_the_deadline_and_said(
    patient: Patient, behaviour: Behaviour, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves nothing that is believed."""
    with Liar(patient.sandbox.url) as liar:
        liar.rule("^/openapi.json", behaviour)
        # 50 MB are refused after the first two; only what never ends waits for the deadline.
        monkeypatch.setattr(examination, "DEADLINE_S", 0.5 if "0.5 s" in says else 5.0)
        transport, seen = Transport(secure=False), ProbedCalls()
        started = time.monotonic()
        examination._read_document(examination._Prober(transport, liar.url, {}, SystemClock(), seen, lambda _: None))
        assert time.monotonic() - started < 5.0
        transport.close()
    assert seen.api is None
    assert says in seen.calls["openapi"].result


def test_the_target_file_loads(patient: Patient, tmp_path: Path) -> None:
    """What is written is accepted as it is, with the deviations that were found in it."""
    patient.put("deviations", ["healthz", "stream_chat"])
    file = tmp_path / "targets.yaml"
    url = patient.sandbox.url
    assert main(["doctor", f"--gateway={url}", "--target=found", f"--write={file}"]) == 0
    request = load(
        scenario=None,
        activate="openai:gpt-4o",
        ticket="T-1",
        target="found",
        gateway=None,
        directory=tmp_path,
        env=os.environ,
        doubt=doubt_request,
    )
    assert request.target.url == url
    assert request.target.paths["health"] == "/healthz"
    assert request.target.chat_with is not None
    assert main(["doctor", f"--gateway={url}", f"--write={file}"]) == 4


def _cached(headers: dict[str, str]) -> Behaviour:
    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        await visit.reply(replace(reply, headers=headers))

    return behaviour


@pytest.mark.parametrize(
    ("headers", "seconds", "can", "why"),
    [
        ({}, 0.0, "unknown", "no header speaks of a cache"),
        (
            {"Cache-Control": "max-age=8"},
            8.0,
            "yes",
            "GET /api/v1/config/runtime comes from a cache, and may be 8 s old",
        ),
        ({"Cache-Control": "max-age=8", "Age": "9"}, 9.0, "yes", "may be 9 s old: each proof waits for that"),
        ({"Cache-Control": "s-maxage=3600"}, 0.0, "no", "may be 3600 s old, longer than the suite waits (600 s)"),
    ],
)
def test_reads_from_a_cache_are_said_and_put_into_the_target(
    headers: dict[str, str], seconds: float, can: str, why: str, patient: Patient, tmp_path: Path
) -> None:
    """The calls that show whether a write is in effect decide; more than a target may say is not put into it."""
    file = tmp_path / "targets.yaml"
    with Liar(patient.sandbox.url) as liar:
        liar.rule("/config/runtime", _cached(headers))
        liar.rule("/alerts", _cached({"Age": "500"}))
        found = _examined(liar.url)
        write_target_file(_target_file(found), file)
        asked = {"scenario": None, "activate": "openai:gpt-4o", "ticket": "T-1", "gateway": None, "env": os.environ}
        assert load(target="gateway", directory=tmp_path, doubt=lambda _: "", **asked).target.stale_for_s == seconds
    (row,) = [each for each in found.guarantees if "read back" in each.what]
    assert row.can == can
    assert why in row.why
    assert ("#   stale_for: 10s" in file.read_text()) is (seconds == 0)
    assert "#   startup: 60s" in file.read_text()


@pytest.mark.parametrize("spoilt", [answer(404, {"detail": "Not Found"}), html()], ids=["404", "HTML"])
def test_13_another_gateway_on_loopback_is_production(spoilt: Behaviour, patient: Patient) -> None:
    """A tunnel is on loopback too; the look that tells carries no token, whatever the examination sends."""
    with Liar(patient.sandbox.url) as liar:
        assert _examined(liar.url).target["environment"] == "sandbox"
        liar.rule("/sandbox/about", spoilt)
        asked = {"token_env": "TOKEN", "env": {"TOKEN": "t0ken-7f3a"}}
        assert _examined(liar.url, **asked).target["environment"] == "production"
        assert "authorization" not in liar.seen("GET", "/sandbox/about")[-1].headers
    assert _examined(liar.url).target["environment"] == "production"


def test_it_prints_the_target_unless_a_file_is_named(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --write nothing is left on disk."""
    assert main(["doctor", f"--gateway={patient.sandbox.url}"]) == 0
    out = capsys.readouterr().out
    assert "what the suite can guarantee here" in out
    assert f"url: {patient.sandbox.url}" in out


def test_nothing_there_is_a_failure_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    """No gateway: exit 1, and the reason stands at every call."""
    assert main(["doctor", "--gateway=http://127.0.0.1:9"]) == 1
    assert "nothing listens" in capsys.readouterr().out


def test_a_url_or_token_that_cannot_be_used_is_refused() -> None:
    """Before the first request, in one line."""
    with pytest.raises(RolloutError, match="--gateway"):
        _examined("gateway")
    with pytest.raises(RolloutError, match="NOT_SET is not set"):
        _examined("http://127.0.0.1:9", token_env="NOT_SET")


def test_the_installed_kinds_are_listed_with_their_packages_and_why_one_cannot_be_used(tmp_path: Path):
    """As a person calls it, in a folder without any project; a package that is broken breaks nothing else."""
    install_driver(tmp_path / "site")
    install_driver(tmp_path / "site", "gone", package="gone-driver", code="import gone")
    for package in ("one", "two"):
        install_driver(tmp_path / "site", "twice", package=package)
    done = subprocess.run(
        [sys.executable, "-m", "rollout", "doctor", "--kinds"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    own = f"rollout {metadata.version('rollout')}"
    twice = "'twice' is brought by one 1.2 and two 1.2; uninstall all but one of them"
    listed = [re.split(r"\s{2,}", line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in listed] == sorted(name for name, *_ in listed)
    assert ["documented", own, Documented.summary] in listed
    assert [line for line in listed if line[1] != own] == [
        [
            "gone",
            "gone-driver 1.2",
            (
                "'gone' cannot be used: its driver gone_driver:Toy in gone-driver 1.2 cannot be imported "
                "(ModuleNotFoundError: No module named 'gone'); install a version of the package that works with "
                "this one, or use another kind"
            ),
        ],
        ["toy", "toy-driver 1.2", "a toy gateway"],
        ["twice", "one 1.2", twice],
        ["twice", "two 1.2", twice],
    ]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "site"]


def test_the_kinds_are_listed_or_a_gateway_is_examined(capsys: pytest.CaptureFixture[str]):
    for arguments in ([], ["--kinds", "--gateway=http://127.0.0.1:9"]):
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *arguments])
        assert ended.value.code == ExitCode.USAGE
    assert "one of the arguments --gateway --kinds is required" in capsys.readouterr().err
