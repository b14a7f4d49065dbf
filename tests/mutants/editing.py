"""Defects in what edits a file with settings, replaces it, or signals the service's process."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

CODECS = "tests/gateway/host/test_codecs.py"
EXCHANGED = f"{CODECS}::test_a_value_is_exchanged_in_its_own_line_and_style"
REMOVED = f"{CODECS}::test_a_removed_key_leaves_with_its_line_and_nothing_else"
REFUSED = f"{CODECS}::test_what_cannot_be_edited_is_refused_with_file_and_line"
QUOTED = f"{CODECS}::test_a_text_that_yaml_would_read_otherwise_is_quoted"
SHAPES = f"{CODECS}::test_yaml_in_other_shapes"
FILE = "tests/gateway/host/test_settings_file.py"
SIGNALS = "tests/gateway/host/test_signals.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/gateway/host/settings_document.py",
        REFUSED,
        f"{CODECS}::test_an_edit_does_not_change_the_value_by_which_it_selects",
        f"{CODECS}::test_every_problem_is_named_at_once",
        f"{CODECS}::test_a_file_of_more_than_10_mb_is_refused",
        rows=(
            ("if not is_proven:", "if False:", "An edit after which the rest reads otherwise is refused."),
            ("if self.resolve_all(keys) != keys:", "if False:", "An edit keeps what its selectors select."),
            ("if other[: len(one)] == one:", "if False:", "A key and one within it are not edited at once."),
            ("if len(data) > LARGEST_BYTES:", "if False:", "A file of more than 10 MB is refused."),
            ("if not isinstance(plain, dict):", "if False:", "A file without keys is refused."),
            ("line or self._line(key)", "line", "A refusal names the key's line."),
        ),
    ),
    *of(
        "rollout/gateway/host/settings_document.py",
        EXCHANGED,
        REMOVED,
        f"{CODECS}::test_what_another_hand_edited_since_is_kept",
        f"{CODECS}::test_a_number_is_put_back_as_it_was_spelled",
        f"{CODECS}::test_a_file_without_a_last_line_end_and_with_a_byte_order_mark_keeps_both",
        SHAPES,
        rows=(
            ("self._set(path, value, spelled)", "self._set(path, value)", "A value is put back as it was spelled."),
            ("content.removeprefix(_BOM)", "content", "A byte order mark is no part of the first key."),
            (
                "elif isinstance(now, list) and isinstance(value, list) and len(now) == len(value):",
                "elif False:",
                "A list of the same length is set entry by entry.",
            ),
            ("and not other.has(other_path[:-1])", "and False", "Mappings that an edit made are removed with its key."),
        ),
    ),
    *of(
        "rollout/gateway/host/codecs.py",
        EXCHANGED,
        f"{CODECS}::test_entries_that_another_hand_moved_are_found_by_their_selector",
        f"{CODECS}::test_the_keys_that_differ_are_named",
        REFUSED,
        rows=(
            (
                "path, saved, saved_paths[key])",
                "path, saved, path)",
                "A key is looked for in the backup where it is there.",
            ),
            ("        return backup", "        pass", "Without other edits the result is the backup."),
            ("old.get(key, ...) != new.get(key, ...)", "old.get(key) != new.get(key)", "A key without a value is one."),
            ("if not isinstance(value, str)]", "if False]", "A value of a .env file is text."),
        ),
    ),
    *of(
        "rollout/gateway/host/yaml_text.py",
        EXCHANGED,
        REMOVED,
        REFUSED,
        SHAPES,
        rows=(
            ("style=old.style, inside", "inside", "A new value keeps the quotes of the old one."),
            ('if node.used_at and node.kind != "alias":', "if False:", "What an alias reads is not edited."),
            ('if child.kind == "alias":', "if False:", "Nothing is edited through an alias."),
            ("_newline(text[at : at + 2] or text)", "_newline(text)", "A new line ends as the one before it."),
            ("_line_end(text, parent.end), ", "parent.end, ", "A comment leaves with the last key."),
        ),
    ),
    *of(
        "rollout/gateway/host/yaml_tree.py",
        REFUSED,
        QUOTED,
        f"{CODECS}::test_every_problem_is_named_at_once",
        f"{CODECS}::test_aliases_that_unfold_to_too_many_values_are_refused",
        f"{CODECS}::test_a_mappings_own_keys_come_before_merged_ones_and_the_first_merged_mapping_before_the_next",
        rows=(
            ("if event.tag is not None and event.tag not in _TAGS:", "if False:", "A tag constructs nothing."),
            ("                if root is not None:", "                if False:", "Several documents are refused."),
            ("if name in node.entries:", "if False:", "A key that stands twice is refused."),
            ("if self._count > _MOST_VALUES:", "if False:", "Aliases that unfold without a bound are refused."),
            ("if len(self._open) > _DEEPEST:", "if False:", "Nesting has a bound."),
            ("return merged | own", "return own | merged", "A mapping's own keys come before merged ones."),
        ),
    ),
    *of(
        "rollout/gateway/host/yaml_spelling.py",
        EXCHANGED,
        QUOTED,
        SHAPES,
        rows=(
            ("not is_ambiguous and ", "", "What YAML 1.2 reads as a number is quoted as text."),
            ("and resolve_tag(value, is_plain=True) == _STR", "", "What YAML 1.1 reads otherwise is quoted."),
            ('text.replace("e", ".0e") if', "text if", "YAML 1.1 reads a number with an exponent as one."),
            ('or ": " in value', "", "A colon and a blank are quoted."),
        ),
    ),
    *of(
        "rollout/gateway/host/json_text.py",
        REFUSED,
        rows=(
            ("parse_constant=_refuse_constant", "strict=True", "NaN is no JSON."),
            ("if name in node.entries:", "if False:", "A key that stands twice is refused."),
            ("allow_nan=False", "allow_nan=True", "JSON has no infinite number."),
        ),
    ),
    *of(
        "rollout/gateway/host/toml_text.py",
        EXCHANGED,
        REMOVED,
        rows=(
            ("if has_crlf_only else text", "if False else text", "New lines end as the others."),
            ("_is_literal(old) and ", "False and ", "A new value keeps the quotes of the old one."),
            (
                'return "".join(text.split()) + repr(load(text))',
                "return text",
                "Blanks that tomlkit leaves are no edit.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/host/replacement.py",
        FILE,
        "tests/gateway/host/test_envfile.py",
        rows=(
            ("actual = path.resolve()", "actual = path", "A symbolic link stays one."),
            ("scratch.replace(actual)", "actual.write_bytes(content)", "A file is the old one or the new one."),
            ("scratch.unlink(missing_ok=True)", "pass", "Nothing is left beside the file."),
            ("            os.fsync(file.fileno())", "            pass", "The content is on disk before it counts."),
            ("shutil.copystat(actual, scratch)", "pass", "The mode is kept."),
        ),
    ),
    *of(
        "rollout/gateway/host/settings_file.py",
        FILE,
        rows=(
            ("if content != before:", "if True:", "An edit that is in effect writes nothing."),
            ("if stop:", "if False:", "A stop prevents the write."),
            (
                "if before is not None and read_settings_file(path) != before:",
                "if False:",
                "What changed meanwhile is not overwritten.",
            ),
            ("if read_settings_file(path) != content:", "if False:", "What was written is read back."),
            ("if absent:", "if False:", "A secret that is not given is named."),
        ),
    ),
    *of(
        "rollout/gateway/host/signals.py",
        SIGNALS,
        rows=(
            ("if pid <= 1 or pid == os.getpid():", "if pid == os.getpid():", "The first process gets no signal."),
            ("if pid <= 1 or pid == os.getpid():", "if pid <= 1:", "This process gets no signal."),
            ('if fields[0] in ("Z", "X"):', "if False:", "A process that has ended is not signalled."),
            ("> pid_file.written_at + _SLACK_S:", "> float('inf'):", "A reused number is not signalled."),
            ("if users is not None and", "if False and", "Another user's pid file is not trusted."),
            ("if stop:", "if False:", "A stop prevents the signal."),
        ),
    ),
    *of(
        "rollout/gateway/host/commands.py",
        "tests/gateway/host/test_commands.py",
        rows=(
            (
                "return _judged(_ran(command.arguments, terms), setting)",
                "return _ran(command.arguments, terms)",
                "A driver's command that fails is an error.",
            ),
        ),
    ),
)
