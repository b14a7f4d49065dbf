"""No document contradicts another, or the journal: 2,000 journals and more, cut off anywhere (BROKEN_PROMISES 20)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.journal.record import Decision
from rollout.reporting.exceptions import describe_exceptions
from rollout.reporting.timeline import clock
from tests.support.journals import Truth
from tests.support.tales import CHANGES, NAMES, PROOF, SHAPES, Tale, tell
from tests.support.telling import Documents, documents

EACH = 150
"""The number of journals per shape."""

STILL = "still in effect as far as is known"
LASTED = re.compile(r"in effect:? (for [^,;|.]*)", re.IGNORECASE)
NEGATIVE = re.compile(r"(?:^|[\s(|])[-\u2212\u2013]\d", re.MULTILINE)
WHO = re.compile(r"\b(?:openai|ollama|vllm|gpt-4o|gemma3:4b) answered(?! instead)")
STATES = {
    None: "open",
    Decision.KEPT: "kept",
    Decision.ROLLED_BACK: "back",
    Decision.ROLLBACK_FAILED: "failed",
    Decision.NOTHING_APPLIED: "nothing",
}


def tales(shape: str) -> st.SearchStrategy[Tale]:
    return st.builds(
        Tale,
        shape=st.just(shape),
        changes=st.sampled_from(CHANGES),
        class_=st.sampled_from(("normal", "standard", "emergency")),
        slices=st.integers(0, 2),
        excused=st.booleans(),
        decides=st.sampled_from(("MON-2", "VER-2", "MON-7")),
        unproven=st.sampled_from(tuple(PROOF)),
        again=st.booleans(),
        names=st.sampled_from(tuple(NAMES)),
        spooled=st.booleans(),
        set_back=st.sampled_from((False, False, False, True)),
        seed=st.integers(0, 999),
    )


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=EACH, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_document_contradicts_another_or_the_journal(shape: str, data: st.DataObject):
    """Complete or cut off anywhere: the effect, the end, the writes and the answering provider are the same."""
    tale = data.draw(tales(shape))
    pen = tell(tale)
    count = data.draw(st.one_of(st.just(len(pen.entries)), st.integers(3, len(pen.entries))))
    entries, truth = pen.until(count)
    with tempfile.TemporaryDirectory() as folder:
        found = documents(entries, Path(folder))
    assert_true(found, truth, tale)


def assert_true(found: Documents, truth: Truth, tale: Tale) -> None:
    """Compare every document with what is true of the journal."""
    texts = found.texts()
    for name, text in texts.items():
        assert not NEGATIVE.search(text.replace("| - |", "")), f"{name} has a negative number: {text}"
        assert not WHO.search(text), f"{name} says who answered, which nothing shows: {text}"
    _effect(found, truth, texts)
    _ending(found, truth, tale)
    _written(found, truth, texts)
    _identity(found, tale, texts)
    _moments(found, truth, tale)


def _effect(found: Documents, truth: Truth, texts: dict[str, str]) -> None:
    """Every document has the same sentence about how long the change was in effect."""
    effect = found.status["effect"]
    if not truth.since:
        assert effect is None
    elif truth.gone:
        assert f"until it was seen gone at {clock(truth.gone)}" in effect
        assert ("if its write landed: " in effect) == (not truth.landed)
        assert (" for " in f" {effect}") == (truth.gone >= truth.since), effect
    else:
        assert effect == f"{'' if truth.landed else 'if its write landed: '}since {clock(truth.since)}, {STILL}"
    for name, text in texts.items():
        if not truth.since or truth.gone:
            assert STILL not in text, f"{name} says that what is gone, or never was, is in effect: {text}"
        if not truth.gone:
            assert "seen gone" not in text, f"{name} says that the change was seen gone, and no entry shows it: {text}"
    for name, text in texts.items():
        for words in LASTED.findall(text):
            assert effect is not None, f"{name}: {text}"
            assert words in effect, f"{name} says {words}, and it was {effect}"
    assert "verified since :" not in found.draft
    if effect:
        assert f"in effect {effect}" in found.answers["When"]
        assert not found.record or found.record["in_effect"] == effect
        assert found.draft.count(effect) == (2 if found.draft else 0)
        assert not found.letter or "Now: " not in found.letter or f"In effect: {effect}" in found.letter


def _ending(found: Documents, truth: Truth, tale: Tale) -> None:
    """Every document begins with the verdict; an open rollout has none."""
    assert found.folded.decision is truth.decision
    expected = "excepted" if describe_exceptions(found.folded) else STATES[truth.decision]
    assert found.line.state == expected, found.line
    assert found.status["state"] == str(truth.decision or "open").replace("_", " ")
    if truth.decision is None:
        assert found.line.word == ("IN FLIGHT" if found.folded.in_flight else "OPEN")
        assert found.answers["Kept?"].startswith("not decided")
        return
    assert found.closure is not None
    first = (found.line.word, found.record["word"], found.standing.word, found.subject.partition(": ")[0])
    assert first == (truth.word,) * 4
    assert found.terminal.startswith(f"{truth.word} at ")
    assert found.record["decision"] == str(truth.decision) == str(found.closure.decision)
    assert f"| Result | {truth.word} |" in found.page
    assert (found.answers["Kept?"].startswith("yes")) == (truth.decision is Decision.KEPT)
    if truth.decision is Decision.ROLLED_BACK:
        assert not truth.since or truth.gone
    if truth.decision is Decision.ROLLED_BACK and found.draft:
        assert "verified since" in found.draft
        assert found.record["moments"]["verified"]
    if truth.decision is Decision.ROLLBACK_FAILED and found.draft and not tale.again:
        assert "verified since" not in found.draft
        assert "the rollback was verified" not in found.draft


def _written(found: Documents, truth: Truth, texts: dict[str, str]) -> None:
    """Every write is counted; with a write, no document says that nothing was written."""
    assert len(found.folded.writes) == truth.writes
    if found.record:
        assert len(found.record["writes"]) == truth.writes
    for name, text in texts.items():
        if truth.writes:
            assert "nothing was written" not in text, f"{name}: {text}"
    if truth.decision is None and not found.folded.in_flight:
        assert f"writes announced: {truth.writes} " in str(found.answers) or not truth.writes


def _identity(found: Documents, tale: Tale, texts: dict[str, str]) -> None:
    """Class, content, and the providers before and after."""
    emergency = tale.shape.startswith("emergency")
    class_ = "emergency" if emergency else tale.class_
    assert (found.line.class_, found.answers["Class"]) == (class_, class_)
    content = "none was approved: an emergency" if emergency else f"SHA-256 {'d' * 64}"
    assert found.answers["Content"] == content
    before = found.folded.previous
    assert found.line.change == f"{before} → {found.folded.opened['change']}"
    assert found.answers["What"].startswith(found.line.change)
    if found.record:
        assert (found.record["class"], found.record["content"], found.record["before"]) == (class_, content, before)
        assert found.record["digest"] == (None if emergency else "d" * 64)
    if emergency:
        for name, text in texts.items():
            assert not re.search(r"SHA-256 r-1\b", text), f"{name} takes an id for a digest"
    if found.draft:
        assert f"from {before} to " in found.draft


def _moments(found: Documents, truth: Truth, tale: Tale) -> None:
    """The same beginning and end everywhere; the timeline is in order unless the clock was set back."""
    opened, closed = found.folded.opened_at, found.folded.closed_at
    assert found.line.opened == found.status["since"] == opened
    assert found.status["closed"] == (closed or None)
    assert f"opened {clock(opened)}" in found.answers["When"]
    assert ("closed " in found.answers["When"]) == bool(closed)
    assert bool(found.line.took) == bool(closed)
    if found.record:
        assert (found.record["opened"], found.record["closed"]) == (opened, closed)
        assert found.record["moments"]["seen_gone"] == truth.gone
        assert found.record["moments"]["applied"] == truth.since
        assert found.record["moments"]["back"] == truth.back
    if not tale.set_back:
        assert list(found.timeline) == sorted(found.timeline)
        at = found.record.get("moments", {})
        # Another rollback may begin after the ending.
        names = ("opened", "applied", "decided", "back", "verified", *(() if tale.again else ("closed",)))
        order = [at[name] for name in names if at.get(name)]
        assert order == sorted(order), at
