"""Input validation: what is refused, in which words, and what a request is made of."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollout.config.load import load
from rollout.config.schemas.policies import PolicySchema
from rollout.config.urls import base_url, is_loopback
from rollout.core.canary_stages import stages
from rollout.core.canonical_json import canonical, to_json
from rollout.core.errors import InvalidInput
from rollout.core.limits import Limits
from rollout.core.policy import Policy, StandardChange
from rollout.core.request import Origin, Request, as_opened
from rollout.core.scenario import (
    Canary,
    ChangeClass,
    EnvironmentChange,
    Expectation,
    Impact,
    LimitChange,
    Monitor,
    Operator,
    Probe,
    ProviderChange,
    Scenario,
    SyntheticPower,
    Waiver,
)
from rollout.core.schemas.calls import PathsSchema
from rollout.core.target import (
    AlertmanagerSource,
    ChangeWindow,
    OtherCall,
    PrometheusSource,
    ProviderRestart,
    Routing,
    Service,
    Sources,
    Target,
    Timeouts,
    Tls,
)
from rollout.gateway.endpoints import DEFAULTS
from rollout.sandbox.settings import InvalidSettings, SandboxSettings
from tests.support.forks import ROOT
from tests.support.json_schemas import refusals_of_file

TESTS = ROOT / "tests"
SHIPPED = TESTS.parent / "scenarios"
CHANGE = "change: {activate: openai, model: gpt-4o}\n"
TOKENS = {
    "LITELLM_MASTER_KEY": "sk-loopback",
    "GATEWAY_TOKEN": "t0ken",
    "STAGING_GATEWAY_TOKEN": "t0ken",
    "USER": "alice",
}
SECRETS = {"NEW_OPENAI_KEY": "sk-hunter2", "WITH_A_LINE_BREAK": "hunter2\nhunter2", "TOO_SHORT": "r2", "EMPTY": ""}


def sandbox_problems(mapping: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    try:
        SandboxSettings.from_mapping(mapping)
    except InvalidSettings as refused:
        return refused.problems
    return ()


def request_for(**asked: Any) -> Request:
    """Load with every option left out that a test does not name."""
    silent = {"scenario": None, "activate": None, "ticket": None, "target": None, "gateway": None}
    fixed = {
        "directory": SHIPPED,
        "env": TOKENS | SECRETS,
        "check_sandbox": sandbox_problems,
        "doubt": lambda _request: "",
    }
    request = load(**{**silent, **fixed, **asked})
    read = {"scenario": request.origin.scenario, "target": request.origin.targets, "policy": request.origin.policy}
    # Whatever loads satisfies the JSON Schemas.
    assert {name: found for name, path in read.items() if path and (found := refusals_of_file(name, path))} == {}
    return request


def refusal(**asked: Any) -> str:
    """Return what is said against the request, which must be refused."""
    with pytest.raises(InvalidInput) as refused:
        request_for(**asked)
    return str(refused.value)


@pytest.fixture
def scenario(tmp_path: Path):
    """Write a scenario, and targets and policy beside it where they are given."""

    def write(text: str = CHANGE, **beside: str) -> Path:
        for name, content in beside.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        file = tmp_path / "scenario.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def bad(folder: str) -> list[Any]:
    files = sorted((TESTS / folder).glob("*.yaml"))
    assert files
    return [pytest.param(file, id=file.stem) for file in files]


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", bad("bad_scenarios"))
def test_a_bad_scenario_is_refused_in_the_words_of_its_snapshot(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(file.parent)
    assert refusal(scenario=Path(file.name)) + "\n" == file.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "file"), [(k, p.values[0]) for k in ("targets", "policies") for p in bad(f"bad_{k}")])
def test_bad_targets_and_policies_are_refused_in_the_words_of_their_snapshots(
    kind: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copy(file, tmp_path / {"targets": "targets.yaml", "policies": "policy.yaml"}[kind])
    (tmp_path / "scenario.yaml").write_text(CHANGE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said = refusal(scenario=Path("scenario.yaml"), directory=Path(), target="embedded")
    assert said + "\n" == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_bad_file_has_a_snapshot_that_shows_no_secret():
    for snapshot in TESTS.glob("bad_*/*.txt"):
        assert snapshot.with_suffix(".yaml").exists()
        assert "hunter2" not in snapshot.read_text(encoding="utf-8"), snapshot


def test_ten_mistakes_are_ten_problems_each_on_its_own_line():
    with pytest.raises(InvalidInput) as refused:
        request_for(scenario=TESTS / "bad_scenarios" / "ten-mistakes.yaml")
    assert [problem.line for problem in refused.value.problems] == [3, 4, 5, 6, 7, 8, 10, 11, 12, 13]


def test_problems_of_all_files_and_options_come_at_once(scenario):
    file = scenario(CHANGE + "monitor: {windw: 5s}\n", targets="a: {url: ftp://a}\n", policy="b: {c: 1}\n")
    said = refusal(scenario=file, ticket="\n", gateway="nowhere", target="x").splitlines()
    parts = ("--ticket:", "--target:", "--gateway:", "scenario.yaml:2:", "targets.yaml:1:", "policy.yaml:1:")
    assert [part for part, line in zip(parts, said, strict=True) if part not in line] == []


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"change: 1\nname: \xff\n", 2, "is not UTF-8"),
        (b"a: 1\nb: \x01\n", 2, "control character"),
        (b"a: &x [*x]\n", 1, "nested too deeply"),
        (b"a: " + b"[" * 5000, 1, "nested too deeply"),
        (b"a:\n" + b" [\n" * 5000, 51, "nested too deeply"),
        (b"a: " + b"{a: " * 5000, 1, "nested too deeply"),
        (b"- " * 5000, 1, "nested too deeply"),
        (b"a:\n" + b"".join(b"  k%d: v\n" % n for n in range(80_000)), 20_000, "more than 20,000 values"),
        (b'a: "\\UFFFFFFFF"\n', None, "escape"),
        (b'a: "\\ud800"\n', 1, "surrogate"),
        (b"? [a]\n: b\n", 1, "not plain text"),
        (b"#" * 1_000_001, None, "larger than 1 MB"),
    ],
    ids=[
        "latin-1",
        "control",
        "recursive",
        "deep",
        "deep-lines",
        "deep-maps",
        "deep-dashes",
        "many",
        "escape",
        "surrogate",
        "complex-key",
        "large",
    ],
)
def test_a_file_that_is_hardly_yaml_is_refused_with_its_line(tmp_path, content, line, words):
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        request_for(scenario=file)
    first = refused.value.problems[0]
    assert (first.line, words in first.message) == (line, True), first


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_document_that_is_nested_thousands_deep_is_refused_before_it_is_built(tmp_path, opening):
    """It is left at the first event that is too deep, whatever Python would bear; built, it takes half a minute."""
    file, bears = tmp_path / "x.yaml", sys.getrecursionlimit()
    file.write_text("a: " * (opening[0] in "[{") + opening * 5000, encoding="utf-8")
    sys.setrecursionlimit(100_000)
    began_s = process_time()
    try:
        assert "is nested too deeply; 20 levels are the most" in refusal(scenario=file)
    finally:
        sys.setrecursionlimit(bears)
    # Of processor time, which a busy machine does not stretch much.
    assert process_time() - began_s < 1.5


def test_an_anchor_bomb_is_refused_before_it_unfolds(scenario):
    layers = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "20,000 values" in refusal(scenario=scenario("\n".join(["a0: &a0 [x]", *layers])))


def test_a_missing_file_a_directory_and_a_pipe_are_distinguished(tmp_path):
    assert "no such file" in refusal(scenario=tmp_path / "absent.yaml")
    assert "is a directory" in refusal(scenario=tmp_path)
    assert "not a regular file" in refusal(scenario=Path("/dev/null"))
    assert "not a usable path" in refusal(scenario=Path("a\0b"))


_settings_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False).map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["change", "monitor", "window", "activate", "model", "sandbox", "set", "secret", "remove", "limits"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    | st.text(alphabet="ab:-[]{}&*!|>'\"%#?, \n\t\\x0", max_size=80).map(str.encode)
    | _settings_like.map(lambda value: repr(value).encode("utf-8", "replace")),
    where=st.sampled_from(["scenario", "targets", "policy"]),
)
@example(content=b"%YAML 1.9999", where="scenario")
@example(content=b"change: [{set: {1: 2, [a]: b}}, {secret: {A: {}}}, {remove: {}}, {limits: []}, 5]", where="scenario")
@example(content=b"a: {service: {stop: {}, read: [[]]}, activate_with: {1: 2}, limit_types: []}", where="targets")
@example(content=b"monitor: {window: 1" + b"0" * 400 + b"}", where="scenario")
def test_no_content_of_any_file_is_answered_with_a_traceback(tmp_path_factory, content, where):
    folder = tmp_path_factory.mktemp("any")
    (folder / "scenario.yaml").write_text(CHANGE, encoding="utf-8")
    (folder / f"{where}.yaml").write_bytes(content)
    try:
        request = request_for(scenario=folder / "scenario.yaml")
    except InvalidInput as refused:
        said = refused.problems
    else:
        said = (request.digest("embedded"),)
    assert said
    assert all(str(line).isprintable() for line in said)


@settings(max_examples=200, deadline=None)
@given(option=st.sampled_from(["activate", "ticket", "target", "gateway"]), value=st.text(max_size=60))
@example(option="gateway", value="http://[::1")
@example(option="gateway", value="http://[v1.x]")
@example(option="gateway", value="http://127.0.0.1:１")  # noqa: RUF001 - a digit that is not ASCII
def test_no_value_of_any_option_is_answered_with_a_traceback(option, value):
    try:
        said = (request_for(**{"activate": "openai:gpt-4o", option: value}).digest("embedded"),)
    except InvalidInput as refused:
        said = refused.problems
    assert said
    assert all(str(line).isprintable() for line in said)


# --- what a request is made of ---------------------------------------------------------------------------------


def test_one_line_is_a_complete_scenario(scenario):
    request = request_for(scenario=scenario())
    assert (request.scenario.changes, request.scenario.author) == ((ProviderChange("openai", "gpt-4o"),), "alice")
    assert (request.target.name, request.target.url, request.policy.name) == ("embedded", None, "sandbox")


def test_without_any_targets_or_policy_the_embedded_gateway_and_the_procedure_remain(scenario, tmp_path):
    request = request_for(scenario=scenario(), directory=tmp_path)
    assert (request.scenario.monitor, request.policy.name) == (Monitor(), "sandbox")


def test_the_scenario_overrides_single_keys_of_the_targets_bake_time(scenario):
    file = scenario(
        CHANGE + "monitor: {window: 40s, error_rate: 3%}", targets="embedded: {monitor: {metrics_every: 2s}}"
    )
    expected = dataclasses.replace(Monitor(), window_s=40.0, metrics_every_s=2.0, limits=Limits(error_rate=0.03))
    assert request_for(scenario=file).scenario.monitor == expected


def test_a_default_of_the_target_that_is_too_loose_is_refused_where_it_stands(scenario):
    file = scenario("target: gw\n" + CHANGE, targets="gw:\n  url: https://gw\n  monitor:\n    window: 1m\n")
    assert "targets.yaml:4: gw.monitor.window: 1m is shorter than production asks for (30m)" in refusal(scenario=file)


def test_a_bound_of_sanity_holds_for_a_targets_defaults_where_they_stand(scenario):
    """What the scenario leaves to its target is refused in the target's file, for the environment that rules there."""
    targets = "gw:\n  url: https://gw.example.com\n  monitor:\n    synthetic_every: 24h\n    confirm_after: 1h\n"
    said = refusal(scenario=scenario("target: gw\n" + CHANGE, targets=targets))
    assert "targets.yaml:4: gw.monitor.synthetic_every: 24h is out of bounds, production accepts at most 5m" in said
    assert "targets.yaml:5: gw.monitor.confirm_after: 1h is out of bounds, production accepts at most 30s" in said


@pytest.mark.parametrize("environment", ["production", "staging", "lab"])
def test_every_environment_but_the_sandbox_has_bounds_of_sanity(scenario, environment):
    """An environment of one's own is no way around them, and the sandbox is free."""
    policy = "staging: {review: recorded}\nlab: {review: recorded}\nsandbox: {review: recorded}\n"
    text = f"target: gw\n{CHANGE}monitor: {{window: 1h, confirm_after: 1h, synthetic_every: 10m}}\n"
    targets = f"gw: {{url: 'http://127.0.0.1:8123', environment: {environment}}}\n"
    said = refusal(scenario=scenario(text, targets=targets, policy=policy))
    assert f"monitor.confirm_after: 1h is out of bounds, {environment} accepts at most 30s" in said
    free = targets.replace(environment, "sandbox")
    assert request_for(scenario=scenario(text, targets=free, policy=policy)).scenario.monitor.confirm_after_s == 3600


@pytest.mark.parametrize(
    "said",
    ["confirm_after: 30s", "synthetic_every: 5m", "stable_polls: 2", "p95: 60s", "dark_share: 50%", "min_samples: 200"],
)
def test_a_value_on_its_bound_is_accepted(scenario, said):
    """A bound is the last value that is accepted."""
    targets = "gw: {url: 'https://gw.example.com', timeouts: {read: 1m, chat: 5m, activate: 10m}}\n"
    assert request_for(scenario=scenario(f"target: gw\n{CHANGE}monitor: {{{said}}}\n", targets=targets), sends=False)


def test_every_part_of_a_scenario_is_read(scenario):
    request = request_for(
        scenario=scenario(
            "name: full\ntarget: embedded\nticket: 123\nauthor: dave\napproved_by: [erin, frank]\n"
            "impact: {risk: low, affects: all, cost: none}\noperator: carol <carol@example.com>\n"
            "notify: [log, TEAM_URL]\nfixes: [ERROR_SPIKE/ollama]\nrollback_to: {activate: vllm, model: m}\n"
            "change: [{activate: openai, model: gpt-4o}]\nsandbox: {seed: 3}\n"
            "monitor: {window: 1h30m, metrics_every: 500ms, alerts_every: 2s, log_every: 3s, synthetic_every: 4s,\n"
            "  way_back_every: 5s, short_span: 6s, error_rate: 0.04, latency_factor: 1.5x, p95: 800ms,\n"
            "  min_requests: 7, min_samples: 8, dark_in_a_row: 9, dark_share: 10%, confirm_after: 11s,\n"
            "  stable_polls: 12, alerts: related, prompt: hi, expect: there, error_pattern: 'CUDA.*'}\n"
        )
    )
    limits = Limits(error_rate=0.04, latency_factor=1.5, p95_ms=800.0)
    expected = Monitor(
        5400.0, 0.5, 2.0, 3.0, 4.0, 5.0, 6.0, limits, 7, 8, 9, 0.1, 11.0, 12, "related", "hi", "there", "CUDA.*"
    )
    assert request.scenario.monitor == expected
    assert request.scenario == Scenario(
        name="full",
        source=request.scenario.source,
        target="embedded",
        changes=(ProviderChange("openai", "gpt-4o"),),
        author="dave",
        ticket="123",
        approved_by=("erin", "frank"),
        impact=Impact("low", "all", "none"),
        operator=Operator("carol", "carol@example.com"),
        notify=("log", "TEAM_URL"),
        fixes=("ERROR_SPIKE/ollama",),
        rollback_to=ProviderChange("vllm", "m"),
        monitor=expected,
        sandbox={"seed": 3},
        file=request.scenario.file,
    )


SOURCES = """
gw:
  url: https://gw.example.com
  log_command: [ssh, gw, tail, -n, 0, -F, /var/log/gateway.log]
  sources:
    prometheus:
      url: https://prometheus.example.com/prom/
      requests: 'r{p="{provider}"}'
      errors: 'e{m=~"{model}"}'
      latency_seconds_bucket: b
      up: 'up{job="gw"}'
      token_env: PROMETHEUS_TOKEN
    alertmanager: {url: "http://alerts:9093", match: "team='llm'", heartbeat: alertname="Watchdog"}
"""


def test_sources_beside_the_gateway_are_read(scenario):
    file = scenario("target: gw\n" + CHANGE, targets=SOURCES)
    found = request_for(scenario=file, env=TOKENS | {"PROMETHEUS_TOKEN": "x-y-z-x-y-z"}).target
    assert found.log_command == ("ssh", "gw", "tail", "-n", "0", "-F", "/var/log/gateway.log")
    assert found.sources == Sources(
        prometheus=PrometheusSource(
            url="https://prometheus.example.com/prom",
            requests='r{p="{provider}"}',
            errors='e{m=~"{model}"}',
            latency_seconds_bucket="b",
            up='up{job="gw"}',
            token_env="PROMETHEUS_TOKEN",
        ),
        alertmanager=AlertmanagerSource("http://alerts:9093", ('team="llm"',), 'alertname="Watchdog"'),
    )


def test_a_sources_secrets_and_certificates_must_be_there(scenario):
    tls = "      tls: {ca_file: /nowhere/ca.pem}\n    alertmanager"
    file = scenario("target: gw\n" + CHANGE, targets=SOURCES.replace("    alertmanager", tls))
    said = refusal(scenario=file)
    assert "gw.sources.prometheus.token_env: the environment variable PROMETHEUS_TOKEN is not set" in said
    assert "gw.sources.prometheus.tls.ca_file: there is no file /nowhere/ca.pem; check the path" in said


def test_every_part_of_a_target_is_read(scenario, tmp_path):
    (tmp_path / "ca.pem").touch()
    file = scenario(
        "target: gw\n" + CHANGE,
        targets=f"""
lab: {{url: "https://lab", environment: staging, token_env: LAB_TOKEN}}
gw:
  url: https://GW.example.com:443/base/
  token_env: GATEWAY_TOKEN
  user: robot
  tls: {{ca_file: {tmp_path}/ca.pem}}
  timeouts: {{read: 1s, chat: 2s, activate: 3s}}
  paths: {{health: /healthz, status: "/p/{{provider}}/s"}}
  staging: lab
  safe: {{activate: ollama, model: m, restart: true}}
  restart: true
  startup: 40s
  stale_for: 10s
  providers: {{vllm: {{restart: false}}, Google: {{startup: 1m}}}}
  service: {{stop: [make, api-stop], start: [ssh, -p, 2222, gw, " x"], read: [cat, e], write: [tee, e], timeout: 9s}}
  activate_with: {{ollama: {{path: "/to/{{provider}}", body: {{name: "{{provider}}", model: "{{model}}"}}}}}}
  chat_with: {{path: /stream, body: {{content: "{{prompt}}"}}}}
  limit_types: {{cost: per_provider}}
  env_file: /srv/.env
  log_file: /srv/backend.log
  activation_rewrites: [A, B]
  provider_key: P
  model_key: M
  reported_as: {{google: google-gemini}}
  prove_way_back: false
  latency_bound: 1.5s
  time_zone: UTC
  windows: [{{days: [sat-mon, wed], from: "22:00", to: "24:00"}}]
  notify: TEAM_URL
""",
    )
    request = request_for(scenario=file, env=TOKENS | {"LAB_TOKEN": "x"})
    assert request.scenario.notify == ("TEAM_URL",)
    assert request.target == Target(
        name="gw",
        environment="production",
        url="https://gw.example.com/base",
        token_env="GATEWAY_TOKEN",
        user="robot",
        tls=Tls(ca_file=tmp_path / "ca.pem"),
        timeouts=Timeouts(1.0, 2.0, 3.0),
        paths={"health": "/healthz", "status": "/p/{provider}/s"},
        staging="https://lab",
        staging_token_env="LAB_TOKEN",
        safe=ProviderChange("ollama", "m", restart=True),
        restart=True,
        startup_s=40.0,
        stale_for_s=10.0,
        providers={"vllm": ProviderRestart(restart=False), "Google": ProviderRestart(startup_s=60.0)},
        service=Service(("make", "api-stop"), ("ssh", "-p", "2222", "gw", " x"), ("cat", "e"), ("tee", "e"), 9.0),
        activate_with={"ollama": OtherCall("/to/{provider}", {"name": "{provider}", "model": "{model}"})},
        chat_with=OtherCall("/stream", {"content": "{prompt}"}),
        limit_types={"cost": "per_provider", "rate": "rate"},
        env_file=Path("/srv/.env"),
        env_file_stated=True,
        log_file=Path("/srv/backend.log"),
        activation_rewrites=("A", "B"),
        provider_key="P",
        model_key="M",
        reported_as={"google": "google-gemini"},
        notify=("TEAM_URL",),
        prove_way_back=False,
        latency_bound_ms=1500.0,
        windows=(ChangeWindow(frozenset({5, 6, 0, 2}), time(22), time.max),),
    )
    assert request.scenario.changes == (ProviderChange("openai", "gpt-4o", restart=True),)


@pytest.mark.parametrize(("line", "stated"), [("", False), ("  env_file: none\n", True)])
def test_an_env_file_that_is_stated_as_unreachable_differs_from_an_omitted_one(scenario, line, stated):
    request = request_for(scenario=scenario("target: gw\n" + CHANGE, targets="gw:\n  url: https://gw\n" + line))
    assert (request.target.env_file, request.target.env_file_stated) == (None, stated)


def test_every_part_of_a_policy_is_read(scenario):
    file = scenario(
        "target: gw\n" + CHANGE,
        targets="gw: {url: https://gw, environment: lab, log_file: /l, sources: {alertmanager: {url: https://a}}}",
        policy="lab: {window_at_least: 1m, not_demanded: [pre-2.1], ticket_pattern: 'A-\\d+', outside_window: warn,\n"
        "  limits_for_good: accept, ticket_url: 'https://t/{ticket}',\n"
        "  approvals_at_least: 2, precheck_max_age: 2h, confirm_within: 3h, hold_at_most: 4m,\n"
        "  canary_at_high_risk: false, review: recorded, allowed_signers: ../keys, approval_max_age: none,\n"
        "  operator_ack_max_age: 1h, pull_request: accept, ticket_lookup: 'https://t/api/{ticket}',\n"
        "  ticket_token_env: TRACKER_TOKEN, prove_way_back: execute, separate_duties: true,\n"
        "  retrospective_within: 2h, channels: [log, OPS], on_no_data: roll_back, alpha: 2%, power: block,\n"
        "  keep_evidence_days: 365,\n"
        "  allowed_changes: [provider, limits], required_sources: [alertmanager, log],\n"
        "  standard: [{kind: provider, providers: openai, models: [a, b], risk: medium}, {kind: limits}]}",
    )
    assert request_for(scenario=file).policy == Policy(
        "lab",
        window_at_least_s=60.0,
        not_demanded=frozenset({"PRE-2.1"}),
        ticket_pattern=r"A-\d+",
        ticket_url="https://t/{ticket}",
        ticket_lookup="https://t/api/{ticket}",
        ticket_token_env="TRACKER_TOKEN",
        prove_way_back="execute",
        separate_duties=True,
        approvals_at_least=2,
        review="recorded",
        allowed_signers="../keys",
        approval_max_age_s=None,
        operator_ack_max_age_s=3600.0,
        pull_request="accept",
        limits_for_good="accept",
        precheck_max_age_s=7200.0,
        outside_window="warn",
        confirm_within_s=10800.0,
        hold_at_most_s=240.0,
        canary_at_high_risk=False,
        retrospective_within_s=7200.0,
        channels=("log", "OPS"),
        on_no_data="roll_back",
        alpha=0.02,
        power="block",
        keep_evidence_days=365,
        allowed_changes=frozenset({"provider", "limits"}),
        required_sources=frozenset({"alertmanager", "log"}),
        standard=(StandardChange("provider", ("openai",), ("a", "b"), risk="medium"), StandardChange("limits")),
    )


def test_the_page_about_policies_describes_every_key():
    page = (SHIPPED.parent / "docs" / "POLICY.md").read_text(encoding="utf-8")
    assert [field.alias for field in PolicySchema.model_fields.values() if f"`{field.alias}`" not in page] == []


GW = {"targets": "gw: {url: https://gw, environment: lab}"}


def test_channels_of_the_policy_are_notified_besides_those_of_the_scenario(scenario):
    file = scenario("target: gw\nnotify: [OPS, log]\n" + CHANGE, **GW, policy="lab: {channels: [TEAM, OPS]}")
    assert request_for(scenario=file).scenario.notify == ("OPS", "log", "TEAM")
    file = scenario("target: gw\n" + CHANGE, **GW, policy="lab: {channels: [TEAM]}")
    assert request_for(scenario=file).scenario.notify == ("TEAM",)


def test_a_policy_that_rolls_back_without_data_rules_every_source(scenario):
    rolls_back = {**GW, "policy": "lab: {on_no_data: roll_back}"}
    file = scenario("target: gw\n" + CHANGE, **rolls_back)
    assert set(request_for(scenario=file).scenario.monitor.on_no_data.values()) == {"roll_back"}
    said = refusal(scenario=scenario("target: gw\nmonitor: {on_no_data: {log: extend}}\n" + CHANGE, **rolls_back))
    assert said.endswith("scenario.yaml:2: monitor.on_no_data: extends for log, and lab rolls back (MON-6); remove it")


def test_a_kind_of_change_that_the_policy_does_not_allow_is_refused_where_it_stands(scenario):
    file = scenario(
        "target: gw\nchange:\n  - {activate: openai, model: gpt-4o}\n"
        "  - {limits: cost, scope: global, soft_limit_usd: 1, hard_limit_usd: 2}\n",
        **GW,
        policy="lab: {allowed_changes: [limits, environment]}",
    )
    assert refusal(scenario=file).endswith(
        "scenario.yaml:3: change[0]: is of kind provider, and lab allows environment and limits only; remove it"
    )


def test_a_target_without_a_source_that_its_policy_requires_is_refused(scenario):
    file = scenario("target: gw\n" + CHANGE, **GW, policy="lab: {required_sources: [prometheus, alertmanager, log]}")
    said = refusal(scenario=file).splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "gw.sources: lab requires the source alertmanager for every window; add `sources: {alertmanager: …}`",
        "gw.log_file: lab requires the source log for every window; add `log_file:` or `log_command:`",
        "gw.sources: lab requires the source prometheus for every window; add `sources: {prometheus: …}`",
    ]


def test_an_embedded_gateway_brings_the_required_log_along(scenario):
    file = scenario(CHANGE, policy="sandbox: {required_sources: [log]}")
    assert request_for(scenario=file).policy.required_sources == {"log"}


TWENTY_MINUTES = """
gw: {url: https://gw, environment: lab, time_zone: UTC, windows: [{days: mon, from: "22:00", to: "22:20"}]}
"""


def test_a_bake_time_that_no_window_is_long_enough_for_is_refused(scenario):
    """PRE-4.1 could never pass: a pipeline that tries again later would do so for ever."""
    said = refusal(scenario=scenario("target: gw\n" + CHANGE, targets=TWENTY_MINUTES, policy="lab: {}"))
    assert said.endswith(
        "monitor.window: 30m never fits: the windows of target 'gw' are open for 20m at most (PRE-4.1); "
        "shorten it, widen a window, or add a waiver of PRE-4.1"
    )


@pytest.mark.parametrize(
    "more",
    [
        "waivers: [{clause: PRE-4.1, reason: r, granted_by: dave, until: 2026-12-01}]\n",
        "class: emergency\n",
    ],
)
def test_a_change_that_waits_for_no_window_needs_none_that_is_long_enough(scenario, more):
    file = scenario("target: gw\nauthor: alice\n" + more + CHANGE, targets=TWENTY_MINUTES, policy="lab: {}")
    assert request_for(scenario=file).scenario.monitor.window_s == 1800


def test_class_and_waivers_are_read_and_belong_to_the_approved_content(scenario):
    waived = "waivers: [{clause: pre-4.4, reason: tonight, granted_by: dave, until: 2026-12-01}]\n"
    short = "target: gw\nauthor: alice\nmonitor: {window: 1m}\n"
    asked = request_for(scenario=scenario(short + waived + "class: emergency\n" + CHANGE, **GW, policy="lab: {}"))
    assert asked.scenario.change_class is ChangeClass.EMERGENCY
    assert asked.scenario.waivers == (Waiver("PRE-4.4", "tonight", "dave", datetime(2026, 12, 1)),)  # noqa: DTZ001
    assert as_opened(json.loads(canonical(asked))).scenario.waivers == asked.scenario.waivers
    normal = request_for(scenario=scenario(short + waived + CHANGE, **GW, policy="lab: {}"))
    assert normal.scenario.change_class is ChangeClass.NORMAL
    assert normal.digest("x") != asked.digest("x")


def test_in_the_sandbox_a_standard_change_takes_one_line_more(scenario):
    assert request_for(scenario=scenario(CHANGE + "class: standard\n")).scenario.change_class is ChangeClass.STANDARD


def test_an_environment_that_says_little_demands_what_the_procedure_does(scenario):
    file = scenario("target: gw\n" + CHANGE, targets="gw: {url: https://gw, environment: lab}", policy="lab: {}")
    assert request_for(scenario=file).policy == Policy("lab")


def test_what_production_demands_of_people_is_left_to_the_checks(scenario):
    request = request_for(scenario=scenario("target: production\n" + CHANGE))
    assert (request.scenario.ticket, request.scenario.impact, request.scenario.operator) == (None, None, None)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in sorted(SHIPPED.glob("*.yaml"))])
def test_the_shipped_scenarios_load_and_state_all_that_a_check_reads(file: Path):
    if file.stem in {"targets", "policy"}:
        assert request_for(activate="openai:gpt-4o", target="production").policy == Policy(
            "production", allowed_signers="allowed_signers"
        )
        return
    asked = request_for(scenario=file).scenario
    # The five stages of the canary share their time.
    assert asked.monitor.window_s <= (60 if file.stem == "canary" else 30)
    assert all([asked.ticket, asked.approved_by, asked.impact, asked.operator, asked.notify])
    assert asked.author not in asked.approved_by


def test_the_shipped_target_of_the_recorded_kind_fits_what_was_recorded():
    target = request_for(activate="openai:gpt-4o", target="recorded-kind", env={}).target

    def asked(sample: str) -> tuple[str, Any]:
        request = json.loads((TESTS / "gateway-samples" / f"{sample}.json").read_text())["request"]
        return request["path"], request.get("json")

    def filled(call: OtherCall | None) -> tuple[str, Any]:
        assert call is not None
        words = {"provider": "ollama", "model": "gemma3:4b", "prompt": "ping"}
        return call.path, {key: text.format(**words) for key, text in call.body.items()}

    assert filled(target.activate_with["ollama"]) == asked("llm_servers_active_ollama")
    assert filled(target.chat_with) == asked("chat_after_restart_openai")
    assert target.paths["health"] == asked("healthz")[0]
    assert [asked(f"limits_{kind}_openai_ok")[1]["limit_type"] for kind in target.limit_types.values()] == [
        "cost",
        "rate",
    ]


def test_the_shipped_target_of_the_recorded_kind_declares_every_key_that_an_activation_rewrote():
    target = request_for(activate="openai:gpt-4o", target="recorded-kind", env={}).target
    before, after = (
        json.loads((TESTS / "gateway-samples" / f"config_runtime_{when}.json").read_text())["response"]["body"][
            "config"
        ]
        for when in ("get", "after_activate")
    )
    moved = {key for key in before if before[key] != after[key]}
    assert moved <= {target.provider_key, target.model_key, *target.activation_rewrites}
    assert (before[target.provider_key], after[target.provider_key]) == ("ollama", "openai")


def test_the_shipped_policy_is_the_one_built_in(tmp_path, scenario):
    built_in = request_for(scenario=scenario(), directory=tmp_path).policy
    assert request_for(scenario=SHIPPED / "quickstart.yaml").policy == built_in


# --- the changes -----------------------------------------------------------------------------------------------


def test_every_part_of_every_kind_of_change_is_read_in_its_order(scenario):
    request = request_for(
        scenario=scenario("""
change:
  - {activate: openai, model: gpt-4o, restart: true}
  - set: {LOG_LEVEL: debug}
    secret: {OPENAI_API_KEY: NEW_OPENAI_KEY}
    remove: [OLD_KEY, OLDER_KEY]
    startup: 40s
  - {limits: cost, scope: openai, soft_limit_usd: 12.5, hard_limit_usd: 250}
  - {limits: rate, scope: GLOBAL, max_requests_per_minute: 60, max_tokens_per_minute: 100000}
  - {remove: LONE_KEY}
""")
    )
    assert request.scenario.changes == (
        ProviderChange("openai", "gpt-4o", restart=True),
        EnvironmentChange(
            {"LOG_LEVEL": "debug"}, {"OPENAI_API_KEY": "NEW_OPENAI_KEY"}, ("OLD_KEY", "OLDER_KEY"), startup_s=40.0
        ),
        LimitChange("cost", "openai", {"soft_limit_usd": 12.5, "hard_limit_usd": 250.0}),
        LimitChange("rate", "global", {"max_requests_per_minute": 60.0, "max_tokens_per_minute": 100_000.0}),
        EnvironmentChange(remove=("LONE_KEY",)),
    )


@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        ("8000", "8000"),
        ("0.50", "0.50"),
        ("-0", "-0"),
        ("True", "True"),
        ("false", "false"),
        ("012", "012"),
        ("1e3", "1e3"),
        ("no", "no"),
        ("a b", "a b"),
        ('" a "', " a "),
        ('""', ""),
        ('"null"', "null"),
        ('"8000"', "8000"),
        (r'"a\nb\t#\"c"', 'a\nb\t#"c'),
        ("https://example.com/?a=b#c", "https://example.com/?a=b#c"),
    ],
)
def test_a_value_of_the_env_file_is_taken_as_it_is_spelled(scenario, spelled, value):
    (change,) = request_for(scenario=scenario(f"change:\n  set:\n    SOME_SETTING: {spelled}\n")).scenario.changes
    assert isinstance(change, EnvironmentChange)
    assert change.values == {"SOME_SETTING": value}


def test_a_number_is_taken_as_spelled_in_the_second_of_several_changes_and_through_an_anchor(scenario):
    file = scenario("change: [{set: {A: &n 1.10}}, {set: {B: *n, C: 2.0}}]\n")
    assert [dict(change.values) for change in request_for(scenario=file).scenario.changes] == [
        {"A": "1.10"},
        {"B": "1.10", "C": "2.0"},
    ]


def test_startup_is_awaited_for_as_long_as_the_target_says_which_is_15_seconds_where_it_says_nothing(scenario):
    request = request_for(scenario=scenario("change: {remove: [OLD_KEY]}\n"))
    (change,) = request.scenario.changes
    assert isinstance(change, EnvironmentChange)
    assert change.startup_s is None
    assert request.target.startup_s_of(None) == 15.0


def test_a_scope_is_taken_as_the_gateway_asks_for_it_and_as_it_reports_it(scenario):
    file = scenario('change: {limits: rate, scope: "provider:openai", max_tokens_per_minute: 5}\n')
    (change,) = request_for(scenario=file).scenario.changes
    assert isinstance(change, LimitChange)
    assert (change.scope, change.reported_scope) == ("openai", "provider:openai")


ELSEWHERE = "target: gw\nchange: {{{}}}\n"
SERVICE = "service: {stop: [make, api-stop], start: [make, api-start]"


@pytest.mark.parametrize(
    ("change", "says", "refused"),
    [
        ("set: {A: b}", "", ["change: changes the .env file, and target 'gw' has no `service:`", "does not say where"]),
        ("set: {A: b}", "env_file: /srv/.env", ["change: changes the .env file, and target 'gw' has no `service:`"]),
        ("set: {A: b}", SERVICE + "}", ["change: changes the .env file, and target 'gw' does not say where it is"]),
        ("set: {A: b}", SERVICE + "}, env_file: none", ["does not say where it is"]),
        ("set: {A: b}", SERVICE + "}, env_file: /srv/.env", []),
        ("set: {A: b}", SERVICE + ", read: [cat, e], write: [tee, e]}", []),
        ("remove: [P]", SERVICE + "}, env_file: /srv/.env, provider_key: P", ["change.remove[0]: P is what an activ"]),
        ("set: {M: b}", SERVICE + "}, env_file: /srv/.env, model_key: M", ["change.set.M: M is what an activation"]),
        ("set: {LLM_MODEL_NAME: b}", SERVICE + "}, env_file: /srv/.env, model_key: M", []),
        ("activate: a, model: b, restart: true", "", ["change.restart: target 'gw' has no `service:` to restart"]),
        ("activate: a, model: b, restart: false", "", []),
        ("activate: a, model: b, restart: true", SERVICE + "}", []),
        ("limits: rate, scope: global, max_tokens_per_minute: 5", "", []),
    ],
)
def test_a_change_that_its_target_gives_no_means_for_is_refused(scenario, change, says, refused):
    file = scenario(ELSEWHERE.format(change), targets=f"gw: {{url: https://gw, {says}}}", policy="{}")
    asked = {"scenario": file, "directory": file.parent}
    if not refused:
        assert request_for(**asked).target.name == "gw"
        return
    said = refusal(**asked).splitlines()
    assert [words for words, line in zip(refused, said, strict=True) if words not in line] == []
    assert all(line.startswith(f"{file}:2: ") for line in said)


RESTARTING = """
gw:
  url: https://gw
  env_file: /srv/.env
  service: {stop: [make, api-stop], start: [make, api-start]}
  startup: 20s
  safe: {activate: ollama, model: m, restart: true}
  providers: {vllm: {restart: true, startup: 60s}, google: {startup: 5s}}
"""


@pytest.mark.parametrize(
    ("change", "fitted"),
    [
        ("{activate: VLLM, model: m}", ProviderChange("VLLM", "m", restart=True)),
        ("{activate: vllm, model: m, startup: 61s}", ProviderChange("vllm", "m", restart=True, startup_s=61.0)),
        ("{activate: Ollama, model: m}", ProviderChange("Ollama", "m", restart=True)),
        ("{activate: openai, model: m}", ProviderChange("openai", "m")),
        ("{activate: openai, model: m, restart: false}", ProviderChange("openai", "m")),
        (
            "{activate: openai, model: m, restart: true, startup: 20s}",
            ProviderChange("openai", "m", restart=True, startup_s=20.0),
        ),
        (
            "{activate: google, model: m, restart: true, startup: 5s}",
            ProviderChange("google", "m", restart=True, startup_s=5.0),
        ),
        ("{set: {A: b}, startup: 20s}", EnvironmentChange({"A": "b"}, startup_s=20.0)),
    ],
)
def test_a_scenario_may_add_to_the_restart_and_the_start_up_of_its_target(scenario, change, fitted):
    """What the target says of a provider, in any capitals, holds for the change; so does what it says of `safe`."""
    request = request_for(scenario=scenario(f"target: gw\nchange: {change}\n", targets=RESTARTING))
    assert request.scenario.changes == (fitted,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "{activate: vllm, model: m, startup: 59s}",
            "change.startup: 59s is shorter than target 'gw' for vllm allows its service (1m); raise it, or remove it",
        ),
        (
            "{set: {A: b}, startup: 19s}",
            "change.startup: 19s is shorter than target 'gw' allows its service (20s); raise it, or remove it",
        ),
        (
            "{activate: openai, model: m, restart: true, startup: 5s}",
            "change.startup: 5s is shorter than target 'gw' for openai allows its service (20s); raise it, or remove",
        ),
        (
            "{activate: vllm, model: m, restart: false}",
            "change.restart: is false, and target 'gw' for vllm says `restart: true`; remove it",
        ),
        (
            "{activate: a, model: b}\nrollback_to: {activate: ollama, model: m, restart: false}",
            "rollback_to.restart: is false, and target 'gw' for ollama says `restart: true`; remove it",
        ),
    ],
)
def test_a_scenario_takes_no_restart_and_no_start_up_away_from_its_target(scenario, change, says):
    file = scenario(f"target: gw\nchange: {change}\n", targets=RESTARTING)
    line = 3 if "rollback_to" in says else 2
    assert refusal(scenario=file).startswith(f"{file}:{line}: {says}")


def test_a_restart_by_the_target_holds_for_the_command_line_and_for_a_rollback_elsewhere(scenario, tmp_path):
    (tmp_path / "targets.yaml").write_text(RESTARTING)
    asked = request_for(activate="vllm:m", target="gw", directory=tmp_path).scenario
    assert asked.changes == (ProviderChange("vllm", "m", restart=True),)
    file = scenario("target: gw\n" + CHANGE + "rollback_to: {activate: vllm, model: m}\n", targets=RESTARTING)
    assert request_for(scenario=file).scenario.rollback_to == ProviderChange("vllm", "m", restart=True)


def test_a_canary_of_a_provider_that_its_target_restarts_is_refused(scenario):
    file = scenario("target: gw\nchange: {activate: vllm, model: m}\nstrategy: canary\n", targets=RESTARTING)
    assert "cannot wait for restarts" in refusal(scenario=file)


def test_a_restart_by_the_target_is_refused_where_the_gateway_is_moved_out_of_the_sandbox(scenario):
    """On loopback it may be an embedded gateway, which brings its service along; elsewhere it is none."""
    targets = "lab: {url: 'http://127.0.0.1:9', environment: sandbox, restart: true}\n"
    file = scenario("target: lab\n" + CHANGE + "monitor: {window: 30m}\n", targets=targets)
    assert request_for(scenario=file).scenario.activation.restart
    assert "change.restart: target 'lab' has no `service:`" in refusal(
        scenario=file, target="lab", gateway="https://elsewhere.example.com"
    )


def test_a_rollback_elsewhere_that_needs_a_restart_is_refused_where_there_is_no_service(scenario):
    file = scenario(
        "target: gw\n" + CHANGE + "rollback_to: {activate: a, model: b, restart: true}\n",
        targets="gw: {url: https://gw}",
    )
    assert "rollback_to.restart: target 'gw' has no `service:` to restart" in refusal(scenario=file)


@pytest.mark.parametrize("gateway", [None, "http://127.0.0.1:8000"])
def test_the_embedded_gateway_and_unlisted_ones_on_loopback_are_taken_to_have_a_service(scenario, gateway):
    file = scenario("change: [{set: {A: b}}, {activate: openai, model: gpt-4o, restart: true}]\n")
    assert len(request_for(scenario=file, gateway=gateway).scenario.changes) == 2


def test_an_unlisted_gateway_elsewhere_is_taken_to_have_none(scenario):
    file = scenario("change: {set: {A: b}}\nmonitor: {window: 30m}\n")
    said = refusal(scenario=file, gateway="https://new.example.com")
    assert "target 'new.example.com' has no `service:` to restart" in said


@pytest.mark.parametrize(("target", "decides"), [("embedded", "accept"), ("recorded-kind", "refuse")])
@pytest.mark.parametrize("policy", ["shipped", "built in"])
def test_a_limit_for_good_is_accepted_in_the_sandbox_and_refused_in_production(tmp_path, target, decides, policy):
    for file in ("targets.yaml", "policy.yaml") if policy == "shipped" else ("targets.yaml",):
        shutil.copy(SHIPPED / file, tmp_path)
    request = request_for(activate="openai:gpt-4o", target=target, directory=tmp_path)
    assert request.policy.limits_for_good == decides


# --- the command line ------------------------------------------------------------------------------------------


def test_activate_makes_a_scenario_and_splits_at_the_first_colon():
    asked = request_for(activate="ollama:gemma3:4b", ticket="OPS-7").scenario
    assert (asked.name, asked.source, asked.file) == ("activate-ollama", "--activate", None)
    assert (asked.changes, asked.ticket) == ((ProviderChange("ollama", "gemma3:4b"),), "OPS-7")
    assert asked.monitor.window_s == 20


@pytest.mark.parametrize("value", ["openai", "openai:", "openai: ", ":gpt-4o", "../x:gpt-4o", "openai:gpt\n4o", ""])
def test_activate_without_a_provider_and_a_model_is_refused(value):
    assert refusal(activate=value).startswith("--activate: ")


def test_activate_beside_a_scenario_is_refused(scenario):
    assert refusal(scenario=scenario(), activate="openai:gpt-4o").startswith("--activate: makes a scenario of its own")


def test_policy_applies_to_the_command_line_too(scenario):
    folder = scenario(targets="gw: {url: https://gw, monitor: {window: 1m}}").parent
    assert "1m is shorter than production asks for" in refusal(activate="a:b", target="gw", directory=folder)


def test_a_ticket_on_the_command_line_overrides_the_files(scenario):
    assert request_for(scenario=scenario(CHANGE + "ticket: OLD-1\n"), ticket="NEW-1").scenario.ticket == "NEW-1"


def test_an_author_that_cannot_be_written_down_is_unknown(scenario):
    names = [
        request_for(scenario=scenario(), env=env).scenario.author for env in ({}, {"USER": "\x1b"}, {"LOGNAME": "bo"})
    ]
    assert names == ["unknown", "unknown", "bo"]


def test_targets_and_policy_beside_the_scenario_are_preferred(scenario):
    file = scenario(targets="embedded: {user: beside}")
    request = request_for(scenario=file)
    assert (request.target.user, request.policy.outside_window) == ("beside", "warn")


# --- which gateway ---------------------------------------------------------------------------------------------

TARGETS = """
stage: {url: "https://stage.example.com", environment: staging, user: stage}
prod: {url: "https://prod.example.com", user: prod}
tunnel: {url: "http://127.0.0.1:9000", environment: production}
"""


@pytest.mark.parametrize(
    ("named", "target", "gateway", "expected"),
    [
        (None, None, "https://PROD.example.com:443/", ("prod", "https://prod.example.com", "production")),
        (
            None,
            None,
            "https://new.example.com:8443",
            ("new.example.com:8443", "https://new.example.com:8443", "production"),
        ),
        (None, None, "http://127.0.0.1:8000/", ("127.0.0.1:8000", "http://127.0.0.1:8000", "sandbox")),
        (None, None, "http://localhost:8000", ("localhost:8000", "http://localhost:8000", "sandbox")),
        (None, None, "http://[::1]:8000", ("[::1]:8000", "http://[::1]:8000", "sandbox")),
        (None, None, "http://127.0.0.1:9000", ("tunnel", "http://127.0.0.1:9000", "production")),
        (
            None,
            None,
            "http://127.0.0.1.example.com",
            ("127.0.0.1.example.com", "http://127.0.0.1.example.com", "production"),
        ),
        (None, None, "http://0.0.0.0:8000", ("0.0.0.0:8000", "http://0.0.0.0:8000", "production")),
        (None, "prod", "http://127.0.0.1:7000", ("prod", "http://127.0.0.1:7000", "production")),
        (None, "stage", "http://127.0.0.1:7000", ("stage", "http://127.0.0.1:7000", "staging")),
        (None, "stage", "https://new.example.com", ("stage", "https://new.example.com", "production")),
        ("prod", None, "http://127.0.0.1:7000", ("prod", "http://127.0.0.1:7000", "production")),
        ("prod", "stage", None, ("stage", "https://stage.example.com", "staging")),
        ("embedded", None, "http://127.0.0.1:7000", ("127.0.0.1:7000", "http://127.0.0.1:7000", "sandbox")),
        ("prod", "embedded", None, ("embedded", None, "sandbox")),
    ],
)
def test_a_url_never_loosens_the_policy_of_the_gateway_it_leads_to(scenario, named, target, gateway, expected):
    text = CHANGE + "monitor: {window: 30m}\n" + (f"target: {named}\n" if named else "")
    request = request_for(scenario=scenario(text, targets=TARGETS), target=target, gateway=gateway)
    assert (request.target.name, request.target.url, request.policy.name) == expected
    assert (request.scenario.target, request.target.environment) == (expected[0], expected[2])


LOOKED = "GET /sandbox/about"
NOT_EMBEDDED = {"doubt": lambda _request: "HTTP 404"}


@pytest.mark.parametrize(
    ("named", "target", "gateway", "name"),
    [
        (None, None, "http://127.0.0.1:8000", "127.0.0.1:8000"),
        (None, None, "http://localhost:8000", "localhost:8000"),
        ("embedded", None, "http://[::1]:8000", "[::1]:8000"),
        (None, "stage", "http://127.0.0.1:7000", "stage"),
        ("stage", None, "http://127.0.0.1:7000", "stage"),
        (None, None, "http://127.0.0.1:9000", "tunnel"),
    ],
)
def test_13_loopback_alone_loosens_no_policy(scenario, named, target, gateway, name):
    """A tunnel is on loopback too; a target that is listed there is ruled as it says, and is not asked."""
    text = CHANGE + "monitor: {window: 30m}\n" + (f"target: {named}\n" if named else "")
    request = request_for(scenario=scenario(text, targets=TARGETS), target=target, gateway=gateway, **NOT_EMBEDDED)
    assert (request.target.name, request.policy.name, request.target.environment) == (name, "production", "production")
    said = f"{gateway} does not answer as the embedded gateway ({LOOKED}: HTTP 404), so production's policy holds"
    assert request.origin.ruled == ("" if name == "tunnel" else said)


def test_13_where_the_embedded_gateway_is_not_its_own_paces_do_not_count(scenario):
    """They stand beside the embedded gateway in the targets' file; the procedure's take their place."""
    targets = "embedded: {monitor: {window: 20s, metrics_every: 1s, alerts_every: 1s}}\n"
    file = scenario(targets=targets)
    asked = request_for(scenario=file, gateway="http://127.0.0.1:8000", **NOT_EMBEDDED)
    assert (asked.scenario.monitor.window_s, asked.scenario.monitor.metrics_every_s) == (1800, 10)
    assert request_for(scenario=file, gateway="http://127.0.0.1:8000").scenario.monitor.window_s == 20


def test_13_a_change_that_is_too_little_for_production_is_refused_with_the_reason_first(scenario):
    said = refusal(scenario=scenario(CHANGE + "sandbox: {seed: 1}\n"), gateway="http://127.0.0.1:8000", **NOT_EMBEDDED)
    assert said.startswith(
        "--gateway: http://127.0.0.1:8000 does not answer as the embedded gateway (GET /sandbox/about:"
    )
    assert "steers the embedded gateway only" in said


def test_13_a_target_that_is_listed_as_the_sandbox_is_refused_where_it_is_none(scenario):
    file = scenario(CHANGE + "target: lab\n", targets="lab: {url: 'http://127.0.0.1:9', environment: sandbox}\n")
    said = refusal(scenario=file, **NOT_EMBEDDED)
    assert "targets.yaml:1: lab.environment: is sandbox, which is the embedded gateway's alone" in said
    assert len(said.splitlines()) == 1
    # Whoever only approves it is not the one who reaches it.
    assert request_for(scenario=file, sends=False, **NOT_EMBEDDED).policy.name == "sandbox"


@pytest.mark.parametrize("gateway", ["https://new.example.com", "https://prod.example.com", None])
def test_13_no_gateway_is_asked_whose_policy_does_not_depend_on_it(scenario, gateway):
    def asked(_request: Request) -> str:
        raise AssertionError("it was asked")

    file = scenario(CHANGE + "monitor: {window: 30m}\n", targets=TARGETS)
    assert request_for(scenario=file, gateway=gateway, doubt=asked).target.url == gateway


def test_13_other_mistakes_are_reported_before_a_gateway_is_asked(scenario):
    def asked(_request: Request) -> str:
        raise AssertionError("it was asked")

    assert "windwo" in refusal(scenario=scenario(CHANGE + "windwo: 3\n"), gateway="http://127.0.0.1:8000", doubt=asked)


@pytest.mark.parametrize(
    ("target", "gateway", "words"),
    [
        ("stage", "https://prod.example.com", "is the url of target 'prod', not of 'stage'"),
        ("embedded", "http://127.0.0.1:8000", "has a URL of its own"),
        (None, "127.0.0.1:8000", "must start with http"),
        (None, "http://", "no usable host"),
        (None, "http://u:hunter2@127.0.0.1", "carries a user name or password"),
        (None, "http://127.0.0.1\\@evil.example.com", "carries a user name or password"),
        (None, "http://127.0.0.1:8000/api/v1/", "which the suite adds itself"),
        (None, "http://127.0.0.1:8000/#x", "query or a fragment"),
        (None, "http://127.0.0.1:8000?token=hunter2", "query or a fragment"),
        (None, "http://127.0.0.1:80\n80", "control character"),
        (None, "http://127.0.0.1:port", "cannot be read"),
        (None, "http://127.0.0.1:0", "no usable host or port"),
        (None, "", "must be a URL"),
    ],
)
def test_a_gateway_that_is_no_base_url_is_refused_without_repeating_it(scenario, target, gateway, words):
    said = refusal(scenario=scenario(targets=TARGETS), target=target, gateway=gateway)
    assert said.startswith("--gateway: ")
    assert words in said
    assert "hunter2" not in said


def test_a_base_url_has_one_spelling():
    spellings = ("HTTP://Example.COM", "http://example.com:80/", " http://example.com// ")
    assert {base_url(spelling) for spelling in spellings} == {"http://example.com"}


def test_loopback_is_this_very_machine_only():
    local = ("http://127.0.0.1", "http://127.8.9.1:1", "http://[::1]", "http://localhost:8000")
    remote = ("http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.nip.io", "http://[fe80::1]")
    assert [is_loopback(url) for url in (*local, *remote)] == [True] * 4 + [False] * 4


def test_sandbox_settings_are_allowed_on_loopback_and_nowhere_else(scenario):
    file = scenario(CHANGE + "monitor: {window: 30m}\nsandbox: {seed: 1}\n", targets=TARGETS)
    assert request_for(scenario=file, gateway="http://127.0.0.1:8000").scenario.sandbox == {"seed": 1}
    assert "steers the embedded gateway only" in refusal(scenario=file, gateway="http://127.0.0.1:9000")
    assert "steers the embedded gateway only" in refusal(scenario=file, target="stage")


# --- secrets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "is not set"), ("", "is not set"), ("hunter2\n", "a line break"), ("hünter2", "no HTTP")],
)
def test_a_token_that_cannot_be_sent_is_named_by_its_variable_only(token, words):
    env = {"STAGING_GATEWAY_TOKEN": "x"} | ({} if token is None else {"GATEWAY_TOKEN": token})
    said = refusal(activate="openai:gpt-4o", target="production", env=env)
    assert ("GATEWAY_TOKEN" in said, words in said, "nter2" in said) == (True, True, False)
    assert len(said.splitlines()) == 1


def test_the_tokens_of_other_targets_are_not_asked_for():
    assert request_for(activate="openai:gpt-4o", env={}).target.name == "embedded"


def test_a_certificate_that_is_not_there_is_named(scenario):
    file = scenario("target: gw\n" + CHANGE, targets="gw: {url: https://gw, tls: {ca_file: /nowhere/ca.pem}}")
    assert "gw.tls.ca_file: there is no file /nowhere/ca.pem" in refusal(scenario=file)


# --- the digest ------------------------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_where_the_scenario_lies(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        shutil.copy(SHIPPED / "quickstart.yaml", tmp_path / folder)
    digests = {
        request_for(scenario=tmp_path / folder / "quickstart.yaml").digest("embedded") for folder in ("here", "there")
    }
    assert len(digests) == 1


def altered(value: Any) -> Any:
    """Return another value of the same kind; of a record, with its first field altered."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = dataclasses.fields(value)[0].name
        return dataclasses.replace(value, **{name: altered(getattr(value, name))})
    return _altered_plain(value)


def _altered_plain(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case dict():
            return value | {"altered": "1"}
        case tuple():
            return (*value, *value[:1]) if value else ("altered",)
        case frozenset():
            return value | {"altered"}
        case _:
            return f"{value}-altered"


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (part, field.name)
        for part, kind in (("scenario", Scenario), ("target", Target), ("policy", Policy))
        for field in dataclasses.fields(kind)
        if field.name not in {"file", "source"}
    ],
)
def test_the_digest_changes_with_every_field(part, field):
    request = request_for(scenario=SHIPPED / "quickstart.yaml")
    record = getattr(request, part)
    other = dataclasses.replace(
        request, **{part: dataclasses.replace(record, **{field: altered(getattr(record, field))})}
    )
    assert other.digest("embedded") != request.digest("embedded")


def test_the_digest_changes_with_the_effective_url_and_not_with_the_source():
    request = request_for(scenario=SHIPPED / "quickstart.yaml")
    moved = dataclasses.replace(request, scenario=dataclasses.replace(request.scenario, source="x", file=Path("y")))
    assert moved.digest("embedded") == request.digest("embedded") != request.digest("http://127.0.0.1:1")


ALL_KINDS = """
change:
  - {activate: openai, model: gpt-4o}
  - {set: {A: b}, secret: {C: NEW_OPENAI_KEY}, remove: [D], startup: 15s}
  - {limits: cost, scope: openai, soft_limit_usd: 200, hard_limit_usd: 250}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gpt-4o}", "gpt-4o, restart: true}"),
        ("A: b", "A: c"),
        ("A: b", "B: b"),
        ("NEW_OPENAI_KEY", "OTHER_KEY"),
        ("[D]", "[D, E]"),
        ("15s", "16s"),
        ("cost", "rate"),
        ("scope: openai", "scope: vllm"),
        ("200", "201"),
    ],
)
def test_the_digest_changes_with_every_part_of_every_kind_of_change(scenario, old, new):
    rate = {"soft_limit_usd: 200, hard_limit_usd: 250": "max_tokens_per_minute: 1"} if new == "rate" else {}
    changed = ALL_KINDS.replace(old, new, 1)
    for words, others in rate.items():
        changed = changed.replace(words, others)
    env = TOKENS | SECRETS | {"OTHER_KEY": "hunter2"}
    digests = {request_for(scenario=scenario(text), env=env).digest("embedded") for text in (ALL_KINDS, changed)}
    assert len(digests) == 2


def test_the_digest_changes_with_the_order_of_the_changes(scenario):
    first, second = "change: [{set: {A: b}}, {set: {C: d}}]\n", "change: [{set: {C: d}}, {set: {A: b}}]\n"
    assert len({request_for(scenario=scenario(text)).digest("embedded") for text in (first, second)}) == 2


def test_neither_the_digest_nor_the_request_knows_the_value_of_a_secret(scenario):
    file = scenario(ALL_KINDS)
    requests = [request_for(scenario=file, env={"NEW_OPENAI_KEY": value}) for value in ("hunter2", "hunter3")]
    assert len({request.digest("embedded") for request in requests}) == 1
    assert "hunter" not in str(to_json(requests[0]))


GOLDEN = {
    "activation": "2fc1b78dc81a70af6bc4c7479b2bc7d4f86c9b508e2920d9255341cf655dc260",
    "restart": "31b8292feff0eb1e9c9b5aa69c8265b6bc356e2f9e846a71558f17db3938ddd3",
    "environment": "fcf053432cb9382f482f089b38dcc8f5e9785c692e1810c0ddb49f51fc5c3a42",
    "longer": "4fc2ab9045f8191a7575a05591fdc24053252412c152268ce47eadcf45ec3e73",
    "sandbox": "3ad65672b3e66060b8134c80759b25c4d37f4a062dd344bb05a8ef36ec0e8755",
}
"""Digests that version 0.1 gave."""
OF_0_1 = {
    "activation": "change: {activate: openai, model: gpt-4o}\n",
    "restart": "change: {activate: openai, model: gpt-4o, restart: true}\nrollback_to: {activate: vllm, model: m}\n",
    "environment": "change: [{set: {A: b}}, {limits: rate, scope: openai, max_tokens_per_minute: 5}]\n",
    "longer": "change: {set: {A: b}, startup: 40s}\n",
}
OF_0_1["sandbox"] = OF_0_1["environment"]
TARGET_OF_0_1 = """gw:
  url: https://gw.example.com
  safe: {activate: ollama, model: m, restart: true}
  service: {stop: [make, stop], start: [make, start]}
  env_file: /srv/.env
"""


@pytest.mark.parametrize("name", GOLDEN)
def test_a_content_that_says_nothing_of_later_keys_has_the_digest_of_version_0_1(scenario, name):
    """So that what was approved and cleared under it still is."""
    file = scenario("author: alice\nmonitor: {window: 30m}\n" + OF_0_1[name], targets=TARGET_OF_0_1)
    target = "embedded" if name == "sandbox" else "gw"
    request = request_for(scenario=file, target=target, directory=file.parent)
    assert request.digest("u") == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_journal_of_version_0_1_is_read_and_has_its_digest(scenario, name):
    """Its rollouts know no start-up of the target's, no restart and no price of a proof."""
    file = scenario("author: alice\nmonitor: {window: 30m}\n" + OF_0_1[name], targets=TARGET_OF_0_1)
    target = "embedded" if name == "sandbox" else "gw"
    kept = json.loads(canonical(request_for(scenario=file, target=target, directory=file.parent)))
    for key in ("prove_way_back", "on_missing_evidence", "separate_duties", "alpha", "power", "keep_evidence_days"):
        del kept["policy"][key]
    for key in ("synthetic", "baseline_requests"):
        del kept["scenario"]["monitor"][key]
    for key in ("restart", "startup_s", "providers", "stale_for_s"):
        del kept["target"][key]
    for change in (*kept["scenario"]["changes"], kept["scenario"]["rollback_to"] or {}, kept["target"]["safe"] or {}):
        if change.get("startup_s", 0.0) is None:
            del change["startup_s"]
            if "values" in change:
                change["startup_s"] = 15.0
    read = as_opened(kept)
    assert read.digest("u") == GOLDEN[name]
    assert (read.target.startup_s_of("openai"), read.target.restarts("openai")) == (15.0, False)


def test_power_and_baseline_of_a_scenario_are_read_and_are_part_of_its_content(scenario):
    """A target's are its default; the digest covers each of them."""
    texts = ("", "synthetic: {power: 90%}", "synthetic: {power: 0.9, usd_at_most: 2}", "baseline_requests: 149")
    requests = [request_for(scenario=scenario(CHANGE + (f"monitor: {{{text}}}" if text else ""))) for text in texts]
    found = [(request.scenario.monitor.synthetic, request.scenario.monitor.planned_baseline) for request in requests]
    power = SyntheticPower(0.9)
    assert found == [(None, 15), (power, 15), (dataclasses.replace(power, usd_at_most=2.0), 15), (None, 149)]
    assert len({request.digest("u") for request in requests}) == len(texts)
    assert [as_opened(json.loads(canonical(request))) for request in requests] == [
        dataclasses.replace(request, origin=Origin()) for request in requests
    ]


@pytest.mark.parametrize("key", ["alpha: 0.02", "power: block", "keep_evidence_days: 365"])
def test_a_later_key_of_a_policy_is_part_of_the_content(scenario, key):
    file = scenario(CHANGE, policy=f"sandbox: {{{key}}}")
    stated = request_for(scenario=file).digest("u")
    assert request_for(scenario=scenario(CHANGE, policy="sandbox: {alpha: 0.01, power: warn}")).digest("u") != stated


@pytest.mark.parametrize(
    ("old", "new"),
    [("startup: 20s", "startup: 21s"), ("startup: 60s", "startup: 61s"), ("google: {st", "openai: {st")],
)
def test_the_digest_changes_with_the_start_up_of_the_target_and_of_its_providers(scenario, old, new):
    asked = "target: gw\nchange: {set: {A: b}}\n"
    both = (RESTARTING, RESTARTING.replace(old, new))
    assert len({request_for(scenario=scenario(asked, targets=text)).digest("u") for text in both}) == 2


def test_a_request_with_every_kind_of_change_is_the_same_after_the_journal(scenario):
    request = request_for(scenario=scenario(ALL_KINDS), target="embedded")
    kept = json.loads(canonical(request))
    assert as_opened(kept).scenario.changes == request.scenario.changes
    assert as_opened(kept).digest("embedded") == request.digest("embedded")


@pytest.mark.parametrize("call", DEFAULTS)
def test_the_clients_own_path_of_a_call_is_a_possible_setting(call):
    assert PathsSchema.model_validate({call: DEFAULTS[call]}).explicit_values() == {call: DEFAULTS[call]}


def test_the_calls_of_a_targets_paths_are_those_of_the_client():
    assert set(PathsSchema.model_fields) == set(DEFAULTS)


PROBES = """
  probes:
    - prompt: say pong
      expect: pong
    - prompt: as JSON
      max_tokens: 64
      expect: {matches: "^{", max_length: 80, json_schema: {type: object, required: [answer]}}
"""


def test_probes_are_read_with_their_expectations_and_survive_the_journal(scenario):
    request = request_for(scenario=scenario(CHANGE + "monitor:" + PROBES))
    schema = {"type": "object", "required": ["answer"]}
    assert request.scenario.monitor.in_turn == (
        Probe("say pong", Expectation(contains="pong")),
        Probe("as JSON", Expectation(matches="^{", max_length=80, json_schema=schema), max_tokens=64),
    )
    opened = {name: to_json(getattr(request, name)) for name in ("scenario", "target", "policy")}
    assert as_opened(json.loads(canonical(opened))).scenario.monitor == request.scenario.monitor


@pytest.mark.parametrize(
    ("target", "asked", "in_turn"),
    [
        ("{}", "{}", (Probe("ping"),)),
        ("{prompt: hi}", "{expect: there}", (Probe("hi", Expectation("there")),)),
        ("{probes: {prompt: far}}", "{}", (Probe("far"),)),
        ("{probes: {prompt: far}}", "{prompt: near}", (Probe("near"),)),
        ("{expect: far}", "{probes: off}", None),
        ("{probes: off}", "{prompt: near}", ()),
        ("{}", "{probes: off}", ()),
        ("{}", "{probes: false}", ()),
    ],
)
def test_the_probes_of_the_scenario_replace_those_of_the_target(scenario, target, asked, in_turn):
    file = scenario(CHANGE + f"monitor: {asked}\n", targets=f"embedded: {{monitor: {target}}}")
    if in_turn is None:
        assert "would never be compared with an answer" in refusal(scenario=file)
    else:
        assert request_for(scenario=file).scenario.monitor.in_turn == in_turn


# --- canary ----------------------------------------------------------------------------------------------------

HOUR_S = 3600.0
PACE = "monitor: {synthetic_every: 1m}\n"


def canary_of(file: Path, **asked: Any) -> Canary | None:
    return request_for(scenario=file, **asked).scenario.canary


def test_a_canary_has_the_procedures_stages_and_is_watched_as_long_as_they_last(scenario: Any):
    request = request_for(scenario=scenario(CHANGE + PACE + "strategy: canary\n"))
    found = [(stage.clause, stage.share, stage.lasts_s / HOUR_S) for stage in stages(request.scenario)]
    assert found == [
        ("CAN-2.1", 0.1, 1),
        ("CAN-2.2", 0.25, 1),
        ("CAN-2.3", 0.5, 2),
        ("CAN-2.4", 1.0, 4),
        ("CAN-3", 1.0, 24),
    ]
    assert request.scenario.monitor.window_s == 32 * HOUR_S


def test_a_canary_may_have_stages_of_its_own(scenario: Any):
    own = (
        "strategy:\n  stages: [{share: 5%, for: 10s}, {share: 30%, for: 1m}, {share: 100%, for: 4s}]\n  stabilise: 5s\n"
    )
    found = stages(request_for(scenario=scenario(CHANGE + own)).scenario)
    assert [(stage.clause, stage.name, stage.lasts_s) for stage in found] == [
        ("CAN-2.1", "CAN-2.1 5%", 10),
        ("CAN-2.2", "CAN-2.2 30%", 60),
        ("CAN-2.4", "CAN-2.4 100%", 4),
        ("CAN-3", "CAN-3 100%", 5),
    ]


def test_the_single_request_test_can_be_all_there_is(scenario: Any):
    only = canary_of(scenario(CHANGE + PACE + "strategy: {single_request: only, stabilise: 1h}\n"))
    assert only == Canary(shares=(), stabilise_s=HOUR_S)


def test_a_target_that_cannot_split_traffic_falls_back_only_if_the_scenario_says_so(scenario: Any):
    change = CHANGE + "target: production\nstrategy: {without_weights: single_request}\n"
    assert canary_of(scenario(change)) == Canary(shares=())
    targets = "production: {url: https://gateway.example.com, routing: {unit: percent}}\n"
    assert canary_of(scenario(change, targets=targets)) == Canary()


@pytest.mark.parametrize("risk", ["high", "High, and more", "HIGH: nobody tried", " - high"])
def test_a_high_risk_demands_a_canary_in_production(scenario: Any, risk: str):
    impact = f"target: production\nimpact: {{risk: {json.dumps(risk)}, affects: all, cost: none}}\n"
    assert "production demands a canary" in refusal(scenario=scenario(CHANGE + impact))
    assert canary_of(scenario(CHANGE + impact + "strategy: {without_weights: single_request}\n")) is not None
    assert request_for(scenario=scenario(CHANGE + impact), target="embedded").scenario.canary is None


@pytest.mark.parametrize("risk", ["low", "low, not high", "higher than usual", "medium"])
def test_any_other_risk_does_not(scenario: Any, risk: str):
    impact = f"target: production\nimpact: {{risk: {json.dumps(risk)}, affects: all, cost: none}}\n"
    assert canary_of(scenario(CHANGE + impact)) is None


def test_a_high_risk_is_not_met_by_one_request_where_the_stages_are_possible(scenario: Any):
    impact = "target: production\nimpact: {risk: high, affects: all, cost: none}\nstrategy: {single_request: only}\n"
    targets = "production: {url: https://gateway.example.com, routing: {unit: percent}}\n"
    assert "demands all stages" in refusal(scenario=scenario(CHANGE + impact, targets=targets))
    assert canary_of(scenario(CHANGE + impact, targets="production: {url: https://gateway.example.com}\n")) is not None


def test_a_high_risk_of_limits_demands_no_canary(scenario: Any):
    limits = "change: {limits: cost, scope: openai, soft_limit_usd: 200, hard_limit_usd: 250}\n"
    impact = "target: production\nimpact: {risk: high, affects: all, cost: none}\n"
    assert canary_of(scenario(limits + impact)) is None


def test_how_a_target_splits_its_traffic_is_read(scenario: Any):
    text = """
a:
  url: https://a.example.com
  routing:
    set: {method: POST, path: /routes, body: {split: "{weights}", why: rollout}}
    read: {path: /routes/now, at: data.split}
    destination: "{provider}"
    unit: percent
"""
    routing = request_for(scenario=scenario(CHANGE + "target: a\n", targets=text)).target.routing
    body = {"split": "{weights}", "why": "rollout"}
    assert routing == Routing("/routes", "POST", body, "/routes/now", "data.split", "{provider}", percent=True)


def test_a_canary_is_read_back_from_the_journal_as_it_was(scenario: Any):
    targets = "production: {url: https://gateway.example.com, routing: {unit: percent}}\n"
    request = request_for(scenario=scenario(CHANGE + "target: production\nstrategy: canary\n", targets=targets))
    opened = {name: json.loads(canonical(to_json(getattr(request, name)))) for name in ("scenario", "target", "policy")}
    assert (as_opened(opened).scenario.canary, as_opened(opened).target.routing) == (Canary(), Routing(percent=True))


def test_an_empty_routing_is_the_documented_call(scenario: Any):
    targets = "production: {url: https://gateway.example.com, routing: {}}\n"
    request = request_for(scenario=scenario(CHANGE + "target: production\nstrategy: canary\n", targets=targets))
    assert (request.target.routing, request.scenario.canary) == (Routing(), Canary())


def test_it_is_known_which_options_had_a_part_and_whether_the_url_is_the_targets_own(tmp_path: Path) -> None:
    """Commands that are printed name them: an approval covers the URL too, and an emergency has to go there."""
    scenario = tmp_path / "s.yaml"
    scenario.write_text(CHANGE + "target: lab\n")
    (tmp_path / "targets.yaml").write_text("lab: {url: 'http://127.0.0.1:1', environment: sandbox}\n")
    plain_ = request_for(scenario=scenario).origin
    assert (plain_.options, plain_.moved) == ((), False)
    own = request_for(scenario=scenario, gateway="http://127.0.0.1:1").origin
    assert (own.options, own.moved) == (("--gateway=http://127.0.0.1:1",), False)
    moved = request_for(scenario=scenario, target="lab", gateway="http://127.0.0.1:2", ticket="T-1").origin
    assert (moved.options, moved.moved) == (
        ("--ticket=T-1", "--target=lab", "--gateway=http://127.0.0.1:2"),
        True,
    )
    unlisted = request_for(activate="openai:gpt-4o", gateway="http://127.0.0.1:2").origin
    assert (unlisted.options, unlisted.moved) == (
        ("--activate=openai:gpt-4o", "--gateway=http://127.0.0.1:2"),
        False,
    )
