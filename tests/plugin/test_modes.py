"""What the command line asks for besides a rollout."""

from __future__ import annotations

import pytest

from rollout.plugin.modes import link

GOOD = "https://wiki.example.com/gateway?page=7#limits"


def test_a_link_is_taken_as_it_is():
    assert link(GOOD, "--learnings") == GOOD
    assert link(None, "--learnings") is None


@pytest.mark.parametrize(
    "value",
    ["", "wiki", "ftp://wiki.example.com/x", "https://", "https://wiki example.com", "javascript:alert(1)",
     "https://wiki.example.com/\x07", "http://[::1/x", f"https://wiki.example.com/{'x' * 2000}"],
)  # fmt: skip
def test_what_is_no_link_is_refused_with_an_example(value: str):
    with pytest.raises(pytest.UsageError, match=r"--learnings: .* is no link; write one such as https://wiki\.example"):
        link(value, "--learnings")


def test_a_link_with_a_password_is_refused_and_not_shown():
    with pytest.raises(pytest.UsageError) as refused:
        link("https://alice:hunter2@wiki.example.com/x", "--documentation")
    assert "hunter2" not in str(refused.value)
