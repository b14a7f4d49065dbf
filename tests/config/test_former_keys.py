"""Former keys of ``targets.yaml``: named in one line, refused beside their new names, and the same in a digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.cli import plan as plan_command
from rollout.config.load import load, load_target
from rollout.core.canonical_json import to_json
from rollout.core.errors import InvalidInput
from rollout.core.request import Request, as_opened
from rollout.core.scenario import ProviderChange

WRITTEN = Path(__file__).parent.parent / "compatibility" / "former-key"
"""Files, the opening of a journal and an approval, written by the code that knew the key `twin` only."""

OPENED = json.loads((WRITTEN / "opened.json").read_text(encoding="utf-8"))
FORMER = (WRITTEN / "targets.yaml").read_text(encoding="utf-8")
TODAY = FORMER.replace("twin", "staging")


def loaded(folder: Path, targets: str) -> Request:
    """Load the scenario of the former code with other targets."""
    for name in ("scenario.yaml", "policy.yaml"):
        (folder / name).write_bytes((WRITTEN / name).read_bytes())
    (folder / "targets.yaml").write_text(targets, encoding="utf-8")
    return load(
        scenario=folder / "scenario.yaml",
        activate=None,
        ticket=None,
        target=None,
        gateway=None,
        directory=folder,
        env={"STAGING_TOKEN": "x"},
        doubt=lambda _: "",
    )


def refusal(folder: Path, targets: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        loaded(folder, targets)
    return str(refused.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("targets", [FORMER, TODAY], ids=["twin", "staging"])
def test_a_staging_gateway_has_the_digest_of_the_former_code_under_either_key(tmp_path: Path, targets: str):
    """What was approved then is approved still."""
    request = loaded(tmp_path, targets)
    [approval] = (WRITTEN / "approvals").iterdir()
    approved = json.loads(approval.read_text(encoding="utf-8"))["approval"]["digest"]
    assert request.target.staging == "https://staging.example.com"
    assert request.target.staging_token_env == "STAGING_TOKEN"
    assert request.digest(str(request.target.url)) == OPENED["digest"] == approved


def test_the_journal_keeps_a_staging_gateway_as_the_former_code_did(tmp_path: Path):
    target = to_json(loaded(tmp_path, TODAY).target)
    assert {key: target[key] for key in OPENED["target"]} == OPENED["target"]
    assert OPENED["target"]["twin"] == "https://staging.example.com"


def test_what_the_former_code_opened_is_read_with_its_staging_gateway():
    request = as_opened(OPENED)
    assert (request.target.staging, request.target.staging_token_env) == (
        "https://staging.example.com",
        "STAGING_TOKEN",
    )
    assert request.digest(OPENED["url"]) == OPENED["digest"]


def test_former_keys_are_named_in_one_line_with_their_lines_and_new_names(tmp_path: Path):
    more = FORMER + "other: {url: 'https://o.example.com', environment: lab, twin: 'https://s.example.com'}\n"
    assert loaded(tmp_path, more).origin.notice.replace(f"{tmp_path}/", "") == (
        "targets.yaml:4, 5, 6: twin is now staging, twin_token_env is now staging_token_env; "
        "a former key is still read, rename it"
    )
    assert loaded(tmp_path, TODAY).origin.header_lines() == []


def test_the_plan_and_the_header_of_a_release_show_the_line_once(tmp_path: Path):
    request = loaded(tmp_path, FORMER)
    before = plan_command.Before(ProviderChange("ollama", "m"), {"cost": {}, "rate": {}}, None, "read")
    text = plan_command.text(request, plan_command.planned(request, before))
    assert text.count("deprecated: ") == text.count("twin is now staging") == 1
    _, _, origin = load_target(
        target="gw", gateway=None, directory=tmp_path, env={"STAGING_TOKEN": "x"}, doubt=lambda _: ""
    )
    assert origin.header_lines() == [f"deprecated: {request.origin.notice}"]


def test_a_former_key_beside_its_new_name_is_refused_with_its_line(tmp_path: Path):
    both = FORMER + "  staging: https://staging.example.com\n  staging_token_env: STAGING_TOKEN\n"
    assert refusal(tmp_path, both) == (
        "targets.yaml:4: gw.twin: stands beside staging, which is its new name; remove twin\n"
        "targets.yaml:5: gw.twin_token_env: stands beside staging_token_env, which is its new name; "
        "remove twin_token_env"
    )


def test_a_wrong_value_is_refused_under_the_key_that_the_file_has(tmp_path: Path):
    assert refusal(tmp_path, FORMER.replace("twin: https://staging.example.com", "twin: gw")) == (
        "targets.yaml:4: gw.twin: 'gw' is not a non-production gateway with a url; name another (PRE-3.1)"
    )
    assert refusal(tmp_path, FORMER.replace("STAGING_TOKEN", "a b")) == (
        "targets.yaml:5: gw.twin_token_env: must be the name of an environment variable, such as GATEWAY_TOKEN; "
        "secrets stay out of files"
    )


def test_anything_but_a_mapping_is_refused_as_before(tmp_path: Path):
    assert "targets.yaml:1: gw: a mapping is expected here" in refusal(tmp_path, "gw: twin\n")
