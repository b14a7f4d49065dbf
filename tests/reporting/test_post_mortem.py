"""The draft of the post-mortem states what happened (RBK-5.3)."""

from __future__ import annotations

from pathlib import Path

from rollout.journal.record import Kind
from rollout.reporting.post_mortem import write_post_mortem
from tests.support.stories import WHY, opened, rolled_back

SECRET = "planted-secret-9f3c"

DRAFT = """\
# Post-mortem (draft): openai:gpt-4o on t

Drafted from the journal of rollout `r-1`, for people to finish. All times are UTC.
`change-record.md` beside it has the whole record, `report.html` every check with its evidence.

## In short

alice (approved by bob, ticket T-1) changed t from ollama:gemma3:4b to openai:gpt-4o, announced at \
2026-11-23 12:00:00Z. In effect: for 14 s, until it was seen gone at 2026-11-23 12:00:14Z.

**Why it was rolled back:** MON-2: error rate 8.8 % over the window's 8 s (13 of 147 requests) is above 5 %

**What decided:** 8.84 %, limit 5 %; from 147 of users; the window's 8 s

The rollback is verified since 2026-11-23 12:00:14Z: the gateway reports ollama:gemma3:4b active; gemma3:4b answered \
in 59 ms; ollama was connected 3 times in a row; the diff is empty.

![The chart of the bake time: requests, limits and the moment of the decision](bake.svg)

The chart is drawn with the report. Where it is missing, `rollout report r-1` draws it.

## How long it took

| from | to | took |
| --- | --- | --- |
| the change was announced, 2026-11-23 12:00:00Z | first failed request, 2026-11-23 12:00:05Z | 5.0 s |
| first failed request, 2026-11-23 12:00:05Z | it was decided to roll back, 2026-11-23 12:00:13Z | 8.0 s |
| it was decided to roll back, 2026-11-23 12:00:13Z | the rollback was applied, 2026-11-23 12:00:14Z | 1.0 s |
| it was decided to roll back, 2026-11-23 12:00:13Z | the rollback was verified, 2026-11-23 12:00:14Z | 1.0 s |
| the change was announced, 2026-11-23 12:00:00Z | it was seen gone, 2026-11-23 12:00:14Z | 14 s |

## Impact

- Users: 13 of 147 requests failed while the change was watched.
- The suite's own requests: 2 of 3 failed.
- What failed before the watching began is not among these. The change was in effect: for 14 s, until it was seen gone \
at 2026-11-23 12:00:14Z.
- Assessed before the change: risk medium, a new contract; affects every chat user; cost 40 USD a day.

## Contributing factors

- MON-2 The error rate stays at or below the limit: 8.84 %, limit 5 %; from 147 of users; the window's 8 s
- VER-3 The audit log shows the change: the gateway's audit log does not name the model
- from the first failed request to the decision it took 8.0 s
- (a person fills this in) what else made it possible, made it worse, or kept it from being seen earlier

## Errors, alerts and log lines

Alerts before the rollback: no critical alert is firing.

| first seen | times | what |
| --- | --- | --- |
| 2026-11-23 12:00:05Z | 2 | synthetic: upstream error |

## What happened, in order

| at | what happened |
| --- | --- |
| 2026-11-23 12:00:00Z | opened by alice: openai:gpt-4o, ticket T-1 |
| 2026-11-23 12:00:00Z | APP-1.2 activate openai:gpt-4o: done |
| 2026-11-23 12:00:05Z | first failed request, in hindsight |
| 2026-11-23 12:00:13Z | MON-2 breached after 8 s, the window ends: error rate 8.8 % over the window's 8 s \
(13 of 147 requests) is above 5 % |
| 2026-11-23 12:00:13Z | rollback begins: MON-2: error rate 8.8 % over the window's 8 s (13 of 147 requests) \
is above 5 % |
| 2026-11-23 12:00:13Z | RBK-2.1 roll back: activate ollama:gemma3:4b: done |

## The rollback, step by step

| at | step | outcome | seen |
| --- | --- | --- | --- |
| 2026-11-23 12:00:14Z | RBK-1.2 Critical alerts and errors are captured | passed | no critical alert is firing |
| 2026-11-23 12:00:14Z | RBK-2.2 The active provider is verified | passed | the gateway reports \
ollama:gemma3:4b active |
| 2026-11-23 12:00:14Z | RBK-4.1 A request works | passed | gemma3:4b answered in 59 ms |
| 2026-11-23 12:00:14Z | RBK-4.2 The status is stable | passed | ollama was connected 3 times in a row |
| 2026-11-23 12:00:14Z | RBK-4.3 The configuration equals the backup | passed | the diff is empty |

## Open questions

- What did the users behind the 13 failed requests see, and are they informed?
- What is the root cause of the breach of MON-2 (The error rate stays at or below the limit)?
- Why did VER-2 pass, and which check would have shown it before users did?
- What has to be different before this change is tried again, and who sees to it by when?

## Actions

| action | owner | due |
| --- | --- | --- |
| find the root cause of the breach of MON-2 | (a person fills this in) | (a person fills this in) |
| inform the users behind the 13 failed requests | (a person fills this in) | (a person fills this in) |
| state what has to be different before this change is tried again | (a person fills this in) | \
(a person fills this in) |
| (a person fills this in) | (a person fills this in) | (a person fills this in) |
"""


def test_the_draft_tells_the_whole_story(tmp_path: Path) -> None:
    """In short, how long, who was hit, what was seen, what happened, the rollback, and what is left to find out."""
    rollout = opened(tmp_path)
    assert write_post_mortem(rollout, WHY, rolled_back(rollout)).read_text(encoding="utf-8") == DRAFT


def test_a_rollback_that_is_not_verified_is_the_first_question(tmp_path: Path) -> None:
    """Nothing of the draft sounds as if it had ended well."""
    rollout = opened(tmp_path)
    text = write_post_mortem(rollout, WHY, rolled_back(rollout, verified=False)).read_text(encoding="utf-8")
    assert "**The rollback is NOT verified:** RBK-4.3 The configuration equals the backup: the gateway differs" in text
    assert "The rollback is verified since" not in text
    assert "- What is the gateway's state now, and who has put it right?" in text
    assert "the rollback was verified" not in text


def test_what_was_not_read_is_not_named_as_nothing(tmp_path: Path) -> None:
    """A change that an early check rolled back has no window: no request was counted, and no number is shown."""
    rollout = opened(tmp_path, impact=None)
    rollout.append(Kind.DIAGNOSIS, text="openai looks like: key missing\nsee: preflight not ready")
    rollout.append(Kind.ROLLBACK, reason="VER-1: offline")
    text = write_post_mortem(rollout, "VER-1: offline", []).read_text(encoding="utf-8")
    assert "- Users: their requests were not counted while the change was in effect." in text
    assert "- There was no impact assessment." in text
    assert "- openai looks like: key missing\n- see: preflight not ready" in text
    assert "No poll of the window saw an error." in text
    assert "How many users noticed? Their requests were not counted." in text
    assert "of 0 requests" not in text


def test_a_hold_and_markup_in_a_message_are_shown_as_text(tmp_path: Path) -> None:
    """The draft names who held the rollback; a message of the gateway stays text, and secrets stay out."""
    rollout = opened(tmp_path, secrets=(SECRET,))
    rollout.append(Kind.HOLD, by="carol", reason=f"looking | at <b> {SECRET}", until="2026-11-23T12:15:00.000Z")
    steps = rolled_back(rollout, message=f"# no\n| <img src=x> {SECRET}")
    text = write_post_mortem(rollout, f"<script> {SECRET}", steps).read_text(encoding="utf-8")
    assert "held by carol until 2026-11-23T12:15:00.000Z: looking \\| at \\<b>" in text
    assert "synthetic: # no \\| \\<img src=x>" in text
    assert "**Why it was rolled back:** \\<script>" in text
    assert SECRET not in text


def test_a_journal_that_is_gone_leaves_a_draft_that_says_so(tmp_path: Path) -> None:
    """The draft is written from what the process read last, and names why the errors are missing."""
    rollout = opened(tmp_path)
    steps = rolled_back(rollout)
    rollout.last_known_record()
    rollout.journal.close()
    (tmp_path / "journal.sqlite").write_bytes(b"gone")
    text = write_post_mortem(rollout, WHY, steps).read_text(encoding="utf-8")
    assert "What the polls of the window saw cannot be read: " in text
    assert "No poll of the window saw an error." not in text
