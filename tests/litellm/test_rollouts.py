"""Whole rollouts on a real LiteLLM proxy; the judge is the proxy's file, and what its upstreams have seen."""

from __future__ import annotations

from tests.litellm.lab import Lab


def test_a_change_to_a_provider_that_answers_is_kept(lab: Lab) -> None:
    with lab.users() as users:
        code, printed = lab.run()
    assert code == 0, printed
    assert "= KEPT: " in printed
    assert lab.proxy.alias == lab.new.provider
    assert lab.proxy.answered_by() == lab.new.provider
    assert "# The operators' own comment" in lab.proxy.config.read_text(encoding="utf-8")
    assert users.answers.count(200) > 10
    for clause in ("VER-1", "VER-3", "MON-1", "MON-4", "PRE-5.3"):
        assert f"○ {clause} " in printed, printed
