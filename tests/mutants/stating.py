"""Defects in what is believed of a gateway's OpenAPI document, and in the settings that a message names."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/gateway/openapi.py",
        "tests/gateway/test_openapi.py",
        rows=(
            ("shared[prefix] >= _SHARED_BY", "shared[prefix] >= 2", "Two calls below a prefix are another API."),
            ("    return name not in _STAYS and", "    return", "A health call may cost money at another place."),
            ('if name == "chat" and prefix == _OPENAI:', "if prefix == _OPENAI:", "Only completions are OpenAI's own."),
            (
                "if not ranked or (len(ranked) > 1 and rank(ranked[0]) == rank(ranked[1])):",
                "if not ranked:",
                "Of two paths that fit equally neither is believed.",
            ),
            (
                "ranked = sorted(believed, key=rank, reverse=True)",
                "ranked = believed",
                "The documented path is first.",
            ),
            (" and _PLACE not in prefix:", ":", "A path below a place is another call."),
            (
                "        if not _PATH.fullmatch(path):",
                "        if False:",
                "A path leads to the gateway.",
            ),
            (
                'return "post" if name.removesuffix(ELSEWHERE) in _POSTED else "get"',
                'return "get"',
                "A call of another method is another call.",
            ),
            ("    if not chosen:", "    if False:", "A document of another API is refused."),
            (
                'if not isinstance(version, str) or not version.startswith("3.") or not isinstance(paths, dict):',
                "if not isinstance(paths, dict):",
                "Only OpenAPI 3 is read.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/openapi_bodies.py",
        "tests/gateway/test_openapi.py",
        rows=(
            ("            if reference in followed:", "            if False:", "A circle is refused as one."),
            ("        if depth > DEEPEST:", "        if False:", "Schemas within themselves are refused."),
            ("        if self._steps > MOST_STEPS:", "        if False:", "A document is read in bounded steps."),
            ("                if len(choices) != 1:", "                if not choices:", "A choice is not believed."),
            ("if not names or not all(map(_WORD.fullmatch, names)):", "if not names:", "A name is a plain word."),
            (
                "return tuple(dict.fromkeys(found)) if all(map(_WORD.fullmatch, found)) else ()",
                "return tuple(dict.fromkeys(found))",
                "A limit type is a plain word.",
            ),
            (
                "[word for words in found for word in words] if all(found) else []",
                "[word for words in found for word in words]",
                "A field that takes any word enumerates none.",
            ),
        ),
    ),
    *of(
        "rollout/cli/doctor/examination.py",
        "tests/cli/test_doctor.py::test_what_the_gateway_does_counts_before_what_it_states",
        rows=(
            (
                "    if status == NOT_FOUND:",
                "    if status == NOT_FOUND and not stated:",
                "404 counts first.",
            ),
            ("    if status == NOT_ALLOWED:", "    if status == 0:", "405 counts before the document."),
        ),
    ),
    *of(
        "rollout/cli/doctor/examination.py",
        "tests/cli/test_doctor.py::test_calls_below_another_prefix_are_found_and_read_there",
        rows=(
            (
                "if not seen.answers(name) and seen.path_of(name) != DEFAULTS[name]:",
                "if False:",
                "A call that is elsewhere is read there.",
            ),
        ),
    ),
    *of(
        "rollout/cli/doctor/stated_settings.py",
        "tests/cli/test_doctor.py::test_a_body_that_cannot_be_filled_is_said",
        "tests/cli/test_doctor.py::test_another_body_and_other_limit_types_become_settings",
        rows=(
            (
                "return found if found and set(_required(fields or {})) <= found.keys() else None",
                "return found or None",
                "A body without a required field is no setting.",
            ),
            (
                'return body if body is not None and "{model}" in body.values() else None',
                "return body",
                "An activation without its model is no setting.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/drivers/documented_advice.py",
        "tests/gateway/drivers/test_documented_advice.py",
        rows=(
            (
                "if status == HTTPStatus.BAD_REQUEST and not _ANOTHER_CALL.search(reason):",
                "if False:",
                "A model that is not there is mended in the scenario.",
            ),
            (
                'if call.setting.startswith("activate_with."):',
                "if False:",
                "A call of the target's own is to be checked.",
            ),
            (
                "if kind is None or not _LIMIT_TYPE.search(reason):",
                "if kind is None:",
                "A soft limit above the hard one is mended by no setting.",
            ),
            ('    if call.setting == "paths.activate":', "    if True:", "A read that is refused has no other call."),
        ),
    ),
    *of(
        "rollout/changes/provider.py",
        "tests/changes/test_provider.py::test_a_restart_is_named_only_where_the_configuration_shows_the_need",
        rows=(
            (
                "    if not is_same_provider(written, change) or",
                "    if",
                "Without the change in the configuration no restart helps.",
            ),
        ),
    ),
    *of(
        "rollout/changes/provider.py",
        "tests/changes/test_provider.py::test_an_activation_that_waits_for_a_restart_names_the_setting",
        rows=(
            (
                'waits = "" if ran else _restart_needed(rollout, change)',
                'waits = ""',
                "An activation that waits for a restart names the setting.",
            ),
        ),
    ),
)
