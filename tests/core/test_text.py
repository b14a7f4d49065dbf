"""Text from outside stays text: on one line, and without markup."""

from __future__ import annotations

import pytest

from rollout.core.text import LONGEST, markdown, one_line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("a\r\nBcc: everybody\tb", "a Bcc: everybody b"),
        ("\x1b[31mred\x1b[0m \u202egnp.exe\u2028x\u200b", r"\x1b[31mred\x1b[0m \u202egnp.exe x\u200b"),
        (None, "None"),
        ("abc " * 1000, ("abc " * 250)[: LONGEST - 1] + "…"),
        ("é 中 → ✓", "é 中 → ✓"),
    ],
)
def test_one_line_is_one_line_of_what_can_be_seen(words, line):
    assert one_line(words) == line


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a | b", r"a \| b"),
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("[click](http://evil.example)", r"[click\](http://evil.example)"),
        ("![x](http://evil.example/p.png)", r"![x\](http://evil.example/p.png)"),
        ("[x]: http://evil.example", r"[x\]: http://evil.example"),
        ("**bold** `code` ~~gone~~", r"\*\*bold\*\* \`code\` \~\~gone\~\~"),
        ("ERROR_SPIKE of _openai_", r"ERROR_SPIKE of \_openai\_"),
        ("# heading", r"\# heading"),
        ("> quote", r"\> quote"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("---", r"\---"),
        ("a\\|b", r"a\\\|b"),
        ("&lt;b&gt; & co", r"\&lt;b\&gt; & co"),
        ("p95 5 ms [redacted] (n=3)", "p95 5 ms [redacted] (n=3)"),
        ("2026-11-24 23:31 and 3 more", "2026-11-24 23:31 and 3 more"),
    ],
)
def test_nothing_in_the_words_is_markup(words, shown):
    assert markdown(words) == shown
