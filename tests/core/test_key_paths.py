"""A key of a nested file is spelled one way, and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.key_paths import InvalidKey, Selector, parse_key, spell_key


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        ("a", ("a",)),
        ("router_settings.routing_strategy", ("router_settings", "routing_strategy")),
        ('aliases."gpt-4.1".to', ("aliases", "gpt-4.1", "to")),
        ("openai/*.x", ("openai/*", "x")),
        ("list[0].a", ("list", 0, "a")),
        ("list[10][2]", ("list", 10, 2)),
        ("list[name=gpt-4.1].w", ("list", Selector(("name",), "gpt-4.1"), "w")),
        ("list[info.id=prod 1]", ("list", Selector(("info", "id"), "prod 1"))),
        ('list["a.b"="x]y"]', ("list", Selector(("a.b",), "x]y"))),
    ],
)
def test_a_key_is_a_way_from_the_top_to_a_value(key, steps):
    assert parse_key(key) == steps
    assert parse_key(spell_key(steps)) == steps


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        ".a",
        "a.",
        "a..b",
        "a b",
        "[0]",
        "a[",
        "a[]",
        "a[-1]",
        "a[01]",
        "a[x]",
        "a[x=]",
        "a=b",
        '"a',
        '"\\x"',
        "a\n",
        "a[0]b",
    ],
)
def test_what_is_no_key_is_refused_in_one_line_that_says_where(key):
    with pytest.raises(InvalidKey, match=r"is no key, from its character \d+ on; write names with dots") as caught:
        parse_key(key)
    assert "\n" not in str(caught.value)


NAMES = st.text(min_size=1, max_size=6)


@given(
    st.tuples(NAMES, st.lists(NAMES | st.integers(0, 999) | st.builds(Selector, st.tuples(NAMES), st.text(max_size=6))))
)
def test_every_way_has_a_spelling(parts):
    steps = (parts[0], *parts[1])
    assert parse_key(spell_key(steps)) == steps
