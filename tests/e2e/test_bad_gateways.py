"""A gateway that misbehaves, and a request that cannot be met: one line at the check concerned, never a pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.liar import Behaviour, answer, delayed, drip_body, drip_headers, edited, empty, html, truncated
from tests.support.runs import Lab

NO_ANSWER = "no complete answer within 0.3 s"
LITTLE_PATIENCE = {"read": "300ms", "chat": "300ms", "activate": "1s"}

CALLS = r"^/(twin/)?(api/v1/|health)"
"""Every call of the gateway's API, and of its non-production twin's."""

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
        ("nobody", "gpt-4o", "the gateway knows no provider 'nobody'; it knows huggingface, ollama"),
        ("openai", "gpt-9", "openai has no model 'gpt-9'; it has gpt-4o, gpt-4o-mini, gpt-4.1"),
        ("huggingface", "any", "huggingface cannot be activated"),
    ],
    ids=["unknown provider", "unknown model", "not activatable"],
)
def test_what_cannot_be_activated_is_named_before_anything_is_applied(lab: Lab, provider: str, model: str, says: str):
    lab.scenario["change"] = {"activate": provider, "model": model}
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (1, "NOTHING APPLIED"), ended.out
    assert says in ended.failed["PRE-5.1"]
    assert lab.writes() == []
    assert lab.state() == before
    assert "Traceback" not in ended.out


def test_a_token_variable_that_is_not_set_is_named_before_the_first_request(lab: Lab):
    lab.target["token_env"] = "LAB_TOKEN_THAT_IS_NOT_SET"
    ended = lab.run()
    assert ended.code == 4
    assert "lab.token_env: the environment variable LAB_TOKEN_THAT_IS_NOT_SET is not set" in ended.out
    assert lab.liar.requests == []
