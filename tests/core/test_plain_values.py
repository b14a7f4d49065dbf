"""Which values of a `.env` file may stand in a report, and which are secrets whatever their key is called."""

from __future__ import annotations

import pytest

from rollout.core.plain_values import is_plain


@pytest.mark.parametrize(
    "value",
    [
        *("true", "off", "Yes", "8000", "0.25", "30s", "5%", "-1", "1e-3", "16777216123456"),
        *("info", "WARNING", "production", "eu-west-1", "Europe/Berlin", "us-central1-a", "2026-11-24"),
        *("gpt-4o", "gemma3:4b", "meta-llama/Llama-3.1-8B-Instruct", "mixtral-8x7b-instruct", "o1-mini", "OpenAI"),
        *("anthropic.claude-3-5-sonnet-20240620-v1:0", "llama-cpp-server", "text-embedding-3-large"),
        *("http://127.0.0.1:8000", "https://api.example.com/v1?timeout=30", "redis://cache:6379/0", "a@example.com"),
        *("/srv/gateway/data", "./logs/gateway.log", "C:\\gateway\\logs", "~/models", "/var/lib/app-7f3a9c"),
        *("openai,azure;ollama", "My great gateway, for all", "http://a.example,http://b.example", "*", "", "  "),
    ],
)
def test_words_numbers_names_addresses_and_paths_are_plain(value):
    """None of them is of use to an attacker, and hiding them would make a report unreadable."""
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        *("Zq7/Lw+3=Vx9&Tb5~Rk2Pm8Gd", "c4H9n2L7s5T1q8W3k6", "x7k2-9fq1-b3z8", "3f2a9c1b-77aa-4be1-9c0d-2a5b1e9f8c7d"),
        *("ZqLwVxTbRkPmGd", "qzxkvjwprtbn", "hunter2!hunter", "/9j4AAQSkZJRgABAQAAAQ", "AKIAIOSFODNN7EXAMPLE"),
        *("postgresql://rollout:pw@db/journal", "https://u@host/x", "https://host/x?token=abcdefgh", "a\nb"),
        *("https://hooks.slack.com/services/T0A1B2C3D/B0A1/x9Y8z7W6v5U4t3S2", "dGhpcyBpcyBhIHRlc3Q=", "p4ssw0rd"),
    ],
)
def test_values_that_cannot_be_guessed_are_not(value):
    """Mixed, random and packed values, addresses with a password, and tokens in paths are no words."""
    assert not is_plain(value)
