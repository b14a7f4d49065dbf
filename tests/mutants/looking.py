"""Defects in what passes without a look: another gateway for the embedded one, a session without checks for a phase."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

UNSEEN = "tests/e2e/test_nothing_green_unseen.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "rollout/plugin/session_start.py",
        "    if why := without_assertions():",
        "    if why := None:",
        "Without assertions no check could fail, so nothing is begun.",
        (f"{UNSEEN}::test_10_python_o_is_refused_as_the_variable_is",),
    ),
    *of(
        "rollout/plugin/unchecked_sessions.py",
        f"{UNSEEN}::test_11_who_asks_for_a_phase_and_types_such_an_option_is_answered_alike",
        f"{UNSEEN}::test_11_an_ini_option_is_named_as_such",
        rows=(
            (
                "is_typed = not markexpr and {where",
                "is_typed = {where",
                "Who asks for a phase is not answered 0 without its checks.",
            ),
            (
                "{where for _, where in origins} == {TYPED}",
                "True",
                "An option that nobody typed is no look of a person's.",
            ),
            (
                "    return status if found.is_typed else CODE",
                "    return status",
                "A session that only shows something is no pass.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/embedded_proof.py",
        "tests/gateway/test_embedded_proof.py",
        rows=(
            ("    if status != _OK:", "    if False:", "The embedded gateway answers 200."),
            ('    if kind != "application/json":', "    if False:", "The answer says that it is JSON."),
            ("    if len(body) > CAP_BYTES:", "    if False:", "No more of the answer is read than it can hold."),
            ('found.get("kind") != KIND', "False", "Another server's description of itself proves nothing."),
            ("or not _has_the_shape(found):", "or False:", "The answer has the fixed shape, whole."),
            ("    thread.join(within_s)", "    thread.join()", "The deadline is an outer one."),
            ("urllib.request.ProxyHandler({}), _Stay()", "_Stay()", "No proxy answers in the gateway's place."),
            ("urllib.request.ProxyHandler({}), _Stay()", "urllib.request.ProxyHandler({})", "No redirect is followed."),
        ),
    ),
    *of(
        "rollout/engine/policy_proof.py",
        "tests/engine/test_policy_proof.py",
        rows=(
            (
                "    if earlier is not None and earlier.in_flight:",
                "    if False:",
                "A change in flight keeps its policy, whatever answers.",
            ),
            (
                "    if earlier is not None and earlier.in_flight:",
                "    if earlier is not None and earlier.wrote:",
                "A rollout that is over establishes nothing for the next one.",
            ),
            (
                "options.phases[0] != PHASES[0] and proof.standing is Standing.SILENT",
                "options.phases[0] != PHASES[0]",
                "What answers otherwise is not the gateway that was cleared.",
            ),
            (
                "options.phases[0] != PHASES[0] and proof.standing is Standing.SILENT",
                "proof.standing is Standing.SILENT",
                "A precheck proves anew what it looks at.",
            ),
        ),
    ),
    *of(
        "rollout/config/target_selection.py",
        "tests/config/test_load.py::test_13_loopback_alone_loosens_no_policy",
        "tests/config/test_load.py::test_13_where_the_embedded_gateway_is_not_its_own_paces_do_not_count",
        "tests/config/test_load.py::test_13_a_target_that_is_listed_as_the_sandbox_is_refused_where_it_is_none",
        rows=(
            (
                "    return target.environment == SANDBOX or not is_listed(target, listed)",
                "    return target.environment == SANDBOX",
                "A target that is moved to loopback has to be proven too.",
            ),
            (
                "    return target.environment == SANDBOX or not is_listed(target, listed)",
                "    return not is_listed(target, listed)",
                "A target that is listed as the sandbox has to be it.",
            ),
            (
                "layer = chosen.layer if target.name in listed else Layer(files, (), None)",
                "layer = chosen.layer",
                "The embedded gateway's paces are not those of another one.",
            ),
        ),
    ),
    *of(
        "rollout/engine/decision.py",
        "tests/engine/test_closure_decides.py",
        rows=(
            (
                "    if rollout.stop and not record.wrote:",
                "    if False:",
                "A stop before the first write is no clause of the monitoring.",
            ),
            (
                "    if rollout.stop and not record.wrote:",
                "    if rollout.stop:",
                "A stop after a write is MON-7: the change is taken back.",
            ),
        ),
    ),
)
