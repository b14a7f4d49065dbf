"""Names that mean a secret, of variables and of fields, in several languages; and names that only resemble."""

from __future__ import annotations

import pytest

from rollout.core.secret_names import NameKind, classify_name, is_secret_name

VARIABLES = [
    "LITELLM_MASTER_KEY",
    "LITELLM_SALT_KEY",
    "AZURE_OPENAI_KEY",
    "ANTHROPIC_KEY",
    "SUBSCRIPTION_KEY",
    "DB_PASS",
    "JWT",
    "MY_CREDENTIALS",
    "SERVICE_PASSWORT",
    "MASTER_KEY",
    "CI_DB_PASS",
    "APIKEY",
    "MASTERKEY",
    "DBPASS",
    "MYSQL_PWD",
    "PGPASSWORD",
    "KENNWORT",
    "MOTDEPASSE",
    "CLAVE_API",
    "SENHA",
    "ADMIN_PIN",
    "COOKIE_SECRET",
    "SESSION_SECRET",
    "HMAC_SALT",
    "BEARER",
    "TLS_PEM",
    "PRIVATE_KEY_2",
    "SLACK_WEBHOOK",
    "NPM_TOKEN",
    "db_pass",
    "jwt",
    "Jwt",
]
MAYBE = [
    "GIT_AUTH",
    "SENTRY_DSN",
    "AZURE_SAS",
    "CONNECTION_STRING",
    "SIGNATURE",
    "SESSION",
    "TOKEN_URL",
    "PASSWORD_HEADER",
]
HARMLESS = [
    "LOG_LEVEL",
    "ENV",
    "REGION",
    "DEFAULT_MODEL",
    "PORT",
    "MAX_TOKENS",
    "SSH_KEY_PATH",
    "TOKEN_TTL",
    "API_KEY_NAME",
    "PRIMARY_KEY",
    "CACHE_KEY",
    "PUBLIC_KEY",
    "MONKEY",
    "KEYBOARD",
    "BYPASS_CACHE",
    "COMPASS",
    "HOST",
    "AUTHOR",
    "PASSENGERS",
    "PASSED",
]


@pytest.mark.parametrize("name", VARIABLES)
def test_one_word_makes_a_secret_of_a_variable(name):
    """A variable is a secret by one word of its name, in whatever case and language."""
    assert classify_name(name) is NameKind.SECRET


@pytest.mark.parametrize("name", MAYBE)
def test_some_words_do_so_unless_the_value_is_plain(name):
    """A session's kind, an address to log in at and the like stand under such names too."""
    assert classify_name(name) is NameKind.PERHAPS


def test_the_path_of_the_seals_key_is_shown_and_a_key_in_its_place_is_not():
    """The path of the key that sealed a journal is shown."""
    assert classify_name("ROLLOUT_SEAL_KEY") is NameKind.PERHAPS
    assert classify_name("SEAL_KEY") is NameKind.SECRET


@pytest.mark.parametrize("name", HARMLESS)
def test_other_names_say_nothing(name):
    """What is about a secret, or only resembles the name of one, is none."""
    assert classify_name(name) is NameKind.OPEN


@pytest.mark.parametrize(
    "name", ["LITELLM_MASTER_KEY", "CI_DB_PASS", "MY_CREDENTIALS", "masterKey", "subscription_key"]
)
def test_a_field_named_like_a_variable_is_one(name):
    """The gateway's configuration names its fields as the `.env` file does."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "pass", "KEY", "PASS", "session", "credentials", "primary_key", "PUBLIC_KEY"])
def test_a_field_needs_more_than_one_such_word(name):
    """An alert's key, a test's PASS and a list of credentials are no secrets."""
    assert not is_secret_name(name)
