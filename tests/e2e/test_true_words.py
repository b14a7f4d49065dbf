"""What documents say of a whole run is what the gateway is, and what the journal holds (BROKEN_PROMISES 20)."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from rollout.journal.record import Kind
from tests.support.journals import Book
from tests.support.kinds import APPLY, ENVIRONMENT, LIMITS, PROVIDER, VERIFY, quick
from tests.support.liar import answer, delayed
from tests.support.runs import Lab, Process, Run, entries
from tests.support.tales import CHANGES, SHAPES, Tale, tell

STILL = "still in effect as far as is known"
FAILING = {"provider": "openai", "since": "activation", "error_share": 1}
Keys = dict[str, set[frozenset[str]]]


def active(lab: Lab) -> str:
    """Return what the gateway truly has active."""
    return str(lab.direct.get("/sandbox/state").json()["active"])


def command(lab: Lab, *args: str) -> Run:
    """Run ``rollout ARGS`` to its end."""
    return Process(lab.reports, *args, module="rollout", env=lab.env).end()


def page(run: Run, name: str = "change-record.md") -> str:
    return (run.folder / name).read_text(encoding="utf-8")


def keys(found: Any) -> Keys:
    """Return kind -> the sets of keys that its entries have."""
    told: Keys = defaultdict(set)
    for entry in found:
        told[str(entry.kind)].add(frozenset(entry.body) - {"spool", "spooled"})
    return told


def taken_back(lab: Lab) -> None:
    assert lab.run().code == 10


def canary_kept(lab: Lab) -> None:
    del lab.scenario["monitor"]["window"]
    lab.scenario["monitor"]["baseline_requests"] = 19
    stages = [{"share": "50%", "for": "2s"}, {"share": "100%", "for": "2s"}]
    lab.scenario["strategy"] = {"stages": stages, "stabilise": "2s"}
    run = lab.run()
    assert run.code == 0, run.out
    assert STILL in page(run)
    single, *_ = (write for write in run.record.writes if write.step == "CAN-1")
    first = next(write for write in run.record.writes if write.step.startswith("CAN-2"))
    assert f"in effect since {first.at[:10]} {first.at[11:19]}Z, {STILL}" in page(run, "summary.md")
    assert single.at < first.at


def sliced(lab: Lab) -> None:
    lab.scenario["monitor"]["window"] = "20s"
    assert lab.run("--for=1s").code == 12


def emergency(lab: Lab) -> None:
    asked = ("--provider=vllm", "--model=gemma-3-4b-it", "--yes")
    assert command(lab, "emergency", *asked, f"--gateway={lab.liar.url}").code == 0


@pytest.mark.parametrize(
    ("change", "happens", "faults"),
    [
        ([PROVIDER, ENVIRONMENT, LIMITS], taken_back, [FAILING]),
        (PROVIDER, canary_kept, []),
        (PROVIDER, sliced, []),
        (PROVIDER, emergency, []),
    ],
)
def test_generated_journals_have_the_kinds_and_the_keys_of_real_ones(
    change: Any, happens: Any, faults: Any, tmp_path: Path
):
    """Every kind that a real run writes is among them; what they give a kind is what some real entry has."""
    with quick(tmp_path, change, faults=faults) as lab:
        happens(lab)
        real = keys(entries(lab.reports))
    told: Keys = defaultdict(set)
    for shape in SHAPES:
        for kind in CHANGES:
            for excused in (False, True):
                pen = tell(Tale(shape, changes=kind, excused=excused, slices=1))
                for name, sets in keys(Book(pen.entries).entries()).items():
                    told[name] |= sets
    beside = {Kind.MANIFEST, Kind.SEAL, Kind.AUDIT, Kind.DIAGNOSIS}
    assert set(real) - set(told) <= set(map(str, beside))
    for name in set(real) & set(told):
        # A sample has the keys of its source, of which the generated ones are some.
        unlike = [set(found) for found in real[name] if found not in told[name]] if name != Kind.SAMPLE else []
        assert not unlike, f"real {name} entries have {unlike}, generated ones {told[name]}"


def test_where_the_rollback_fails_the_change_is_named_as_still_in_effect(tmp_path: Path):
    """The gateway is on the new provider, and no document says how long it was."""
    with quick(tmp_path, faults=[FAILING]) as lab:
        lab.once(
            "/openai/activate",
            lambda: lab.liar.rule("/ollama/activate", answer(500, {"detail": "broken"}), method="POST"),
            method="POST",
        )
        run = lab.run()
        assert (run.code, active(lab)) == (11, "openai:gpt-4o"), run.out
        for name in ("change-record.md", "post-mortem.md", "summary.md"):
            text = page(run, name)
            assert STILL in text, text
            assert not re.search(r"in effect:? for \d", text), text
        status = command(lab, "status", "--all", "--json")
        (told,) = json.loads(status.out)
        assert told["effect"].endswith(STILL)
        taken = command(lab, "rollback", run.id)
        assert taken.code == 11
        assert active(lab) == "openai:gpt-4o"
        assert STILL in page(run)


def test_a_clause_is_named_with_its_own_time_and_not_with_anothers(tmp_path: Path):
    """One fixture applies for all clauses of apply: the connection test does not carry the activation's seconds."""
    with quick(tmp_path) as lab:
        lab.target["timeouts"]["activate"] = "10s"
        lab.liar.rule("/openai/activate", delayed(1.5), method="POST")
        run = lab.run(*APPLY)
    assert run.code == 0, run.out
    took = {clause: outcome.took_s for clause, outcome in run.record.clauses.items()}
    assert took["APP-1.1"] < 1.0, took
    assert took["APP-1.2"] >= 1.5, took
    shown = {found[1]: float(found[2]) for found in re.finditer(r"(APP-1\.\d) .*\((\d+\.\d+) s\)", run.out)}
    assert shown["APP-1.1"] < 1.0 < shown["APP-1.2"], shown


def test_a_request_whose_answer_names_no_provider_cites_the_counter_that_showed_it(tmp_path: Path):
    """VER-2 says what it has seen, in the journal, the terminal and the change record."""
    with quick(tmp_path, deviations=["chat_names_nobody"]) as lab:
        run = lab.run(*VERIFY)
    assert run.code == 0, run.out
    said = run.record.clauses["VER-2"].message
    assert re.fullmatch(
        "the answer names no model and no provider; only openai's request counter, from 0 to 1, shows the provider",
        said,
    )
    assert said in run.out
    assert run.record.findings["VER-2"] == said


def test_an_emergency_on_a_slow_machine_says_what_the_journal_knows(tmp_path: Path):
    """What was active could not be read in time; the rollout before it has left it in the journal."""
    with quick(tmp_path) as lab:
        kept = lab.run()
        assert kept.code == 0, kept.out
        lab.liar.rule("/(providers|config/runtime)$", delayed(0.7))
        asked = ("--provider=vllm", "--model=gemma-3-4b-it", "--yes")
        run = command(lab, "emergency", *asked, f"--gateway={lab.liar.url}")
        assert run.code == 0, run.out
        assert f"the entries of rollout {kept.id} say openai:gpt-4o" in run.out
        assert "--provider=openai --model=gpt-4o --yes" in run.out
        (folder,) = lab.reports.glob("*-emergency-*")
        record = json.loads((folder / "change-record.json").read_text(encoding="utf-8"))
        assert (record["before"], record["class"]) == ("openai:gpt-4o", "emergency")
        assert active(lab) == "vllm:gemma-3-4b-it"
