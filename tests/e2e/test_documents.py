"""Documents that cannot be written, for a whole run: they are named, nothing else changes (DOC-1, DOC-2, RBK-5.3).

The journal that fails stands in ``tests/engine/test_closure.py``.
"""

from __future__ import annotations

from pathlib import Path

from rollout.journal.record import Kind
from tests.support.runs import Lab

FILES = {"DOC-1": "change-record.json", "DOC-2": "../operations.log", "RBK-5.3": "post-mortem.md"}


def test_a_disk_that_takes_no_document_changes_neither_verdict_nor_code(tmp_path: Path) -> None:
    """The disk is full for the documents from the activation on: the change is back, and what is missing is named."""
    with Lab(tmp_path) as lab:
        lab.scenario["notify"] = []
        lab.policy["sandbox"]["not_demanded"] = ["PRE-4.2"]
        before = lab.state()

        def full() -> None:
            (folder,) = (path.parent for path in lab.reports.glob("*/backup"))
            for file in FILES.values():
                (folder / file).symlink_to("/dev/full")

        lab.once("/openai/activate", full)
        lab.faults({"provider": "openai", "since": "activation", "error_share": 1})
        run = lab.run()
        assert lab.state() == before
    assert (run.word, run.code) == ("ROLLED BACK, verified", 10), run.out
    lines = run.out.splitlines()
    for clause in FILES:
        assert run.record.steps[clause]["outcome"] == "failed"
        assert any(line.startswith(f"NOT DOCUMENTED: {clause} ") and "No space left" in line for line in lines), run.out
    assert not any(line.startswith("NOT DOCUMENTED: DOC-3") for line in lines)
    assert "next: the post-mortem could not be drafted" in run.out
    assert "Traceback" not in run.out
    assert run.record_entries(Kind.CLOSED)[-1].body["decision"] == "rolled_back"
