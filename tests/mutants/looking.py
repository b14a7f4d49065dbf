"""Defects in what is taken for the embedded gateway, and in how long that holds."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/about.py",
        "tests/test_about.py",
        rows=(
            ("    if status != _OK:", "    if status >= 400:", "A redirect is not the embedded gateway's answer."),
            ('    if kind != "application/json":', "    if False:", "The answer says that it is JSON."),
            ("    if len(body) > CAP_BYTES:", "    if False:", "No more of the answer is read than it can hold."),
            ('found.get("kind") != KIND', "False", "Another server's description of itself proves nothing."),
            ("or not _has_the_shape(found):", "or False:", "The answer has the fixed shape, whole."),
            ("    asking.join(within_s)", "    asking.join()", "The deadline is an outer one."),
            ("urllib.request.ProxyHandler({}), _Stay()", "_Stay()", "No proxy answers in the gateway's place."),
            ("urllib.request.ProxyHandler({}), _Stay()", "urllib.request.ProxyHandler({})", "No redirect is followed."),
        ),
    ),
    *of(
        "rollout/established.py",
        "tests/test_established.py",
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
                "options.phases[0] != PHASES[0] and seen.standing is Standing.SILENT",
                "options.phases[0] != PHASES[0]",
                "What answers otherwise is not the gateway that was cleared.",
            ),
            (
                "options.phases[0] != PHASES[0] and seen.standing is Standing.SILENT",
                "seen.standing is Standing.SILENT",
                "A precheck proves anew what it looks at.",
            ),
            (
                'if record.opened["digest"] == digest',
                "if record",
                "Only a rollout of this very content has established it.",
            ),
        ),
    ),
    *of(
        "rollout/loading/choosing.py",
        "tests/test_loading.py",
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
        "rollout/closure.py",
        "tests/test_closure_decides.py",
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
