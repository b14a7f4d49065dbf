"""``kind:`` and ``settings:`` of a target: two spellings of the default kind's settings, and a driver's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.core.canonical_json import canonical, to_json
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.request import Request, as_opened
from rollout.core.schemas.deviations import DeviationsSchema
from rollout.engine.credentials import redactor_for
from tests.config.test_load import CHANGE, TOKENS, refusal, request_for
from tests.support.drivers import install_driver

DEVIATIONS = """\
paths: {health: /healthz, status: "/p/{provider}/s"}
activate_with: {ollama: {path: "/to/{provider}", body: {name: "{provider}", model: "{model}"}}}
chat_with: {path: /stream, body: {content: "{prompt}"}}
routing: {set: {path: /weights}, read: {path: /weights, at: data.weights}, unit: percent}
limit_types: {cost: per_provider}
activation_rewrites: [A, B]
provider_key: P
model_key: M
reported_as: {google: google-gemini}
"""
"""Every setting of the default kind."""

SITE = "gw:\n  url: https://gw.example.com\n  environment: lab\n"
Loaded = Callable[[str], Request]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a scenario, in which targets are written; a driver of the kind ``toy`` is installed."""
    monkeypatch.syspath_prepend(install_driver(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenario.yaml").write_text("target: gw\n" + CHANGE, encoding="utf-8")
    (tmp_path / "policy.yaml").write_text("lab: {}\n", encoding="utf-8")
    yield tmp_path
    sys.modules.pop("toy_driver", None)


@pytest.fixture
def loaded(folder: Path) -> Loaded:
    """Load the request with these targets."""
    return lambda targets: request_for(**asked(folder, targets))


@pytest.fixture
def refused(folder: Path) -> Callable[[str], str]:
    """Return what is said against these targets."""
    return lambda targets: refusal(**asked(folder, targets))


def asked(folder: Path, targets: str) -> dict[str, Any]:
    (folder / "targets.yaml").write_text(targets, encoding="utf-8")
    return {"scenario": Path("scenario.yaml"), "env": TOKENS | {"TOY_TOKEN": "hunter2-hunter2"}}


def indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())


# --- the default kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", f"  kind: {DEFAULT_KIND}\n"], ids=["no kind", "its kind"])
def test_settings_of_the_default_kind_are_the_same_target_in_both_spellings(loaded: Loaded, kind: str):
    directly = loaded(SITE + indented(DEVIATIONS, 2))
    below = loaded(SITE + kind + "  settings:\n" + indented(DEVIATIONS, 4))
    assert below.target == directly.target
    assert below.target.activate_with["ollama"].path == "/to/{provider}"
    assert below.digest("u") == directly.digest("u")
    silent = loaded(SITE).target
    assert [key for key in DeviationsSchema.model_fields if getattr(silent, key) == getattr(below.target, key)] == []


def test_the_record_of_a_target_of_the_default_kind_names_neither_kind_nor_settings(loaded: Loaded):
    """Journals, approvals and digests of former versions have neither."""
    target = loaded(SITE + f"  kind: {DEFAULT_KIND}\n  settings: {{paths: {{health: /healthz}}}}\n").target
    assert (target.kind, target.settings) == (DEFAULT_KIND, {})
    assert to_json(target).keys() & {"kind", "settings"} == set()
    assert canonical(target) == canonical(loaded(SITE + "  paths: {health: /healthz}\n").target)


def test_a_setting_in_both_spellings_is_refused_with_both_lines(refused: Callable[[str], str]):
    assert refused(SITE + "  model_key: M\n  settings:\n    provider_key: P\n    model_key: M\n") == (
        "targets.yaml:7: gw.settings.model_key: stands directly in the target, too, in line 4; keep one of the two"
    )


# --- a driver's own --------------------------------------------------------------------------------------------


def test_a_targets_kind_and_its_drivers_settings_are_recorded_with_their_defaults(loaded: Loaded):
    request = loaded(SITE + "  kind: toy\n  settings: {port: 8000, login: {token_env: TOY_TOKEN}}\n")
    assert (request.target.kind, request.target.settings) == (
        "toy",
        {"port": 8000, "mode": "fast", "login": {"token_env": "TOY_TOKEN"}, "depth": None},
    )
    recorded = {part: to_json(getattr(request, part)) for part in ("scenario", "target", "policy")}
    assert as_opened(recorded).target == request.target
    assert "hunter2" not in redactor_for(request, {"TOY_TOKEN": "hunter2-hunter2"}).text("hunter2-hunter2")


def test_the_digest_changes_with_the_settings_of_a_driver(loaded: Loaded):
    one, other = (loaded(f"{SITE}  kind: toy\n  settings: {{port: {port}}}\n") for port in (8000, 8001))
    assert one.digest("u") != other.digest("u")


def test_every_mistake_in_kind_and_settings_is_refused_with_its_line(refused: Callable[[str], str]):
    said = refused("""\
a:
  url: https://a.example.com
  kind: toi
  settings: {anything: goes}
b:
  url: https://b.example.com
  kind: toy
  paths: {health: /healthz}
  settings:
    prot: 8000
    mode: medium
    login: {token: x}
    depth: low
c:
  url: https://c.example.com
  kind: toy
  settings: {port: 80}
d:
  url: https://d.example.com
  kind: toy
  settings: {port: 13}
e:
  url: https://e.example.com
  staging: b
  environment: lab
embedded:
  kind: toy
  settings: {port: 8000}
gw: {url: https://gw.example.com}
""")
    assert said.splitlines() == [
        (
            "targets.yaml:3: a.kind: 'toi' is no installed kind of gateway; did you mean 'toy'? the kinds "
            "are command, documented, file, litellm, toy; install the package that brings it, or write one of these"
        ),
        (
            "targets.yaml:8: b.paths: is a setting of kind documented, and this target is of kind 'toy', "
            "whose settings stand below `settings:`; remove it"
        ),
        "targets.yaml:9: b.settings.port: is missing; write it",
        (
            "targets.yaml:10: b.settings.prot: is no key here; did you mean 'port'? the keys are port, "
            "mode, login, depth"
        ),
        "targets.yaml:11: b.settings.mode: should be 'fast' or 'slow'; correct it",
        "targets.yaml:12: b.settings.login.token_env: is missing; write it",
        "targets.yaml:12: b.settings.login.token: is no key here; did you mean 'token_env'? the keys are token_env",
        (
            "targets.yaml:13: b.settings.depth: should be a valid integer, unable to parse string as an "
            "integer; correct it"
        ),
        "targets.yaml:13: b.settings.depth: should be 'deep'; correct it",
        "targets.yaml:17: c.settings.port: is a port of the system; write one from 1024 on",
        (
            "targets.yaml:21: d.settings: cannot be judged, for the driver fails (KeyError: 'thirteen'); "
            "install another version of its package"
        ),
        "targets.yaml:24: e.staging: 'b' is not a non-production gateway with a url; name another (PRE-3.1)",
        "targets.yaml:27: embedded.kind: the embedded gateway is of kind documented; remove `kind:` or `embedded:`",
    ]


def test_a_staging_gateway_is_of_its_targets_kind(refused: Callable[[str], str]):
    toy = "toys: {url: 'https://toys.example.com', environment: lab, kind: toy, settings: {port: 8000}}\n"
    assert refused(SITE + "  staging: toys\n" + toy) == (
        "targets.yaml:4: gw.staging: 'toys' is of kind 'toy', and this target of kind 'documented'; name a gateway of "
        "the same kind"
    )
