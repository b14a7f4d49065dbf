"""One key of a `.env` file changes; every other byte stays."""

import contextlib

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.gateway.host import env_text
from rollout.gateway.host.env_text import EnvFileError, edit, put_back, values

FILE = b"""# The gateway's configuration.

ACTIVE_PROVIDER=openai   # changed by hand
export OPENAI_API_KEY="sk-not-a-real-one"
GREETING='two
lines, and a # in them'
EMPTY=
BARE

LOG_LEVEL = info
"""


@pytest.fixture
def read(tmp_path):
    """Return what python-dotenv itself reads from a file of these bytes."""

    def reading(data):
        path = tmp_path / ".env"
        path.write_bytes(data)
        return dict(dotenv_values(path, interpolate=False, encoding="utf-8"))

    return reading


# One edit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"A=1\nK=old\nB=2\n", b"A=1\nK=new\nB=2\n"),
        (b"A=1\r\nK=old\r\nB=2\r\n", b"A=1\r\nK=new\r\nB=2\r\n"),
        (b"\xef\xbb\xbfK=old\n", b"\xef\xbb\xbfK=new\n"),
        (b"K=old", b"K=new"),
        (b"export K=old\n", b"export K=new\n"),
        (b"  K = old\n", b"  K = new\n"),
        (b'K="old"\n', b'K="new"\n'),
        (b"K='old' # why\n", b"K='new' # why\n"),
        (b"K=old   # why\n", b"K=new   # why\n"),
        (b"K=o # l # d\n", b"K=new # l # d\n"),
        (b"K=a#b\n", b"K=new\n"),
        (b"K=# none\n", b"K=new\n"),
        (b"K= # none\n", b"K= new # none\n"),
        (b"K=\n", b"K=new\n"),
        (b"K\n", b"K=new\n"),
        (b"K # why\n", b"K=new # why\n"),
        (b'K="o\nl\nd"\nB=2\n', b'K="new"\nB=2\n'),
        (b"#K=old\n", b"#K=old\nK=new\n"),
        (b"'K'=old\n", b"'K'=new\n"),
    ],
)
def test_a_value_is_exchanged_in_place(before, after):
    assert edit(before, {"K": "new"}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"K=new\n"),
        (b"A=1\n", b"A=1\nK=new\n"),
        (b"A=1", b"A=1\nK=new"),
        (b"A=1\r\n", b"A=1\r\nK=new\r\n"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\nK=new"),
        (b"A=1\n  ", b"A=1\n  \nK=new"),
        (b"# only words", b"# only words\nK=new"),
        (b"export A=1\n", b"export A=1\nexport K=new\n"),
        (b"export A=1\nB=2\n", b"export A=1\nB=2\nK=new\n"),
        (b"k=lower\n", b"k=lower\nK=new\n"),
        (b"not parsed at all!\n", b"not parsed at all!\nK=new\n"),
    ],
)
def test_a_new_key_is_appended_in_the_files_own_style(before, after):
    assert edit(before, {"K": "new"}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"A=1\nK=old # why\nB=2\n", b"A=1\nB=2\n"),
        (b"A=1\nK=old", b"A=1"),
        (b"# of K\nK=old\n", b"# of K\n"),
        (b"K=1\nA=1\nK=2\n", b"A=1\n"),
        (b"A=1\nK='x\ny'\nB=2\n", b"A=1\nB=2\n"),
        (b"A=1\n\nK=old", b"A=1\n\n"),
        (b"A=1\n", b"A=1\n"),
    ],
)
def test_a_removed_key_leaves_with_all_its_lines_and_nothing_else(before, after):
    assert edit(before, {}, ["K"]) == after


def test_of_duplicate_keys_only_the_last_which_counts_is_changed(read):
    changed = edit(b"K=1\nA=${K}\nK=2\n", {"K": "3"})
    assert changed == b"K=1\nA=${K}\nK=3\n"
    assert read(changed)["K"] == "3"


def test_everything_else_stays_byte_for_byte(read):
    changed = edit(FILE, {"LOG_LEVEL": "debug", "NEW": "a b"}, ["EMPTY"])
    assert changed == FILE.replace(b"EMPTY=\n", b"").replace(b"= info", b"= debug") + b"NEW='a b'\n"
    assert read(changed)["NEW"] == "a b"


def test_a_value_that_is_set_already_is_not_touched():
    text = b"K=\"quoted for no reason\"\nK2='x'\n"
    assert edit(text, {"K": "quoted for no reason", "K2": "x"}, ["ABSENT"]) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain-1.0_a/b:c@d", "plain-1.0_a/b:c@d"),
        ("", ""),
        ("a b", "'a b'"),
        (" edges ", "' edges '"),
        ("a#b", "'a#b'"),
        ("# all", "'# all'"),
        ("$HOME ${X}", "'$HOME ${X}'"),
        ('say "hi"', "'say \"hi\"'"),
        ("it's", '"it\'s"'),
        ("C:\\new\\table", '"C:\\\\new\\\\table"'),
        ("two\nlines", '"two\\nlines"'),
        ("cr\rlf\r\n", '"cr\\rlf\\r\\n"'),
        ("Zażółć 🦆", "'Zażółć 🦆'"),
        ("'", '"\'"'),
        ('"', "'\"'"),
        ("\\", '"\\\\"'),
        ("tab\there", "'tab\there'"),
    ],
)
def test_a_value_is_written_so_that_it_reads_back_equal(read, value, written):
    changed = edit(b"A=1\n", {"K": value})
    assert changed == f"A=1\nK={written}\n".encode()
    assert read(changed) == {"A": "1", "K": value}


def test_the_old_quotes_are_kept_unless_they_cannot_hold_the_value():
    assert edit(b'K="1"\n', {"K": "a b"}) == b'K="a b"\n'
    assert edit(b"K='1'\n", {"K": "$x"}) == b"K='$x'\n"
    assert edit(b'K="1"\n', {"K": "$x"}) == b"K='$x'\n"
    assert edit(b"K='1'\n", {"K": "it's"}) == b'K="it\'s"\n'


# What is refused

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "new", "remove", "says"),
    [
        (b"A=1\n", {"K": f"{SECRET}\0"}, [], "K: its new value cannot be written"),
        (b"A=1\n", {"K": f"{SECRET}\ud800"}, [], "K: its new value cannot be written"),
        (b'A="never closed\nB=2\n', {"K": f"{SECRET} and\nmore"}, [], "a quote in the file that is never closed"),
        (b"A=\xb1\n", {"K": SECRET}, [], "not UTF-8 (byte 2)"),
        (b"", {"K=": SECRET}, [], "'K=' cannot be a key"),
        (b"", {"": SECRET}, [], "'' cannot be a key"),
        (b"", {"A B": SECRET}, [], "'A B' cannot be a key"),
        (b"", {}, ["A\nB"], "cannot be a key"),
        (b"K=1\n", {"K": SECRET}, ["K"], "K is to be set and removed at once"),
    ],
)
def test_what_would_not_read_back_is_refused_without_naming_the_value(text, new, remove, says):
    with pytest.raises(EnvFileError) as caught:
        edit(text, new, remove)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spelling_that_reads_back_otherwise_is_passed_over_and_in_the_end_refused(monkeypatch):
    monkeypatch.setattr(env_text, "_spellings", lambda value, _: iter(["'otherwise'", f"'{value}'"]))
    assert edit(b"K=1\n", {"K": "2"}) == b"K='2'\n"
    monkeypatch.setattr(env_text, "_spellings", lambda *_: iter(["'otherwise'", f"'{SECRET}' 'and more'"]))
    with pytest.raises(EnvFileError, match="K: its new value cannot be written") as caught:
        edit(b"K=1\n", {"K": SECRET})
    assert SECRET not in str(caught.value)


def test_a_broken_line_does_not_keep_a_plain_value_from_being_set():
    assert edit(b'A="never closed\nB=2\n', {"B": "3"}) == b'A="never closed\nB=3\n'


# What holds for every file and every value

KEYS = ("K", "LOG_LEVEL", "A", "B2", "export_me")
keys = st.sampled_from(KEYS)
blanks = st.sampled_from(["", " ", "  ", "\t"])
words = st.text(st.sampled_from("abz 09-_./:#$'\"\\{}=ąü🦆\t\x0b\u2028"), max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
comments = st.sampled_from(["", " # why", '\t# it\'s "why"', "#"])
lines = st.one_of(
    st.builds("{}#{}".format, blanks, words),
    blanks,
    words,
    st.builds("{}{}{}={}{}{}".format, blanks, st.sampled_from(["", "export "]), keys, blanks, words, comments),
    st.builds('{}="{}\n{}"{}'.format, keys, words.map(lambda t: t.replace('"', "")), words, comments),
    st.builds("{}='{}\n{}'{}".format, keys, words.map(lambda t: t.replace("'", "")), words, comments),
    keys,
)
ends = st.sampled_from(["\n", "\r\n"])
files = st.builds(
    lambda bom, lines, end, last: (bom + end.join(lines).replace("\r\n", "\n").replace("\n", end) + last).encode(),
    st.sampled_from(["", "\ufeff"]),
    st.lists(lines, max_size=6),
    ends,
    st.sampled_from(["", "\n", "\r\n"]),
) | texts.map(str.encode)
plain_lines = st.builds("{}{}={}{}".format, st.sampled_from(["", "export "]), keys, st.text("ab1/-"), comments) | (
    st.builds("#{}".format, words.map(lambda text: text.replace("\u2028", "").replace("\x0b", "")))
)
plain_files = st.lists(plain_lines, max_size=8).map(lambda lines: "\n".join(lines).encode())
changes = st.dictionaries(keys, texts | words, max_size=3)


def edited(text, new, remove):
    """Return the edited file, or None where it was refused because the file itself is broken."""
    with contextlib.suppress(EnvFileError):
        return edit(text, new, remove)
    return None


@given(files, changes, st.sets(keys, max_size=2))
def test_every_value_reads_back_equal_and_every_other_as_before(text, new, remove):
    after = edited(text, new, remove - new.keys())
    if after is not None:
        others = {key: value for key, value in values(text).items() if key not in remove}
        assert values(after) == {**others, **new}


@given(plain_files, changes, st.sets(keys, max_size=2))
def test_lines_about_other_keys_survive_as_they_are_and_in_order(text, new, remove):
    def others(data):
        return [line for line in data.split(b"\n") if line.strip() and not line.startswith(own)]

    own = tuple(f"{prefix}{key}=".encode() for key in {*new, *remove} for prefix in ("", "export "))
    assert others(edit(text, new, remove - new.keys())) == others(text)


@given(texts)
def test_a_valid_file_takes_any_text(value):
    assert values(edit(FILE, {"LOG_LEVEL": value, "NEW": value})) == {
        **values(FILE),
        "LOG_LEVEL": value,
        "NEW": value,
    }


@given(files, changes, st.sets(keys, max_size=2))
def test_editing_twice_changes_nothing_more(text, new, remove):
    after = edited(text, new, remove - new.keys())
    if after is not None:
        assert edit(after, new, remove - new.keys()) == after


@example(b" \r\nLOG_LEVEL", {"K": ""}, {"LOG_LEVEL"})
@given(files, changes, st.sets(keys, max_size=2))
def test_putting_back_what_was_edited_restores_every_byte(text, new, remove):
    after = edited(text, new, remove - new.keys())
    if after is not None:
        assert put_back(after, text, {*new, *remove}) == text


@given(st.sampled_from([FILE, FILE.replace(b"\n", b"\r\n"), FILE.rstrip(b"\n")]), st.text("abc1", min_size=1))
def test_a_plain_edit_is_reversed_by_an_edit(text, value):
    after = edit(text, {"LOG_LEVEL": value, "NEW": value})
    assert edit(after, {"LOG_LEVEL": "info"}, ["NEW"]) == text


@given(files, changes, st.sets(keys, max_size=2))
def test_the_reading_is_python_dotenvs_own(text, new, remove):
    after = edited(text, new, remove - new.keys())
    if after is not None:
        import io

        stream = io.TextIOWrapper(io.BytesIO(after), encoding="utf-8-sig")
        assert values(after) == dict(dotenv_values(stream=stream, interpolate=False))


# Putting the rollout's own keys back


@pytest.mark.parametrize(
    ("backup", "now", "after"),
    [
        pytest.param(b"A=1\nK=old\n", b"A=2\nK=new\n", b"A=2\nK=old\n", id="another value was edited"),
        pytest.param(b"A=1\n", b"A=1\nK=new\nB=2\n", b"A=1\nB=2\n", id="we added it"),
        pytest.param(b"A=1\nK='o' # w\nB=2\n", b"A=1\nB=3\n", b"A=1\nK='o' # w\nB=3\n", id="we removed it"),
        pytest.param(b"K=old\nA=1\n", b"A=2\n", b"K=old\nA=2\n", id="it was the first line"),
        pytest.param(b"A=1\nK=old", b"A=2", b"A=2\nK=old", id="it was the last line, and not ended"),
        pytest.param(b"K=old\n", b"# hello\nK=new\n", b"# hello\nK=old\n", id="a comment was added"),
        pytest.param(b"K=old\nA=1\n", b"A=1\nX=1\nK=new\n", b"A=1\nX=1\nK=old\n", id="it was moved"),
        pytest.param(b"A=1\nK=1\nK=2\n", b"A=3\nK=9\n", b"A=3\nK=1\nK=2\n", id="duplicates were joined"),
        pytest.param(b"K=old\nA=1\n", b"K=old\nA=2\n", b"K=old\nA=2\n", id="it is back already"),
        pytest.param(b"K=old\n", b"K=new\r\nA=1\r\n", b"K=old\r\nA=1\r\n", id="line endings were changed"),
        pytest.param(b"K\nA=1\n", b"K=new\nA=2\n", b"K\nA=2\n", id="it had no value at all"),
        pytest.param(b"A=1\n", b"A=2\n", b"A=2\n", id="in neither file"),
    ],
)
def test_only_own_keys_are_put_back_and_other_edits_are_kept(backup, now, after):
    assert put_back(now, backup, ["K"]) == after


def test_a_final_newline_that_an_editor_added_is_no_edit_to_keep():
    assert put_back(b"A=1\nK=new\n", b"A=1\nK=old", ["K"]) == b"A=1\nK=old"


def test_a_file_that_would_not_read_as_before_is_not_overwritten():
    with pytest.raises(EnvFileError, match=r"K cannot be put back: the \.env file was edited") as caught:
        put_back(b'A="never closed\nK=1\n', f'A=1\nK="{SECRET}"\n'.encode(), ["K"])
    assert SECRET not in str(caught.value)


@given(files, files, st.sets(keys, max_size=3))
def test_putting_back_into_any_file_touches_own_keys_only(now, backup, own):
    with contextlib.suppress(EnvFileError):
        after = put_back(now, backup, own)
        assert {k: v for k, v in values(after).items() if k in own} == {
            k: v for k, v in values(backup).items() if k in own
        }
        assert {k: v for k, v in values(after).items() if k not in own} == {
            k: v for k, v in values(now).items() if k not in own
        }
