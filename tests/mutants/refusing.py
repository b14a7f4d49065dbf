"""Defects in what refuses a person's mistake: before a run, on a command line, in a file."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

LOADING = "tests/config/test_load.py"
INIT = "tests/cli/test_init.py"
BOUNDED = f"{LOADING}::test_every_environment_but_the_sandbox_has_bounds_of_sanity"
POLICIES = f"{LOADING}::test_bad_targets_and_policies_are_refused_in_the_words_of_their_snapshots"
NESTED = f"{LOADING}::test_a_document_that_is_nested_thousands_deep_is_refused_before_it_is_built"
KINDS = "tests/config/test_target_kinds.py"
HARDLY = f"{LOADING}::test_a_file_that_is_hardly_yaml_is_refused_with_its_line"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/journal/store.py",
        "tests/journal/test_absence.py",
        rows=(
            ("if not is_there and not create:", "if False:", "A database without tables is no journal to read."),
            ("if create and self.is_file:", "if self.is_file:", "A look changes no permissions."),
        ),
    ),
    *of(
        "rollout/core/command_line.py",
        "tests/core/test_command_line.py",
        rows=(
            ("self.exit(ExitCode.USAGE,", "self.exit(2,", "A mistake on the command line is no interrupted run."),
            ("_CREDENTIALS.sub('//***@', message)", "message", "A URL in the wrong place keeps its password."),
            ('word = rest[0].partition("=")[0]', "word = rest[0]", "The value of an unknown option is not repeated."),
        ),
    ),
    *of(
        "rollout/core/units.py",
        "tests/core/test_units.py",
        rows=(
            ("    if _number(value) is not None:", "    if False:", "A number without a unit says which are missing."),
        ),
    ),
    *of(
        "rollout/config/sanity_bounds.py",
        "tests/config/test_sanity_bounds.py::test_the_bound_itself_is_accepted_and_the_next_value_is_not",
        rows=(
            ("if value > self.most:", "if value >= self.most:", "A bound is the last value that is accepted."),
            ("elif value < self.least:", "elif value <= self.least:", "So is the one from below."),
        ),
    ),
    *of(
        "rollout/config/monitoring.py",
        BOUNDED,
        rows=(("        _refuse_out_of_bounds(layers, policy)", "        pass", "A bake time is held to its bounds."),),
    ),
    *of(
        "rollout/config/policies.py",
        POLICIES,
        rows=(("    if name != SANDBOX:", "    if name == PRODUCTION:", "Every policy but the sandbox's has bounds."),),
    ),
    *of(
        "rollout/config/yaml_source.py",
        NESTED,
        HARDLY,
        rows=(
            ("if self._depth > _DEEPEST_NODE:", "if False:", "A document is left at the first event that is too deep."),
            ("        self._depth -= 1", "        pass", "Values beside one another are not within one another."),
        ),
    ),
    *of(
        "rollout/cli/init/files.py",
        f"{INIT}::test_nothing_is_overwritten_and_what_is_missing_is_named",
        f"{INIT}::test_a_full_disk_names_what_is_there_and_a_later_call_goes_on",
        rows=(
            ("os.O_CREAT | os.O_EXCL", "os.O_CREAT | os.O_TRUNC", "A file that is there is not overwritten."),
            ("file.path.unlink(missing_ok=True)", "pass", "No half of a file is left for a later call to keep."),
        ),
    ),
    *of(
        "rollout/cli/init/starting_point.py",
        f"{INIT}::test_a_running_embedded_gateway_gives_target_and_first_change",
        f"{INIT}::test_no_guess_is_presented_as_the_first_change",
        f"{INIT}::test_a_gateway_that_asks_for_a_token_says_so",
        rows=(
            (
                "if each.is_active or active in names or not is_possible:",
                "if not is_possible:",
                "The active provider is no change.",
            ),
            ("for model in each.models[:1]:", 'for model in ("a",):', "A model that is not listed is no suggestion."),
            ("if not found.answers:", "if False:", "A gateway that does not answer is refused."),
        ),
    ),
    *of(
        "rollout/gateway/drivers/registry.py",
        "tests/gateway/drivers/test_registry.py",
        rows=(
            ("    if kind == DEFAULT_KIND:", "    if False:", "No package takes the default kind over."),
            ("    if len(brought) > 1:", "    if False:", "Of two packages with one kind neither is chosen."),
            ("    if name != kind:", "    if False:", "A driver is of the kind that its package says."),
            ('model.model_config.get("extra") != "forbid"', "False", "No driver swallows a misspelt setting."),
        ),
    ),
    *of(
        "rollout/config/target_kinds.py",
        KINDS,
        rows=(
            ("        if key in parsed.settings:", "        if False:", "No setting has two values."),
            (
                "    _refuse_foreign(name, kind, parsed, source)",
                "    pass",
                "A deviation is no setting of another kind.",
            ),
        ),
    ),
    *of(
        "rollout/core/canonical_json.py",
        KINDS,
        rows=(
            ("NOT_RECORDED not in field.metadata or", "True or", "What was approved before kinds is approved still."),
        ),
    ),
)
