"""The gateway's audit log shows an activation that came between this rollout's own (VER-3, BROKEN_PROMISES 9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.engine.verification import _concurrent, moment, read_audit
from rollout.gateway.responses import AuditEntry
from rollout.journal.record import Kind
from tests.support.undoing import NEW, OLD, TARGET, Undoing

Begin = Callable[..., Undoing]


def entry(second: int, provider: str | None, **parts: str) -> AuditEntry:
    parts = {"action": "activate_provider", "user": "alice", "result": "success", **parts}
    return AuditEntry(timestamp=f"2026-11-23T12:00:{second:02}Z", provider=provider, details={}, **parts)


def proven(undoing: Begin, result: str | None = "done") -> Undoing:
    """Return a rollout that has proven its rollback and then activated."""
    lab = undoing()
    lab.write(str(OLD), step="APP-0.2", direction="proof")
    lab.write(str(NEW), result=result)
    return lab


def concurrent(lab: Undoing, *entries: AuditEntry) -> str | None:
    return _concurrent(lab.rollout, entries, lab.rollout.last_known_record())


OWN = (entry(10, "ollama"), entry(30, "openai"))


def test_its_own_activations_in_their_order_are_no_other_activation(undoing: Begin):
    """The order of the log does not count, nor an activation before the first of them."""
    lab = proven(undoing)
    assert concurrent(lab, *OWN) is None
    assert concurrent(lab, *reversed(OWN)) is None
    assert concurrent(lab, entry(5, "vllm"), *OWN) is None


def test_another_activation_between_its_own_has_been_overwritten(undoing: Begin):
    found = concurrent(proven(undoing), *OWN, entry(20, "vllm", user="bob"))
    assert found is not None
    assert found.startswith("bob activated vllm at 2026-11-23T12:00:20Z, between this rollout's own activations")
    assert "APP-1.2 has overwritten it" in found


def test_another_activation_after_its_own_is_seen_too(undoing: Begin):
    assert concurrent(proven(undoing), *OWN, entry(40, "vllm")) is not None


@pytest.mark.parametrize(
    "other",
    [
        entry(20, "vllm", result="failure"),
        entry(20, "vllm", action="set_limit"),
        entry(20, None, action="restart"),
    ],
)
def test_what_activated_nothing_is_no_other_activation(undoing: Begin, other: AuditEntry):
    assert concurrent(proven(undoing), *OWN, other) is None


@pytest.mark.parametrize("result", ["unknown", None])
def test_nothing_is_concluded_where_an_answer_was_lost(undoing: Begin, result: str | None):
    """It may be in the log or not, so the two cannot be compared."""
    assert concurrent(proven(undoing, result), entry(10, "ollama"), entry(20, "vllm")) is None


def test_a_refused_activation_is_in_no_order(undoing: Begin):
    lab = proven(undoing, "refused")
    assert concurrent(lab, entry(10, "ollama")) is None
    assert concurrent(lab, entry(10, "ollama"), entry(20, "vllm")) is not None


def test_a_log_that_kept_less_than_was_written_shows_no_other_activation(undoing: Begin):
    assert concurrent(proven(undoing)) is None
    assert concurrent(proven(undoing), entry(30, "OpenAI")) is None


def test_a_rollout_that_activated_nothing_compares_nothing(undoing: Begin):
    assert concurrent(undoing(), entry(20, "vllm")) is None


def test_a_provider_that_is_reported_by_another_name_is_the_same(undoing: Begin):
    lab = proven(undoing)
    lab.rollout.target = replace(TARGET, reported_as={"openai": "OpenAI-Azure"})
    assert concurrent(lab, entry(10, "ollama"), entry(30, "openai-azure")) is None


def test_the_check_names_what_was_overwritten(undoing: Begin):
    lab = proven(undoing)
    lab.rollout.append(Kind.OPENED, digest="d")
    lab.gateway.audited = [entry(10, "ollama"), entry(20, "vllm"), entry(30, "openai", user="rollout")]
    found = read_audit(lab.rollout)
    assert found.problem is not None
    assert "activated vllm" in found.problem


def test_a_moment_without_a_zone_is_utc():
    assert moment("2026-11-23T12:00:00") == moment("2026-11-23T12:00:00Z") == moment("2026-11-23T13:00:00+01:00")
