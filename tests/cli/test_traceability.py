"""Every clause has one owner, and every owner names a clause."""

import re

from rollout.changes.rollback import PROOF
from rollout.cli.traceability import owners, table
from rollout.config.project import packaged_checks
from rollout.core.clauses import CLAUSES, Owner
from tests.support.forks import ROOT


def test_every_clause_that_a_check_owns_has_exactly_one_check():
    found = owners(packaged_checks())
    wanted = {clause.id for clause in CLAUSES.values() if clause.owner is Owner.CHECK}
    assert {clause for clause, checks in found.items() if len(checks) == 1} == wanted


def test_no_check_names_a_clause_that_is_unknown_or_owned_by_something_else():
    assert [clause for clause in owners(packaged_checks()) if CLAUSES[clause].owner is not Owner.CHECK] == []


def test_every_step_that_proves_a_rollback_is_a_clause():
    assert all(CLAUSES[clause].owner is Owner.ROLLBACK for clause in PROOF)


def test_a_check_without_its_clause_is_missed(tmp_path):
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "test_x.py").write_text('@clause("PRE-1.1")\ndef test_a():\n    pass\n\ndef test_b():\n    pass\n')
    assert owners(folder) == {"PRE-1.1": ("checks/test_x.py::test_a",)}
    assert "| PRE-1.2 | Provider status is backed up | **nobody** |" in table(owners(folder))


def test_the_page_is_what_the_code_says():
    page = (ROOT / "docs" / "TRACEABILITY.md").read_text(encoding="utf-8")
    assert page == table(owners(packaged_checks())), "run: python -m rollout.cli.traceability > docs/TRACEABILITY.md"


def test_no_clause_is_without_an_owner():
    assert "**nobody**" not in table(owners(packaged_checks()))


def test_the_page_for_control_owners_names_clauses_that_exist():
    page = (ROOT / "docs" / "CONTROLS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:PRE|APP|VER|MON|CAN|RBK|EMG|REV|DOC)-\d(?:\.\d)?", page))
    assert len(named) >= 29
    assert named <= CLAUSES.keys()
