"""A value is changed in place; every other byte stays."""

from __future__ import annotations

import pytest

from rollout.sandbox.envfile import masked, parse, with_value

TEXT = "# LLM=no\r\nOTHER_LLM=a\n\nexport LLM = 'old'  # why\nKEY=\"x=1\"\nLAST=1"


def test_a_value_exchanged_there_and_back_restores_the_text():
    changed = with_value(TEXT, "LLM", "new")
    assert changed == TEXT.replace("'old'", "'new'")
    assert with_value(changed, "LLM", "old") == TEXT


@pytest.mark.parametrize("text", ["", "A=1\n", "A=1"])
def test_a_missing_key_is_added_on_a_line_of_its_own(text: str):
    assert parse(with_value(text, "LLM", "new")) == parse(text) | {"LLM": "new"}


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("LLM_LOCAL_API_KEY", "veno-12-ocal"[:11], "veno***-oca"),
        ("REDIS_PASSWORD", "12345678", "********"),
        ("HF_TOKEN", "", ""),
        ("MAX_CONTEXT_TOKENS", "4000", "4000"),
        ("GOOGLE_CALENDAR_TOKEN_PATH", "./data/token.json", "./data/token.json"),
    ],
)
def test_only_secrets_are_masked(key: str, value: str, shown: str):
    assert masked(key, value) == shown
