"""Approvals end to end: signed ones clear a change, and what an auditor reads of them."""

from __future__ import annotations

import json
from pathlib import Path

from rollout.approvals.approval import Role, entered
from rollout.cli.main import main
from tests.support.keys import make_key
from tests.support.runs import Lab


def test_a_signed_approval_and_an_acknowledgement_clear_the_change(tmp_path: Path) -> None:
    """Given with the policy that the pipeline names, which lies elsewhere; the journal holds both afterwards."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "policy.yaml").write_text(
        "sandbox: {window_at_least: 3s, not_demanded: [], review: signed, allowed_signers: keys, "
        "operator_ack_max_age: 1h}\n"
    )
    policy = f"--policy={rules / 'policy.yaml'}"
    with Lab(tmp_path) as lab:
        lab.options()
        keys = {name: make_key(tmp_path, name) for name in ("bob", "carol")}
        lines = (f"{name} {key.with_suffix('.pub').read_text()}" for name, key in keys.items())
        (rules / "keys").write_text("".join(lines))
        for name, more in (("bob", ()), ("carol", ("--as=operator",))):
            words = [str(lab.folder / "lab.yaml"), f"--by={name}", f"--key={keys[name]}", policy, *more]
            assert main(["approve", *words]) == 0
        run = lab.run("-m", "precheck", policy)
    assert run.code == 0, run.out
    assert f"policy sandbox of {rules / 'policy.yaml'} (--policy)" in run.out
    # The looks of PRE-4.1 are too close together here, or not: it says which, and fails in neither case.
    traffic = run.result("PRE-4.1").facts("Current traffic")
    assert traffic["provider"] == "ollama"
    assert "requests a second (" in traffic["rate"] or "s apart, at least 1 s are needed" in traffic["rate"]
    assert traffic["first"] < traffic["then"]
    [approval] = json.loads(run.result("PRE-2.2").attachments["Review"])["accepted"]
    assert approval["approver"] == "bob"
    assert approval["key"].startswith("SHA256:")
    assert "acknowledged approver,carol\n" in run.result("PRE-4.3").attachments["Operator"]
    for role, name in ((Role.REVIEWER, "bob"), (Role.OPERATOR, "carol")):
        given = map(entered, run.record.approvals)
        assert [each.approver for each in given if each.role is role] == [name]
