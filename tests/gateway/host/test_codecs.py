"""One key of a file with settings changes; every other byte stays."""

import json
import math
import subprocess
import sys
import tomllib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.writes import Codec
from rollout.gateway.host import settings_document, yaml_tree
from rollout.gateway.host.codecs import SettingsError, changed_keys, edit, put_back, read_keys

SECRET = "s3cr3t-v4lue"

YAML = b"""# The proxy.  \xc3\xbc
model_list:
  - model_name:   gpt-4o     # spaced
    litellm_params:
        model: openai/gpt-4o
        api_key: "os.environ/OPENAI_API_KEY"   # from the environment
  -   model_name: 'claude'
      litellm_params: &claude {model: anthropic/claude, weight: 1, api_version: 2024-02-15}
      model_info: {id: prod-1}
# one comment

router_settings:
  routing_strategy: simple-shuffle # as tested
  model_group_alias: {"chat": gpt-4o}
  num_retries: 2
  # the last word
defaults: &defaults
  timeout: 0.50
  tags: [a, b]
list: [a, b]
free: {timeout: 0.50}
one:
  only: 1 # one
general_settings:
  <<: *defaults
  note: |
    two
    lines
  copy: *claude
  empty:
"""
JSON = b"""{
  "model_list": [
    {"name": "gpt-4o", "weight": 1.10},
    {"name": "claude", "weight": 1e2}
  ],
  "router": {
    "strategy": "simple",
    "retries": 2
  },
  "note": "\\u00fc"
}
"""
TOML = b"""# The proxy.
title = "x" # c
[router]
strategy = 'simple'   # as tested
retries = 2
timeout = 0.50
"gpt-4.1" = "y"

# about models
[[models]]
name = "gpt-4o"
weight = 1
[[models]]
name = "claude"
params = { a = 1, b = "z" } # p
since = 2024-01-01
"""
FILES: dict[Codec, bytes] = {"yaml": YAML, "json": JSON, "toml": TOML}


def loaded(codec, data):
    """Return what the format's own reader says."""
    match codec:
        case "yaml":
            return yaml.safe_load(data)
        case "json":
            return json.loads(data)
        case _:
            return tomllib.loads(data.decode())


def lines(old, new):
    """Return the lines that went and the lines that came."""
    before, after = old.decode().splitlines(), new.decode().splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def problems(codec, data, values=(), remove=()):
    with pytest.raises(SettingsError) as caught:
        edit(codec, data, dict(values), remove, file=f"f.{codec}")
    assert SECRET not in str(caught.value)
    return str(caught.value).splitlines()


# One edit

EDITS = [
    ("yaml", {"router_settings.num_retries": 3}, ["  num_retries: 2"], ["  num_retries: 3"]),
    (
        "yaml",
        {"router_settings.routing_strategy": "least-busy"},
        ["  routing_strategy: simple-shuffle # as tested"],
        ["  routing_strategy: least-busy # as tested"],
    ),
    (
        "yaml",
        {"model_list[model_name=gpt-4o].litellm_params.api_key": "os.environ/OTHER"},
        ['        api_key: "os.environ/OPENAI_API_KEY"   # from the environment'],
        ['        api_key: "os.environ/OTHER"   # from the environment'],
    ),
    (
        "yaml",
        {"model_list[model_info.id=prod-1].model_name": "it's"},
        ["  -   model_name: 'claude'"],
        ["  -   model_name: 'it''s'"],
    ),
    (
        "yaml",
        {"router_settings.model_group_alias": {"chat": "claude", "gpt-4.1": "a: b"}},
        ['  model_group_alias: {"chat": gpt-4o}'],
        ['  model_group_alias: {"chat": claude, gpt-4.1: "a: b"}'],
    ),
    ("yaml", {"router_settings.fallbacks": [{"a": ["b"]}]}, [], ["  fallbacks: [{a: [b]}]"]),
    ("yaml", {"general_settings.note": "one"}, ["  note: |", "    two", "    lines"], ["  note: one"]),
    ("yaml", {"general_settings.empty": True}, ["  empty:"], ["  empty: true"]),
    ("yaml", {"general_settings.timeout": 1e-05}, [], ["  timeout: 1.0e-05"]),
    ("yaml", {"general_settings.copy": None}, ["  copy: *claude"], ["  copy: null"]),
    ("yaml", {"new.a.b": "1", "new.a.c": "yes"}, [], ["new:", "  a:", '    b: "1"', '    c: "yes"']),
    ("yaml", {"list": ["a", "c"]}, ["list: [a, b]"], ["list: [a, c]"]),
    (
        "json",
        {"model_list[name=claude].weight": 2},
        ['    {"name": "claude", "weight": 1e2}'],
        ['    {"name": "claude", "weight": 2}'],
    ),
    ("json", {"router.new": "ü"}, ['    "retries": 2'], ['    "retries": 2,', '    "new": "ü"']),
    ("toml", {"router.strategy": "busy"}, ["strategy = 'simple'   # as tested"], ["strategy = 'busy'   # as tested"]),
    ("toml", {'router."gpt-4.1"': "z"}, ['"gpt-4.1" = "y"'], ['"gpt-4.1" = "z"']),
    (
        "toml",
        {"models[name=claude].params.b": "q"},
        ['params = { a = 1, b = "z" } # p'],
        ['params = { a = 1, b = "q" } # p'],
    ),
    ("toml", {"new.a.b": 1}, [], ["[new.a]", "b = 1"]),
]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("codec", "values", "gone", "come"), EDITS)
def test_a_value_is_exchanged_in_its_own_line_and_style(codec, values, gone, come, newline):
    data = FILES[codec].replace(b"\n", newline)
    changed = edit(codec, data, values, file="f")
    assert lines(data, changed) == (gone, come)
    assert changed.count(b"\n") == changed.count(newline)
    assert edit(codec, changed, values, file="f") == changed
    assert put_back(codec, changed, data, values, file="f") == data
    assert read_keys(codec, changed, values, file="f") == values


@pytest.mark.parametrize(
    ("codec", "key", "gone", "come"),
    [
        ("yaml", "router_settings.num_retries", ["  num_retries: 2"], []),
        (
            "yaml",
            "router_settings.model_group_alias.chat",
            ['  model_group_alias: {"chat": gpt-4o}'],
            ["  model_group_alias: {}"],
        ),
        ("yaml", "model_list[0].model_name", ["  - model_name:   gpt-4o     # spaced"], ["  -"]),
        ("yaml", "general_settings.empty", ["  empty:"], []),
        ("yaml", "general_settings.note", ["  note: |", "    two", "    lines"], []),
        ("yaml", "one.only", ["one:", "  only: 1 # one"], ["one: {}"]),
        ("yaml", "not.there", [], []),
        ("json", "router.retries", ['    "strategy": "simple",', '    "retries": 2'], ['    "strategy": "simple"']),
        ("json", "model_list[0].name", ['    {"name": "gpt-4o", "weight": 1.10},'], ['    {"weight": 1.10},']),
        ("toml", "router.strategy", ["strategy = 'simple'   # as tested"], []),
        ("toml", "models[1].params.a", ['params = { a = 1, b = "z" } # p'], ['params = {  b = "z" } # p']),
    ],
)
def test_a_removed_key_leaves_with_its_line_and_nothing_else(codec, key, gone, come):
    data = FILES[codec]
    changed = edit(codec, data, {}, [key], file="f")
    assert lines(data, changed) == (gone, come)
    assert edit(codec, changed, {}, [key], file="f") == changed
    assert put_back(codec, changed, data, [key], file="f") == data
    assert read_keys(codec, changed, [key], file="f") == {}


def test_pyyaml_without_libyaml_marks_the_same_places(monkeypatch):
    text = YAML.decode()
    tree = yaml_tree.build_tree(text)
    monkeypatch.setattr(yaml_tree, "_LOADER", yaml.SafeLoader)
    assert yaml_tree.build_tree(text) == tree
    assert yaml_tree.build_tree(text.replace("\n", "\r\n")) != tree


def test_a_file_without_a_last_line_end_and_with_a_byte_order_mark_keeps_both():
    assert edit("yaml", b"\xef\xbb\xbfa: 1\nb: 2", {"c": 3}, ["b"], file="f") == b"\xef\xbb\xbfa: 1\nc: 3"
    assert edit("yaml", b"a: 1\nb: 2", {}, ["b"], file="f") == b"a: 1"
    assert edit("json", b'{"a": 1}', {"b": 2}, file="f") == b'{"a": 1, "b": 2}'
    assert edit("json", b"\xef\xbb\xbf{}", {"b": 2}, file="f") == b'\xef\xbb\xbf{"b": 2}'
    assert edit("json", b"{}", {"b": 2}, file="f") == b'{"b": 2}'


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        (b"", {"a.b": 1}, b"a:\n  b: 1\n"),
        (b"# only words", {"a": 1}, b"# only words\na: 1\n"),
        (b"---\na: 1\n...\n", {"b": 2}, b"---\na: 1\nb: 2\n...\n"),
        (b"a: 1\r\nb: 2\n\n", {"c": 3}, b"a: 1\r\nb: 2\nc: 3\n\n"),
        (b"a:\n- x # one\n- y\n", {"a": ["x", "z"]}, b"a:\n- x # one\n- z\n"),
        (b"a:\n- x\n- y\nb: 1\n", {"a": ["z"]}, b"a: [z]\nb: 1\n"),
        (b"a: # why\n  - x\nb: 1\n", {"a": 2}, b"a: # why\n  2\nb: 1\n"),
        (b"a: {\n  b: 1,\n  c: 2\n}\n", {"a.d": 3}, b"a: {\n  b: 1,\n  c: 2,\n  d: 3\n}\n"),
        (b"a: !!str 1\n", {"a": "b"}, b"a: !!str b\n"),
        (b"a: &x 1\n", {"a": 2}, b"a: &x 2\n"),
        (b"a: yes\n", {"a": True}, b"a: yes\n"),
        (b"a: no\n", {"a": "no"}, b'a: "no"\n'),
        (b"a: x\n", {"a": "two\nlines\t\x7f\x85"}, b'a: "two\\nlines\\t\\x7f\\x85"\n'),
    ],
)
def test_yaml_in_other_shapes(before, values, after):
    values = {
        key: value if key != "a" or not isinstance(value, bytes) else value.decode() for key, value in values.items()
    }
    assert edit("yaml", before, values, file="f") == after


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "n",
        "on",
        "null",
        "~",
        "1e3",
        "0o17",
        "1:30",
        "1_000",
        "12",
        "-1",
        ".inf",
        "2024-01-01",
        "#x",
        "- x",
        "a: b",
        "a #b",
        "",
        " a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "a:",
        "[",
        "---",
    ],
)
def test_a_text_that_yaml_would_read_otherwise_is_quoted(word):
    """By YAML 1.1 and by YAML 1.2."""
    changed = edit("yaml", b"a: x\nf: {b: x}\n", {"a": word, "f.b": word}, file="f")
    assert yaml.safe_load(changed) == {"a": word, "f": {"b": word}}
    assert changed.startswith(f"a: {json.dumps(word)}\n".encode())


def test_a_mappings_own_keys_come_before_merged_ones_and_the_first_merged_mapping_before_the_next():
    data = b"a: &a {k: 1, l: 1, m: 1}\nb: &b {l: 2, m: 2, n: 2}\nc:\n  m: 3\n  <<: [*a, *b]\n"
    assert (
        read_keys("yaml", data, ["c"], file="f")
        == {"c": yaml.safe_load(data)["c"]}
        == {"c": {"k": 1, "l": 1, "m": 3, "n": 2}}
    )


def test_a_file_where_yaml_reads_no_number_is_edited_too():
    changed = edit("yaml", b"a: .nan\nb: 1\n", {"b": math.inf}, file="f")
    assert changed == b"a: .nan\nb: .inf\n"


# What is refused, changing nothing

REFUSED = [
    ("yaml", b"a: 1\nb: [\n", {}, "f.yaml:3: is not valid YAML; check"),
    ("yaml", b"a: 1\npassword: %s3cr3t-v4lue\n", {}, "f.yaml:2: is not valid YAML; check"),
    ("yaml", b"a: *s3cr3t-v4lue\n", {}, "f.yaml:1: is an alias of an anchor that is not before it"),
    ("yaml", b"a: 1\n---\nb: 1\n", {}, "f.yaml:2: holds several documents"),
    (
        "yaml",
        b"x: 1\na: !!python/object/apply:os.system [x]\n",
        {},
        "f.yaml:2: carries a tag that would construct an object",
    ),
    ("yaml", b"x: 1\na: !Ref x\n", {}, "f.yaml:2: carries a tag"),
    ("yaml", b"a: &a [*a]\n", {}, "f.yaml:1: is an alias of an anchor"),
    ("yaml", b"a: &a {b: 1}\n? {c: 1}\n: 2\n", {}, "f.yaml:2: has a key that is no plain text"),
    ("yaml", b"x: 1\n<<: 3\n", {}, "f.yaml:2: merges (<<) what is no mapping"),
    ("yaml", b"- a\n", {}, "f.yaml:1: is no mapping at its top"),
    ("yaml", b"a: " + b"[" * 60, {}, "f.yaml:1: is nested too deeply; 50 levels"),
    ("yaml", b"a: 1\n\xff", {}, "f.yaml:2: is not UTF-8 text"),
    ("yaml", b"a: 1\nb: 2\n", {"b.c": 1}, "f.yaml:2: b.c: b is a single value, and has no keys"),
    ("yaml", b"a: 1\nb:\n", {"b.c": 1}, "f.yaml:2: b.c: b is empty, and has no keys"),
    ("yaml", b"a: &x 1\nb: *x\n", {"a": 2}, "f.yaml:1: a: needs the anchor &x, which line 2 reads too"),
    ("yaml", b"a: &x {k: 1}\nb:\n  <<: *x\n", {"a.k": 2}, "f.yaml:1: a.k: needs the anchor &x, which line 3 reads too"),
    ("yaml", b"a: &x {k: 1}\nb: *x\n", {"b.k": 2}, "f.yaml:2: b.k: is read through the alias *x"),
    ("yaml", b"a: &x {p: {k: 1, l: 2}}\nb:\n  <<: *x\n", {"b.p.k": 2}, "f.yaml:3: b.p.k: is read through a merge (<<)"),
    ("yaml", b"a: |\n  open", {"b": 1}, "f.yaml: b cannot be edited so that the rest reads as before; edit the file"),
    ("yaml", b"a: [x]\n", {"a[1]": "y"}, "f.yaml:1: a[1]: a has 1 entries, counted from 0"),
    ("yaml", b"a: [{n: x}, {n: x}]\n", {"a[n=x].w": 1}, "f.yaml:1: a[n=x].w: [n=x] selects 2 entries of a"),
    ("yaml", b"a: 1\n", {"a": object()}, "f.yaml:1: a: the new value is no text, number"),
    ("yaml", b"a: 1\n", {"a": "\ud800" + SECRET}, "f.yaml:1: a: the new value holds half a Unicode character"),
    ("yaml", b"a: 1\n", {"a": 1, "a.b": 2}, "f.yaml:1: a.b: a is a single value"),
    ("yaml", b"a: {b: 1}\n", {"a": {}, "a.b": 2}, "f.yaml: a and a.b are edited at once"),
    ("yaml", b"a: 1\n", {"a b": 1}, 'f.yaml: "a b" is no key'),
    ("json", b'{"a": 1,\n"b": }', {}, "f.json:2: is not valid JSON (Expecting value)"),
    ("json", b'{"a": 1}\n// c', {}, "f.json:2: is not valid JSON (Extra data)"),
    ("json", b'{"a": 1,\n"a": 2}', {}, 'f.json:2: "a" stands twice (first in line 1); keep one'),
    ("json", b'{"a": NaN}', {}, "f.json: holds NaN"),
    ("json", b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", {}, "f.json:1: is nested too deeply; 100 levels"),
    ("json", b'{"a": ' + b"[" * 100_000, {}, "f.json: is nested too deeply; 100 levels"),
    ("json", b'{"a": ' + b"1" * 5000 + b"}", {}, "f.json: holds a number that is too long"),
    ("json", b'{"a": 1}', {"a": math.nan}, "f.json:1: a: JSON has no such number"),
    ("json", b'{"a": 1}', {"a": "\ud800"}, "f.json: a new value holds half a Unicode character"),
    ("toml", b"a = 1\na = 2\n", {}, "f.toml:2: a key or table stands twice"),
    ("toml", b"a = 1\nb =\n", {}, "f.toml:2: is not valid TOML"),
    ("toml", b"a = 1\nb = 2\n", {"b": None}, "f.toml:2: b: TOML has no null"),
    ("toml", b"a = 1\nb = 2\n", {"b.c": 1}, "f.toml:2: b.c: b is a single value"),
    ("env", b"A=1\n", {"A": 1}, "f.env: A: a value of a .env file is text"),
    ("env", b"A=\xff\n", {"A": "1"}, "f.env: the .env file is not UTF-8"),
]


@pytest.mark.parametrize(("codec", "data", "values", "says"), REFUSED)
def test_what_cannot_be_edited_is_refused_with_file_and_line(codec, data, values, says):
    (problem,) = problems(codec, data, values)
    assert problem.startswith(says)


def test_every_problem_is_named_at_once():
    assert problems("yaml", b"a: 1\na: 2\nb: 1\nb: 2\n") == [
        'f.yaml:2: "a" stands twice (first in line 1); keep one',
        'f.yaml:4: "b" stands twice (first in line 3); keep one',
    ]
    assert [each.partition(": ")[0] for each in problems("yaml", b"a: 1\nb:\n", {"a.x": 1, "b.x": 1, "..": 1})] == [
        "f.yaml:1",
        "f.yaml:2",
        "f.yaml",
    ]
    assert problems("toml", b"a = 1\n", {"a": None, "b": None}) == [
        "f.toml:1: a: TOML has no null; remove the key instead",
        "f.toml: b: TOML has no null; remove the key instead",
    ]


def test_an_edit_does_not_change_the_value_by_which_it_selects():
    (problem,) = problems("yaml", b"a: [{n: x}, {n: y}]\n", {"a[n=x].n": "z"})
    assert problem == "f.yaml:1: a[n=x].n: [n=x] selects no entries of a; name a value that one entry has"
    (problem,) = problems("yaml", b"a: [{n: x}, {n: y}]\n", {"a[n=x].w": 1, "a[0].n": "y", "a[1].n": "x"})
    assert problem == "f.yaml: a[n=x].w, a[0].n, a[1].n would select another entry after the edit; use its number"


def test_entries_that_another_hand_moved_are_found_by_their_selector():
    edited = edit("yaml", b"a:\n- n: x\n- n: y\n  w: '1'\n", {"a[n=y].w": "2"}, file="f")
    moved = b"a:\n- n: y\n  w: '2'\n- n: x\n"
    back = put_back("yaml", moved, b"a:\n- n: x\n- n: y\n  w: '1'\n", ["a[n=y].w"], file="f")
    assert edited == b"a:\n- n: x\n- n: y\n  w: '2'\n"
    assert back == b"a:\n- n: y\n  w: '1'\n- n: x\n"


def test_an_entry_of_a_list_is_not_removed():
    (problem,) = problems("yaml", b"a:\n- x\n- y\n", {}, ["a[0]"])
    assert problem == "f.yaml:2: a[0]: is an entry of a list, which is not removed; set the list without it"


def test_a_key_that_a_merge_brings_is_removed_where_it_is_written():
    (problem,) = problems("yaml", YAML, {}, ["general_settings.timeout"])
    assert "general_settings.timeout: comes from a merge (<<)" in problem


def test_aliases_that_unfold_to_too_many_values_are_refused(monkeypatch):
    monkeypatch.setattr(yaml_tree, "_MOST_VALUES", 1000)
    bomb = b"a0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 14))
    (problem,) = problems("yaml", bomb)
    assert "unfolds to more than 1,000 values" in problem


@pytest.mark.parametrize("codec", ["env", "yaml"])
def test_a_file_of_more_than_10_mb_is_refused(codec):
    assert settings_document.LARGEST_BYTES == 10_000_000
    (problem,) = problems(codec, b"#" * 10_000_001)
    assert problem == f"f.{codec}: is larger than 10 MB, which no file with settings is; check the path"


# Two versions


def test_the_keys_that_differ_are_named():
    after = YAML.replace(b"num_retries: 2", b"num_retries: 2.0").replace(b"[a, b]", b"[a]") + b"n: {x: 1, y: {z: 2}}\n"
    assert changed_keys("yaml", YAML, after, file="f") == (
        "router_settings.num_retries",
        "defaults.tags",
        "list",
        "general_settings.tags",
        "n.x",
        "n.y.z",
    )
    assert changed_keys("json", b'{"a": [1, {"b.c": 2}]}', b'{"a": [true, {"b.c": 3}]}', file="f") == (
        "a[0]",
        'a[1]."b.c"',
    )
    assert changed_keys("env", b"A=1\nB=2\nC\n", b"A=1\nB=3\nD=4\n", file="f") == ("B", "C", "D")
    assert changed_keys("toml", TOML, TOML + b"\n", file="f") == ()


def test_what_another_hand_edited_since_is_kept():
    ours = {"router_settings.num_retries": 5, "model_list[0].litellm_params.api_key": "x", "new.key": 1}
    edited = edit("yaml", YAML, ours, ["model_list[1].model_name"], file="f")
    since = edited.replace(b"# one comment", b"# another comment").replace(b"simple-shuffle", b"least-busy")
    keys = (*ours, "model_list[1].model_name")
    back = put_back("yaml", since, YAML, keys, file="f")
    gone, come = lines(YAML, back)
    assert gone == [
        "  -   model_name: 'claude'",
        "      litellm_params: &claude {model: anthropic/claude, weight: 1, api_version: 2024-02-15}",
        "# one comment",
        "  routing_strategy: simple-shuffle # as tested",
    ]
    assert loaded("yaml", back) == loaded("yaml", YAML.replace(b"simple-shuffle", b"least-busy"))
    assert b'api_key: "os.environ/OPENAI_API_KEY"   # from the environment' in back
    assert b"# another comment" in back
    assert come


def test_a_number_is_put_back_as_it_was_spelled():
    for codec, key, spelled in (("yaml", "free.timeout", b"0.50"), ("json", "model_list[0].weight", b"1.10")):
        edited = edit(codec, FILES[codec], {key: 7}, file="f").replace(b"simple", b"other")
        assert spelled in put_back(codec, edited, FILES[codec], [key], file="f")


# Properties, over files as people write them

WORDS = st.from_regex(r"[a-z]{2,8}(?:[-/][a-z0-9]{2,6})?", fullmatch=True).filter(
    lambda word: word not in {"null", "true", "false", "yes", "no", "on", "off"}
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = (
    WORDS | TEXTS | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)
COMMENTS = st.sampled_from(["", " # why", "   # 'quoted' \"words\" {x: 1}"])


@st.composite
def yaml_files(draw):
    """A LiteLLM configuration, in the hand of one of its many authors."""
    step, dash = " " * draw(st.integers(1, 4)), draw(st.sampled_from(["-", "  -", "    -   "]))
    inner = " " * (len(dash) + (0 if dash.endswith(" ") else 1))
    quote = draw(st.sampled_from(["", "'", '"']))
    rows = ["model_list:"]
    for number in range(draw(st.integers(1, 3))):
        lead = dash if dash.endswith(" ") else f"{dash} "
        rows.append(f"{lead}model_name: {quote}m{number}{quote}{draw(COMMENTS)}")
        if draw(st.booleans()):
            rows.append(f"{inner}# about this one")
        rows.append(f"{inner}litellm_params:{draw(COMMENTS)}")
        rows += [
            f"{inner}{step}model: {quote}{draw(WORDS)}{quote}{draw(COMMENTS)}",
            f"{inner}{step}api_key: os.environ/KEY",
        ]
        rows += [f"{inner}{step}weight:   {draw(st.integers(0, 9))}"] if draw(st.booleans()) else []
    rows += ["", "router_settings: &r" if draw(st.booleans()) else "router_settings:"]
    rows += [f"{step}routing_strategy: {draw(WORDS)}{draw(COMMENTS)}"]
    rows += draw(
        st.sampled_from(
            [
                [f"{step}alias: {{chat: m0, 'x.y': m1}}"],
                [f"{step}alias:", f"{step}{step}chat: m0", f"{step}{step}x.y: m1"],
            ]
        )
    )
    rows += draw(st.sampled_from([[], ["# end"], ["last: |-", "  kept", "  words"], ["last: >-", "  kept"]]))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(rows)
    return (
        (text + draw(st.sampled_from(["", "\n", "\n\n"])) * (not text.endswith("\n"))).replace("\n\r\n", "\n").encode()
    )


@st.composite
def json_files(draw):
    router = {"routing_strategy": draw(WORDS), "alias": {"chat": draw(TEXTS), "x.y": 1}}
    models = [
        {"model_name": f"m{n}", "litellm_params": {"model": draw(WORDS), "api_key": draw(TEXTS)}}
        for n in range(draw(st.integers(1, 3)))
    ]
    indent, separators = draw(
        st.sampled_from([(None, (",", ":")), (None, None), (2, None), ("\t", None), (4, (" ,", " : "))])
    )
    ascii_only = draw(st.booleans())
    text = json.dumps(
        {"model_list": models, "router_settings": router}, indent=indent, separators=separators, ensure_ascii=ascii_only
    )
    return (text + draw(st.sampled_from(["", "\n"]))).encode()


@st.composite
def toml_files(draw):
    quote = draw(st.sampled_from(["'", '"']))
    rows = ["# top", "", "[router_settings]", f"routing_strategy = {quote}{draw(WORDS)}{quote}{draw(COMMENTS)}"]
    rows += draw(
        st.sampled_from(
            [
                ["alias = {chat = 'm0', \"x.y\" = 'm1'} # a"],
                ["", "  [router_settings.alias]", "  chat = 'm0'", '  "x.y" = "m1"'],
            ]
        )
    )
    for number in range(draw(st.integers(1, 3))):
        rows += ["", "[[model_list]]", f"model_name = 'm{number}'", "[model_list.litellm_params]"]
        rows += [f"model   =   {quote}{draw(WORDS)}{quote}{draw(COMMENTS)}", "api_key = 'os.environ/KEY'"]
    return (
        (draw(st.sampled_from(["\n", "\r\n"])).join(rows) + draw(st.sampled_from(["", "\n"])))
        .replace("\n\r\n", "\n")
        .encode()
    )


HANDS = {"yaml": yaml_files(), "json": json_files(), "toml": toml_files()}
SETTABLE = (
    "router_settings.routing_strategy",
    "router_settings.alias.chat",
    'router_settings.alias."x.y"',
    "model_list[model_name=m0].litellm_params.model",
    "model_list[0].litellm_params.api_key",
)
ADDED = ("router_settings.added", "router_settings.alias.added", "model_list[0].litellm_params.added", "added.deep.key")


def is_writable(codec, value):
    return codec != "toml" or value is not None


@pytest.mark.parametrize("codec", ["yaml", "json", "toml"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_putting_the_old_values_back_gives_the_original_bytes(codec, data):
    file = data.draw(HANDS[codec])
    new = data.draw(st.dictionaries(st.sampled_from(SETTABLE), WORDS, min_size=1))
    old = read_keys(codec, file, new, file="f")
    edited = edit(codec, file, new, file="f")
    assert read_keys(codec, edited, new, file="f") == new
    if codec != "json" or b"\\u" not in file:
        assert edit(codec, edited, old, file="f") == file


@pytest.mark.parametrize("codec", ["yaml", "json", "toml"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_edit_is_what_the_formats_own_reader_reads_and_is_put_back_byte_for_byte(codec, data):
    file = data.draw(HANDS[codec])
    new = data.draw(st.dictionaries(st.sampled_from(SETTABLE + ADDED), VALUES, max_size=4))
    gone = [key for key in data.draw(st.lists(st.sampled_from(SETTABLE), max_size=2, unique=True)) if key not in new]
    edited = edit(codec, file, new, gone, file="f")
    assert read_keys(codec, edited, (*new, *gone), file="f") == new
    assert edit(codec, edited, new, gone, file="f") == edited
    wanted = {*changed_keys(codec, file, edited, file="f")}
    plain = loaded(codec, edited)
    assert plain["model_list"][0]["model_name"] == "m0"
    assert wanted or edited == file
    assert put_back(codec, edited, file, (*new, *gone), file="f") == file


# Start-up


def test_the_libraries_are_imported_where_a_file_is_edited():
    code = "import sys, rollout.gateway.host.codecs; print({'yaml', 'tomlkit', 'tomllib'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
