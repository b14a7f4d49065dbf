"""A rollout's journal and results, written by hand: what a report is built from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from rollout.core.canonical_json import to_json
from rollout.core.clauses import CLAUSES, PHASES
from rollout.core.clock import format_utc
from rollout.core.plan import left_out, plan
from rollout.journal.record import Decision, Kind
from rollout.reporting.allure import epic_of, row_labels
from rollout.reporting.html.assembly import collect
from rollout.reporting.html.story import Story, tell
from tests.support.rollouts import OLD, rollout_in

BREACH = "error rate 5.9 % over the window's 6 s (7 of 119 requests) is above 5 %"


class JournaledRollout:
    """Writes entries and results as the suite does, without running it.

    Attributes:
        rollout: the rollout.
        story: what a report is built from, as of now.
    """

    def __init__(self, folder: Path, **parts: Any) -> None:
        """Open the rollout; `by` says who runs it, as `Caller.facts` does."""
        self._by = parts.pop("by", None)
        self.rollout = rollout_in(folder / "reports", **parts)
        self.clock = self.rollout.clock
        rollout = self.rollout
        self.rollout.append(
            Kind.OPENED,
            digest=rollout.digest,
            scenario=to_json(rollout.scenario),
            target=to_json(rollout.target),
            policy=to_json(rollout.policy),
            change=rollout.change_text,
            author=rollout.scenario.author,
            ticket=rollout.scenario.ticket,
            url=rollout.target.url,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal."""
        self.rollout.journal.close()

    @property
    def story(self) -> Story:
        """What a report is built from, as of now."""
        return tell(self.rollout.id, self.rollout.journal.entries(self.rollout.id))

    def results(self, run: str) -> Path:
        """Return a run's directory of results."""
        folder = self.rollout.folder / "allure-results" / run
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # Entries

    def begins(self, run: str, *phases: str) -> None:
        """Begin a run of these phases."""
        self.later()
        by = {} if self._by is None else {"by": self._by}
        self.rollout.append(Kind.RUN, run=run, phases=list(phases or PHASES), pid=1, **by)

    def later(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.clock.wait(seconds)

    def outcome(self, run: str, clause: str, outcome: str = "passed", message: str = "") -> None:
        """Record the outcome of a clause."""
        self.later(0.1)
        self.rollout.append(Kind.CLAUSE, run=run, clause=clause, outcome=outcome, message=message)

    def check(self, run: str, clause: str, outcome: str = "passed", message: str = "") -> None:
        """Run a check: its outcome in the journal, its row in the results."""
        self.outcome(run, clause, outcome, message)
        status = {"not run": "broken"}.get(outcome, outcome)
        self.result(run, clause, status, message)

    def phase(self, run: str, phase: str, *failed: str) -> None:
        """Run the checks of a phase, all passing but those named, and come to its end."""
        rollout = self.rollout
        for clause in plan((phase,), rollout.scenario, left_out(rollout.scenario, rollout.target, rollout.policy)):
            self.check(run, clause.id, *(("failed", f"{clause.id} failed") if clause.id in failed else ()))
        rollout.append(Kind.PHASE, phase=phase, passed=not failed, problems=[f"{f}: why" for f in failed], run=run)

    def backup(self) -> None:
        """Record the backup."""
        self.rollout.append(Kind.BACKUP, previous=to_json(OLD))

    def baseline(self) -> None:
        """Record the baseline."""
        parts = {"users_p95_ms": 70.0, "users_samples": 80, "synthetic_p95_ms": 75.0, "synthetic_samples": 20}
        self.rollout.append(Kind.BASELINE, provider=OLD.provider, **parts)

    def writes(self, step: str, direction: str, to: str, result: str | None = "done") -> None:
        """Announce a write and record its outcome; None died in between."""
        self.later(0.1)
        intent = self.rollout.append(Kind.INTENT, step=step, direction=direction, to=to).seq
        if result is not None:
            self.later(0.2)
            self.rollout.append(Kind.OUTCOME, intent=intent, result=result, detail="")

    def window(self, seconds: int = 6, *, failing_from: int = 3, breach: bool = True) -> None:
        """Watch for some seconds; from one of them on, every tenth request fails."""
        begin = self.clock.now()
        self.rollout.append(Kind.WINDOW, began_at=format_utc(begin), window_s=float(seconds))
        for second in range(seconds + 1):
            total = 20 * second + 1
            failed = max(0, second - failing_from) * 2
            self.sample("metrics", second, total=total, failed=failed, p95_ms=60.0 + second, samples=max(total, 1))
            self.sample("status", second, status="connected", message="ok")
            self.sample("alerts", second, alerts=[])
            self.sample("way_back", second, succeeded=True, message="ok")
            for half in (0.0, 0.5):
                self.sample("synthetic", second + half, ok=second <= failing_from, latency_ms=62.0)
            self.later()
        at = (begin.isoformat(timespec="milliseconds")).replace("+00:00", "Z")
        if breach:
            self.verdict("MON-2", at=at, decided=True, value=7 / 119, limit=0.05, message=BREACH, watched_s=seconds)

    def sample(self, source: str, at_s: float, **body: Any) -> None:
        """Record a sample."""
        at = self.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.rollout.append(Kind.SAMPLE, source=source, at_s=at_s, at=at, **body)

    def verdict(self, clause: str, **body: Any) -> None:
        """Record a trigger's verdict."""
        verdict = {
            "state": "breached",
            "samples": 119,
            "source": "users",
            "span": "",
            "at": "",
            "watched_s": 6.0,
            **body,
        }
        self.rollout.append(Kind.VERDICT, clause=clause, **verdict)

    def step(self, clause: str, message: str, outcome: str = "passed") -> None:
        """Record a step of the rollback."""
        self.later(0.1)
        self.rollout.append(Kind.STEP, clause=clause, outcome=outcome, message=message)

    def closes(self, decision: Decision, word: str, why: str, **parts: Any) -> None:
        """Close the rollout."""
        self.later(0.1)
        facts = {"decision": decision, "word": word, "why": why, "not_passed": {}, "rollback": [], "commands": []}
        self.rollout.append(Kind.CLOSED, **facts | parts)

    # Results, as allure-pytest writes them

    def result(self, run: str, clause: str | None, status: str, message: str = "", **parts: Any) -> Mapping[str, Any]:
        """Write the row of a check, or of the closure."""
        row: dict[str, Any] = {
            "uuid": str(uuid4()),
            "name": str(CLAUSES[clause]) if clause else "Closure: kept or rolled back",
            "fullName": f"checks#{clause}",
            # The same in every run: this is what Allure takes for a retry.
            "historyId": f"history-{clause}",
            "testCaseId": f"case-{clause}",
            "status": status,
            "statusDetails": {"message": message} if message else {},
            "labels": self.labels(clause),
            "start": round(self.clock.now().timestamp() * 1000),
            "stop": round(self.clock.now().timestamp() * 1000) + 5,
            **parts,
        }
        self.write(run, f"{row['uuid']}-result.json", row)
        return row

    def labels(self, clause: str | None) -> list[dict[str, str]]:
        """Return the labels of a row."""
        rollout = self.rollout
        epic = epic_of(rollout.id, rollout.change_text, rollout.target.name)
        pairs = [*row_labels(epic, rollout.scenario.author, CLAUSES[clause] if clause else None)]
        pairs += [("tag", "closure" if clause is None else CLAUSES[clause].phase), ("framework", "pytest")]
        return [{"name": name, "value": value} for name, value in pairs]

    def write(self, run: str, name: str, content: Any) -> None:
        """Write a file of a run's results."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.results(run) / name).write_text(text, encoding="utf-8")

    # What a report shows

    def rows(self, work: Path, **extra: Path) -> list[dict[str, Any]]:
        """Return the rows that Allure would be given, in its order."""
        work.mkdir(parents=True)
        results = collect(self.story, self.rollout.folder, work, extra).results
        found = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("*-result.json")]
        return sorted(found, key=lambda row: (row["start"], row["name"]))


def verified(folder: Path, **parts: Any) -> JournaledRollout:
    """Return a rollout that is applied and verified, before its window."""
    journaled = JournaledRollout(folder, **parts)
    journaled.begins("run-1")
    journaled.backup()
    journaled.phase("run-1", "precheck")
    journaled.baseline()
    journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
    journaled.phase("run-1", "apply")
    journaled.phase("run-1", "verify")
    return journaled


def rolled_back(folder: Path, **parts: Any) -> JournaledRollout:
    """Return a rollout whose error rate was too high: applied, watched, rolled back."""
    journaled = verified(folder, **parts)
    journaled.window()
    journaled.rollout.append(Kind.ROLLBACK, reason=f"MON-2: {BREACH}")
    journaled.writes("RBK-2.1", "back", "ollama:gemma3:4b")
    journaled.step("RBK-2.2", "the gateway reports ollama:gemma3:4b active")
    journaled.step("RBK-4.3", "the diff is empty")
    for clause in plan(("monitor",), journaled.rollout.scenario, {}):
        cut = f"NOT RUN: MON-2 ended the window after 6 s; until then: holding, {clause.id}"
        journaled.check("run-1", clause.id, *(("failed", BREACH) if clause.id == "MON-2" else ("not run", cut)))
    word = "ROLLED BACK, verified"
    why = f"MON-2: {BREACH}"
    step = {"at": "2026-11-23T12:00:00.000Z", "clause": "RBK-4.3", "outcome": "passed", "seen": "the diff is empty"}
    journaled.closes(Decision.ROLLED_BACK, word, why, rollback=[step], not_passed={"MON-2": BREACH})
    journaled.result("run-1", None, "failed", f"{word}: {why}")
    return journaled


def kept(folder: Path, **parts: Any) -> JournaledRollout:
    """Return a rollout in which everything passed."""
    journaled = verified(folder, **parts)
    journaled.window(failing_from=99, breach=False)
    journaled.phase("run-1", "monitor")
    journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")
    journaled.result("run-1", None, "passed")
    return journaled
