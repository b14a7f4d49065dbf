"""``pytest -m review`` end to end: how each of its checks fails, and what it says of a kept change and of its opposite.

One rollout, several reviews: a review changes nothing, so the next one finds the gateway as the last one did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rollout.cli.main import main
from tests.support.liar import edited
from tests.support.runs import Lab, Process, Run

LINKS = ("--documentation=https://wiki.example.com/gateway", "--learnings=https://wiki.example.com/learned")
NEW_ERROR = "12:00:00 | ERROR    | store:write - disk 7 is full\n"


def reviewed(lab: Lab, *args: str) -> Run:
    return Process(lab.reports, "-m", "review", *args, env=lab.env).end()


def served(lab: Lab, requests: int = 10) -> None:
    """Let users ask something."""
    for _ in range(requests):
        lab.direct.post("/api/v1/chat/completions", json={"messages": [{"role": "user", "content": "ping"}]})


def owed(lab: Lab, capsys: Any) -> list[Mapping[str, Any]]:
    main(["status", "--all", "--json", f"--reports={lab.reports}"])
    (told,) = json.loads(capsys.readouterr().out)
    return [each for each in told["owed"] if each["what"] == "review"]


def log_of(lab: Lab) -> Path:
    return lab.sandbox.directory / "logs" / "backend.log"


def counted(**parts: Any) -> Callable[[Any], Any]:
    def edit(body: Any) -> Any:
        return {**body, "metrics": {**body["metrics"], **parts}}

    return edit


def as_if_long_ago(body: Any) -> Any:
    """Let a thousand requests have been answered besides, as a day brings them."""
    metrics = body["metrics"]
    if not metrics["total_requests"]:
        return body
    total, latency = metrics["total_requests"] + 1000, {**metrics["latency"], "samples": 1000}
    return counted(total_requests=total, successful_requests=total - metrics["failed_requests"], latency=latency)(body)


def kept_in(lab: Lab) -> Run:
    lab.policy["sandbox"]["review_after"] = "1ms"
    lab.scenario["impact"]["usd_a_day"] = 100
    run = lab.run()
    assert run.code == 0, run.out
    return run


def test_every_check_of_a_review_fails_for_its_reason(tmp_path: Path, capsys: Any):
    with Lab(tmp_path) as lab:
        rollout = kept_in(lab)
        assert [each["overdue"] for each in owed(lab, capsys)] == [False]
        nobody_looks(lab)
        assert len(owed(lab, capsys)) == 1, "what did not pass is still owed"
        all_is_well(lab, rollout)
        assert owed(lab, capsys) == []
        chosen = (f"--rollout={rollout.id}", *LINKS)
        sick_and_dear(lab, chosen)
        counting_began_anew(lab, chosen)
        somebody_changed_it(lab, chosen)
        assert lab.writes() == ["ollama", "openai"], "no review has written anything"


def nobody_looks(lab: Lab) -> None:
    """Nobody asked anything, nobody can read the log, nobody gives a link."""
    log = log_of(lab)
    away = log.rename(log.with_suffix(".away"))
    run = reviewed(lab)
    away.rename(log)
    assert (run.code, run.word) == (1, "REVIEW NOT PASSED"), run.out
    assert set(run.failed) == {"REV-1", "REV-2", "REV-3", "REV-4", "REV-5"}
    assert "which is never a pass" in run.failed["REV-1"]
    assert f"the log {log} is gone" in run.failed["REV-2"]
    assert "openai:gpt-4o had no request since the rollout's end" in run.failed["REV-3"]
    assert "give --documentation=URL" in run.failed["REV-4"]
    assert "give --learnings=URL" in run.failed["REV-5"]


def all_is_well(lab: Lab, rollout: Run) -> None:
    served(lab)
    run = reviewed(lab, *LINKS)
    assert (run.code, run.word) == (0, "REVIEW PASSED"), run.out
    assert run.id == rollout.id
    assert {r.labels["feature"] for r in run.results.values()} == {"6 Review"}
    assert "https://wiki.example.com/gateway" in run.result("REV-4").attachments["Updated documentation"]
    assert "ollama:gemma3:4b would have cost 0 USD" in run.result("REV-3").attachments["Cost"]
    assert run.record.phases["review"].passed
    assert run.record.decision == "kept", "a review goes on with the record, and decides nothing about the change"


def sick_and_dear(lab: Lab, chosen: tuple[str, ...]) -> None:
    """What serves is sick and dear, and the log says something new."""

    def sick(body: Any) -> Any:
        metrics = body["metrics"]
        latency, cost = {**metrics["latency"], "p95_ms": 9000.0}, {"total_usd": 500.0, "total_tokens": 900_000}
        return counted(failed_requests=metrics["total_requests"], latency=latency, cost=cost)(body)

    rule = lab.liar.rule("/openai/metrics", edited(sick))
    with log_of(lab).open("a") as lines:
        lines.write(NEW_ERROR)
    run = reviewed(lab, *chosen)
    rule.remove()
    assert (run.code, set(run.failed)) == (1, {"REV-1", "REV-2", "REV-3"})
    assert "is above 20 %" in run.failed["REV-1"]
    assert "P95 9000 ms over" in run.failed["REV-1"]
    assert run.failed["REV-2"] == "new since the rollout's end: 1 x # | ERROR | store:write - disk # is full"
    assert "more than the estimated 100 USD a day" in run.failed["REV-3"]


def counting_began_anew(lab: Lab, chosen: tuple[str, ...]) -> None:
    """A restart has left no request, and a log that begins with it."""
    nothing = {"total_requests": 0, "successful_requests": 0, "failed_requests": 0}
    rule = lab.liar.rule("/openai/metrics", edited(counted(**nothing, cost={"total_usd": 0, "total_tokens": 0})))
    log_of(lab).write_text("")
    run = reviewed(lab, *chosen)
    rule.remove()
    assert "which is never a pass" in run.failed["REV-1"]
    assert "the counters were reset since" in run.failed["REV-1"]
    assert "was truncated or written anew since" in run.failed["REV-2"]
    assert "had no request since" in run.failed["REV-3"]


def somebody_changed_it(lab: Lab, chosen: tuple[str, ...]) -> None:
    lab.intrude()
    run = reviewed(lab, *chosen)
    lab.intrude("openai", "gpt-4o")
    for clause in ("REV-1", "REV-3"):
        assert "vllm:gemma-3-4b-it serves now, and openai:gpt-4o did when the rollout ended" in run.failed[clause]


def test_what_serves_after_a_rollback_and_after_an_emergency_is_reviewed(tmp_path: Path):
    with Lab(tmp_path) as lab:
        lab.policy["sandbox"] |= {"review_after": "1ms", "not_demanded": ["REV-3"]}
        lab.faults({"provider": "openai", "since": "activation", "answer": "empty"})
        rolled_back = lab.run("-m", "precheck or apply or verify")
        assert rolled_back.code == 10, rolled_back.out
        served(lab)
        run = reviewed(lab, *LINKS)
        assert "it takes 5, all of them since the rollout's end" in run.failed["REV-1"], "P95 is still that of before"
        lab.liar.rule("/ollama/metrics", edited(as_if_long_ago))
        run = reviewed(lab, *LINKS)
        assert (run.code, run.id) == (0, rolled_back.id), run.out
        assert run.record_entries("run")[-1].body["by"]["name"] == "tester", "who held the review"
        assert "ollama:gemma3:4b" in run.result("REV-1").attachments["Since"]
        assert run.record.decision == "rolled_back"

        lab.faults()
        where = (f"--gateway={lab.liar.url}", "--provider=vllm", "--model=gemma-3-4b-it", "--yes")
        where += (f"--targets={lab.folder / 'targets.yaml'}",)
        emergency = Process(lab.reports, "emergency", *where, module="rollout", env=lab.env).end()
        assert emergency.code == 0, emergency.out
        served(lab)
        lab.liar.rule("/vllm/metrics", edited(as_if_long_ago))
        run = reviewed(lab, *LINKS)
        assert (run.code, "-emergency-" in run.id) == (0, True), run.out
        assert "vllm:gemma-3-4b-it" in run.result("REV-1").attachments["Since"]


def test_a_review_that_comes_too_early_or_of_nothing_is_refused(tmp_path: Path):
    with Lab(tmp_path) as lab:
        lab.policy["sandbox"]["review_after"] = "24h"
        refused = reviewed(lab, "--documentation=the wiki")
        assert (refused.code, "--documentation: 'the wiki' is no link" in refused.out) == (4, True), refused.out
        cleared = lab.run("-m", "precheck")
        refused = reviewed(lab)
        assert (refused.code, "no rollout owes a review" in refused.out) == (4, True), refused.out
        refused = reviewed(lab, f"--rollout={cleared.id}")
        assert (refused.code, "is not over; a review follows its end" in refused.out) == (4, True), refused.out
        refused = reviewed(lab, "--rollout=20260101-000000-gone-0000")
        assert (refused.code, "there is no rollout '20260101-000000-gone-0000'" in refused.out) == (4, True)
        kept = lab.run("-m", "apply or verify or monitor")
        assert kept.code == 0, kept.out
        early = reviewed(lab, *LINKS)
        assert (early.code, "TRY LATER: the review of" in early.out) == (13, True), early.out
        assert kept.record_entries("run")[-1].body["phases"] != ["review"], "a review that is not held leaves no trace"
        for odd, says in (
            (("-m", "review or monitor"), "asks for monitor and review at once; review is a run of its own"),
            (("-m", "review or release"), "asks for review and release at once"),
            (("-m", "review", "--scenario=x.yaml"), "--scenario says nothing to -m review"),
            (("-m", "precheck", "--learnings=https://x.example.com"), "--learnings says nothing to a rollout"),
        ):
            refused = Process(lab.reports, *odd).end()
            assert (refused.code, says in refused.out) == (4, True), refused.out
