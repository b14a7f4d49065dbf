"""PromQL selectors: what is one, and that what is filled in stands for itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.promql import check_expression, escaped, fill_expression, matcher, parse, quoted

VALUES = {"provider": "openai", "model": 'g"p\\t.4o'}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("requests_total", "requests_total"),
        ("requests_total{}", "requests_total"),
        ('a:b{provider="{provider}"}', 'a:b{provider="openai"}'),
        (' a { p = "{provider}" , q!~"5\\\\d{2}", } ', 'a{p="openai",q!~"5\\\\d{2}"}'),
        ("a{model='{model}'}", 'a{model="g\\"p\\\\t.4o"}'),
        ('a{model=~"{model}|x"}', 'a{model=~"g\\"p\\\\\\\\t\\\\.4o|x"}'),
        ('{__name__="a",x="b}{"}', '{__name__="a",x="b}{"}'),
    ],
)
def test_selectors_are_filled_in_and_written_with_safe_quotes(text: str, filled: str) -> None:
    assert str(parse(text).filled(VALUES)) == filled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sum(requests_total)", "'(requests_total)' where a selector ends; write a selector such as"),
        ("rate(a[5m])", "no function or operator"),
        ("a[5m]", r"'\[5m\]' where a selector ends"),
        ("a offset 5m", "'offset 5m' where a selector ends"),
        ("a{b=c}", "'b=c}' where a matcher is expected"),
        ("a{b=`c`}", "where a matcher is expected"),
        ('a{b="c"', "put a comma between matchers, a brace last"),
        ('a{b="c" d="e"}', "put a comma between matchers"),
        ('a{b="c"} or vector(0)', "where a selector ends"),
        ('a{b="{target}"}', r"a placeholder {target} that there is not; {provider} and {model} are filled in"),
        (r'a{b="\d"}', r"an escape \\d that PromQL does not know"),
        ('{b!="c"}', "chooses no metric"),
        ("", "chooses no metric"),
    ],
)
def test_what_is_no_selector_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words if "\\" in words else re.escape(words)):
        parse(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\r")))
def test_a_quoted_value_is_read_back_as_it_was(value: str) -> None:
    readable = value.replace("{", "(").replace("}", ")")
    (found,) = parse(f"a{{b={quoted(readable)}}}").matchers
    assert found.value == readable


@given(st.text())
def test_an_escaped_value_matches_itself_alone(value: str) -> None:
    assert re.fullmatch(escaped(value), value)
    assert not re.fullmatch(escaped(value), f"{value}x")


def test_a_matcher_is_read_and_written() -> None:
    assert str(matcher("severity='critical'")) == 'severity="critical"'
    with pytest.raises(ValueError, match="is no matcher"):
        matcher("severity=critical")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("3", "3"),
        ("sum(rate(a{p='{provider}'}[1m])) or vector(0)", 'sum(rate(a{p="openai"}[1m])) or vector(0)'),
        ('max by (x) (a{m=~"{model}"}) / 2', 'max by (x) (a{m=~"g\\"p\\\\\\\\t\\\\.4o"}) / 2'),
        ('label_replace(a, "b", "$1)", "c", "(.*)")', 'label_replace(a, "b", "$1)", "c", "(.*)")'),
    ],
)
def test_expressions_are_filled_in_and_left_as_they_are(text: str, filled: str) -> None:
    check_expression(text)
    assert fill_expression(text, VALUES) == filled


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"text"', "is a string"),
        ("'a}'", "is a string"),
        ('sum(a{b="c})', 'has a quote " that is not closed'),
        ("sum(a", "has a bracket ( that is not closed"),
        ("sum(a))", "has a bracket ) that closes none"),
        ("sum(a]", "has a bracket ] that closes none"),
        ("a[5m] ", "is a range of samples"),
        ('a{b="{prvider}"}', "has a placeholder {prvider} that there is not"),
    ],
)
def test_an_expression_that_is_no_number_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_expression(text)
