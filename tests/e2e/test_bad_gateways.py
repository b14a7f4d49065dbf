"""A gateway that misbehaves, and a request that cannot be met: one line at the check concerned, never a pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.main import main
from tests.support.liar import Behaviour, answer, delayed, drip_body, drip_headers, edited, empty, html, truncated
from tests.support.runs import Lab

NO_ANSWER = "no complete answer within 0.3 s"
LITTLE_PATIENCE = {"read": "300ms", "chat": "300ms", "activate": "1s"}

CALLS = r"^/(twin/)?(api/v1/|health)"
"""Every call of the gateway's API, and of its staging gateway's."""

READ_FROM_THE_GATEWAY = (
    "PRE-1.1",
    "PRE-1.2",
    "PRE-1.3",
    "PRE-2.4",
    "PRE-2.5",
    "PRE-3.1",
    "PRE-3.2",
    "PRE-5.1",
    "PRE-5.2",
    "PRE-5.3",
    "PRE-5.4",
)
"""The prechecks that rest on what the gateway answers."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A calm gateway of its own."""
    with Lab(tmp_path) as one:
        yield one


def wrong_types(body: Any) -> Any:
    """Keep the shape's outline, and put something else into every leaf."""
    if isinstance(body, dict):
        return {key: wrong_types(value) for key, value in body.items()}
    return {"nobody": "expects this"} if isinstance(body, list) else [body]


MISBEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "slow": (delayed(1.0), NO_ANSWER),
    "drips its body": (drip_body(), NO_ANSWER),
    "drips its headers": (drip_headers(), NO_ANSWER),
    "401": (answer(401, {"detail": "who are you"}), "401: who are you"),
    "404": (answer(404, {"detail": "Not Found"}), "no such path (404)"),
    "429": (answer(429, {"detail": "busy", "retry_after_seconds": 0}), "429: busy"),
    "500": (answer(500, {"detail": "boom"}), "500: boom"),
    "HTML": (html(), "the answer is not JSON (text/html"),
    "truncated JSON": (truncated({"status": "success", "config": {"A": "b"}}), "JSON"),
    "empty": (empty(), "empty"),
    "wrong types": (edited(wrong_types), ": "),
}


@pytest.mark.parametrize("kind", MISBEHAVIOURS)
def test_a_gateway_that_misbehaves_is_one_line_at_each_check_that_asked_it(lab: Lab, kind: str):
    behaviour, says = MISBEHAVIOURS[kind]
    if says == NO_ANSWER:
        lab.target["timeouts"] = LITTLE_PATIENCE
    lab.liar.rule(CALLS, behaviour)
    assert_refused_everywhere(lab, says)


def test_a_gateway_that_is_down_is_one_line_at_each_check_that_asked_it(lab: Lab):
    """In the sandbox, whose gateway has to prove that it is one, it is refused before that."""
    staging = {"window_at_least": "3s", "review": "named", "operator_ack_max_age": "none", "outside_window": "block"}
    lab.target["environment"], lab.policy["staging"] = "staging", staging
    del lab.scenario["monitor"]
    with lab.liar.down():
        assert_refused_everywhere(lab, "refused")


def assert_refused_everywhere(lab: Lab, says: str) -> None:
    ended = lab.run()
    assert (ended.code, ended.word) == (1, "NOTHING APPLIED"), ended.out
    assert {*ended.failed} == {*READ_FROM_THE_GATEWAY, "PRE-3.3"}, ended.out
    for clause in READ_FROM_THE_GATEWAY:
        reason = shown(ended.out, clause)
        assert len(reason) == 1, f"{clause} says {reason}"
        assert says in reason[0], f"{clause}: {reason[0]}"
    assert "Traceback" not in ended.out
    assert "defect in the suite" not in ended.out
    assert lab.writes() == []


def shown(out: str, clause: str) -> list[str]:
    """Return the lines of the listing that say why a clause did not pass."""
    lines = out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"  ✗ {clause} "))
    reason = []
    for line in lines[first + 1 :]:
        if not line.startswith("      "):
            break
        reason.append(line.strip())
    return reason


@pytest.mark.parametrize(
    ("provider", "model", "says"),
    [
        ("opnai", "gpt-4o", "the gateway lists no provider 'opnai'; did you mean 'openai'? it lists huggingface, oll"),
        ("openai", "gpt4o", "the gateway lists no model 'gpt4o' for 'openai'; did you mean 'gpt-4o'? it lists gpt-4o"),
    ],
    ids=["unknown provider", "unknown model"],
)
def test_what_the_gateway_does_not_list_is_refused_before_anything_else(
    lab: Lab, capsys: pytest.CaptureFixture[str], provider: str, model: str, says: str
):
    """Exit code 4 after one request, that of the list: no rollout, no backup, no announcement, no call that may cost.

    `rollout plan` refuses it as well.
    """
    lab.scenario["change"] = {"activate": provider, "model": model}
    lab.target["safe"] = {"activate": "vllm", "model": "gemma-3-4b-it"}
    before, asked = lab.state(), len(api_requests(lab))
    ended = lab.run()
    assert ended.code == 4, ended.out
    assert f"lab.yaml: change.{'activate' if provider == 'opnai' else 'model'}: {says}" in ended.out
    assert api_requests(lab)[asked:] == ["GET /api/v1/providers"]
    assert [path.name for path in lab.reports.iterdir() if not path.name.startswith("journal.sqlite")] == []
    assert lab.state() == before
    assert "Traceback" not in ended.out
    assert main(["plan", *lab.options()]) == 4
    assert says in capsys.readouterr().err


def test_what_cannot_be_activated_is_named_before_anything_is_applied(lab: Lab):
    """A provider that is listed, and cannot be activated, is a check that fails."""
    lab.scenario["change"] = {"activate": "huggingface", "model": "any"}
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (1, "NOTHING APPLIED"), ended.out
    assert "huggingface cannot be activated" in ended.failed["PRE-5.1"]
    assert "the gateway lists no models for huggingface, so the model is not checked" in ended.out
    assert lab.writes() == []
    assert lab.state() == before


def api_requests(lab: Lab) -> list[str]:
    """Return the requests to the gateway's API, as the gateway counts them, oldest first."""
    asked = lab.direct.get("/sandbox/requests").json()
    return [f"{each['method']} {each['path']}" for each in asked if each["user"] == "rollout"]


def test_a_token_variable_that_is_not_set_is_named_before_the_first_request(lab: Lab):
    lab.target["token_env"] = "LAB_TOKEN_THAT_IS_NOT_SET"
    ended = lab.run()
    assert ended.code == 4
    assert "lab.token_env: the environment variable LAB_TOKEN_THAT_IS_NOT_SET is not set" in ended.out
    assert lab.liar.requests == []


def test_a_list_that_names_the_provider_no_more_hides_no_change_in_flight(lab: Lab):
    """A rollout that has begun is said first, and its next phase is held to what the gateway does, not to the list."""
    assert lab.run("-m", "precheck or apply").code == 0
    lab.liar.rule("/providers$", edited(without_openai))
    again = lab.run()
    assert (again.code, again.word) == (13, "REFUSED"), again.out
    assert "is in flight since" in again.why
    assert lab.run("-m", "verify").word != "REFUSED"


def without_openai(body: Any) -> Any:
    """Take the new provider out of the list."""
    left = [each for each in body["providers"] if each["name"] != "openai"]
    return {**body, "providers": left, "count": len(left)}
