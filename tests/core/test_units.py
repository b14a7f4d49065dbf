"""Human units are read in seconds and fractions, or refused with an example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.units import duration, factor, fraction, show_duration, show_fraction, shown, truncate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("10s", 10),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1d", 86400),
        (" 5m ", 300),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert duration(text) == pytest.approx(seconds)


_SPELLED_WRONG = ("", " ", "m", "1:30", "30 minutes", "30M", "30m1h", "1m1m", "-5s", "5s!", "٣s", "1e3", "nan", "inf")
_NO_NUMBERS = (True, None, [], {}, float("nan"), float("inf"), "9" * 400, "9" * 400 + "s")


@pytest.mark.parametrize("value", [*_SPELLED_WRONG, *_NO_NUMBERS])
def test_what_is_no_duration_is_refused_with_an_example(value):
    with pytest.raises(ValueError, match="write one such as 30m"):
        duration(value)


@pytest.mark.parametrize(("value", "written"), [("90", "90s"), (90, "90s"), (0.5, "0.5s"), (" 5 ", "5s"), (0, "0s")])
def test_a_number_without_a_unit_is_no_duration(value, written):
    """Its unit is not guessed: it may mean seconds, minutes or milliseconds."""
    with pytest.raises(ValueError, match=f"has no unit; write {written} if seconds are meant, or one such as 30m"):
        duration(value)


@given(st.integers(min_value=0, max_value=31 * 86_400_000))
def test_a_duration_shown_is_read_back_to_the_millisecond(milliseconds):
    assert round(duration(show_duration(milliseconds / 1000)) * 1000) == milliseconds


@given(st.text(max_size=30))
def test_any_text_is_a_finite_duration_or_refused(text):
    try:
        assert 0 <= duration(text) < float("inf")
    except ValueError as refused:
        assert "is not a duration" in str(refused) or "has no unit" in str(refused)  # noqa: PT017 - all are right


def test_shares_and_factors_are_read_with_and_without_their_sign():
    assert [fraction(value) for value in ("5%", "2.5 %", 0.05, "0.05", "7%")] == [0.05, 0.025, 0.05, 0.05, 0.07]
    assert [factor(value) for value in ("2x", "1.5 x", 2, "2")] == [2, 1.5, 2, 2]
    assert show_fraction(0.05) == "5%"


@pytest.mark.parametrize(("read", "expected"), [(fraction, "5%"), (factor, "2x")])
@pytest.mark.parametrize("value", ["five", "%", "x", "", None, True, [], float("nan")])
def test_what_is_no_share_or_factor_is_refused_with_an_example(read, expected, value):
    with pytest.raises(ValueError, match=f"write one such as {expected}"):
        read(value)


def test_a_value_is_quoted_short_and_on_one_line():
    assert shown("a\nb\x1b") == r"'a\nb\x1b'"
    assert len(shown("x" * 1000)) <= 50
    assert (shown(None), shown(value=True), shown([1]), shown({})) == ("nothing", "true", "a list", "a mapping")


@pytest.mark.parametrize(
    ("text", "cut_at_ten"),
    [
        ("as it is", "as it is"),
        ("ten of it!", "ten of it!"),
        ("refused Zq7/Lw+3", "refused…"),
        ("a word is whole", "a word is…"),
        ("Zq7/Lw+3=Vx9", "…"),
        ("答えはここにはありません", "答えはここにはありま…"),
        ("", ""),
    ],
)
def test_a_text_is_cut_between_words_because_half_a_secret_would_not_be_recognised(text, cut_at_ten):
    assert truncate(text, 10) == cut_at_ten
