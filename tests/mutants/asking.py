"""Defects in what is asked of a gateway before a change, and in what is proven before anything is asked."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/engine/listed_names.py",
        "tests/engine/test_listed_names.py",
        rows=(
            ("    if not listed:", "    if False:", "A gateway that lists nothing decides nothing."),
            ("elif not listed[provider]:", "elif False:", "A list of models that is unknown is not an empty one."),
            ("elif named.wanted.model not in", "elif not", "A model that is not listed is refused."),
            ("    if scenario.rollback_to is not None:", "    if False:", "Where a rollback goes is looked up too."),
            ("    if target.safe is not None:", "    if False:", "The safe provider is looked up too."),
            (
                "own = {name.casefold() for name in target.activate_with}",
                "own = set(target.activate_with) - set(target.activate_with)",
                "A provider with an activation of its own is the target's word.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/endpoints.py",
        "tests/gateway/test_client.py::test_health_is_asked_only_where_the_target_names_it",
        rows=(
            (
                'return "health" if "health" in paths else "system_status"',
                'return "health"',
                "A path that may cost money is polled only where the target names it.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/drivers/documented_reads.py",
        "tests/gateway/test_client.py::test_a_named_path_that_is_not_there_is_an_error",
        rows=(
            (
                "if call in self._target.paths or refused.status != NOT_FOUND:",
                "if refused.status != NOT_FOUND:",
                "A path that the target names, and that is not there, is an error.",
            ),
        ),
    ),
    *of(
        "rollout/cli/doctor/examination.py",
        "tests/cli/test_doctor.py::test_it_sends_nothing_that_may_cost_money",
        rows=(
            (
                'answer = self._answer("GET" if parse else "OPTIONS", path)',
                'answer = self._answer("GET", path)',
                "Doctor sends no call that may cost money.",
            ),
        ),
    ),
    *of(
        "rollout/plugin/folders.py",
        "tests/plugin/test_folders.py::test_the_proof_leaves_nothing_behind",
        "tests/plugin/test_folders.py::test_options_that_are_not_given_are_not_proven",
        rows=(
            ("                each.rmdir()", "                pass", "A proof of a folder leaves nothing behind."),
            ("        if why is not None", "        if False", "A folder that cannot be written refuses the run."),
        ),
    ),
    *of(
        "rollout/core/caller.py",
        "tests/plugin/test_folders.py::test_a_user_whom_the_system_does_not_know_by_name_is_known_by_number",
        rows=(("except (KeyError, OSError):", "except ImportError:", "A user without a name stops no command."),),
    ),
    *of(
        "rollout/core/caller.py",
        "tests/core/test_caller.py",
        rows=(
            ('host = parts.netloc.rpartition("@")[2]', "host = parts.netloc", "An address has no credentials."),
            ("casefold() in _NOBODY:", 'casefold() in ("",):', "A job that a trigger started has no person."),
            (
                'and show_controls(name, keep="") == name else ""',
                'else ""',
                "A name of which a reader sees another one is no name.",
            ),
            (
                "if all(env.get(sign) for sign in service.signs):",
                "if any(env.get(sign) for sign in service.signs):",
                "A variable of a service's command line makes no job.",
            ),
            ('if env.get("CI", "")', 'if env.get("NO", "")', "The user of an unknown service's machine is no person."),
        ),
    ),
    *of(
        "rollout/approvals/duties.py",
        "tests/approvals/test_duties.py",
        rows=(
            (
                "if not rollout.policy.separate_duties or rollout.scenario.change_class is ChangeClass.EMERGENCY:",
                "if not rollout.policy.separate_duties:",
                "An emergency is not judged by it.",
            ),
            ("    if not implementer.is_known:", "    if False:", "An account that nothing names is not green."),
            (
                "return authors[1:] if rollout.origin.anonymous else authors",
                "return authors",
                "The account that runs a change does not stand in for its author.",
            ),
            (
                "if any(same_person(person, name) for name in implementer.names)",
                "if person == implementer.name",
                "A person has several names.",
            ),
            (
                "named = rollout.scenario.approved_by if rollout.policy.review == NAMED else ()",
                "named = rollout.scenario.approved_by",
                "A name that counts for nothing is no approver's.",
            ),
            ("    if not is_waived:", "    if True:", "A waiver of the review covers the run that applies."),
        ),
    ),
    *of(
        "rollout/approvals/review.py",
        "tests/approvals/test_duties.py",
        rows=(
            (
                "pending=self.rule != NAMED and not self.refused and not self.joined)",
                "pending=self.rule != NAMED and not self.refused)",
                "Waiting does not make another person of the implementer.",
            ),
        ),
    ),
    *of(
        "rollout/approvals/granting.py",
        "tests/cli/test_approve.py::test_who_applied_a_change_does_not_approve_it_afterwards_where_duties_are_separate",
        rows=(
            ("    if policy.separate_duties:", "    if False:", "Who applied a change does not approve it afterwards."),
            (
                "applied = (each.caller.name for each in record.implementers if each.has_applied)",
                "applied = (each.caller.name for each in record.implementers)",
                "Who verified a change may approve it afterwards.",
            ),
        ),
    ),
    *of(
        "rollout/journal/replay.py",
        "tests/journal/test_record.py",
        rows=(
            (
                'case Kind.RUN if not body.get("refused"):',
                "case Kind.RUN:",
                "A run that was refused implements nothing.",
            ),
            (
                'tuple(phase for phase in body["phases"] if phase in PHASES)',
                'tuple(body["phases"])',
                "A reviewer implements nothing.",
            ),
        ),
    ),
)
