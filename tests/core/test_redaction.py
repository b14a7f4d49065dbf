"""Redaction: secrets are replaced, evidence stays."""

import base64
import json
import time
from urllib.parse import quote

import pytest

from rollout.core.redaction import LONGEST_REMEMBERED, MOST_REMEMBERED, REDACTED, Redactor, is_secret_name

SECRET = 'p/a+s"s=wörd'


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "OPENAI_API_KEY",
        "api_key",
        "apiKey",
        "APIKey",
        "apikey",
        "x-api-key",
        "token",
        "HF_TOKEN",
        "access_token",
        "githubtoken",
        "client_secret",
        "password",
        "DB_PASSWORD_2",
        "passphrase",
        "Cookie",
        "set-cookie",
        "private_key",
        "AWS_SECRET_ACCESS_KEY",
        "SLACK_WEBHOOK_URL",
    ],
)
def test_names_of_secrets_are_known(name):
    assert is_secret_name(name)
    assert Redactor().value({name: "hunter2hunter2"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "total_tokens",
        "max_tokens",
        "max_tokens_per_minute",
        "current_tokens",
        "GOOGLE_CALENDAR_TOKEN_PATH",
        "RIDER_PI_KEY_FILE",
        "DEPLOYMENT_SSH_KEY_PATH",
        "token_env",
        "monkey",
        "key",
        "keyboard",
        "credentials",
        "provider",
        "tokenizer",
        "",
    ],
)
def test_names_that_only_resemble_are_left_alone(name):
    assert not is_secret_name(name)
    assert Redactor().value({name: "hunter2hunter2"}) == {name: "hunter2hunter2"}


@pytest.mark.parametrize(
    "beginning",
    [
        "sk-",
        "AIza",
        *(f"gh{kind}_" for kind in "pousr"),
        "github_pat_",
        "glpat-",
        *(f"xox{kind}-" for kind in "abeprs"),
        "xapp-",
        "hf_",
        "gsk_",
        "npm_",
        "pypi-",
        "AKIA",
        "ASIA",
        "BEARER ",
        "bearer\t",
        "https://hooks.slack.com/services/",
        "-----BEGIN RSA PRIVATE KEY-----",
        "AUTHOR\u0130ZATION: ",
        "coo\u212aie=",
    ],
)
def test_a_secret_is_found_by_its_form_alone(beginning):
    secret = "QWERTZUI01234567"

    assert secret not in Redactor().text(f"{beginning}{secret}")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("key sk-proj-abcdefgh12345678 was used", "abcdefgh12345678"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuvw", "SyA1234567890"),
        ("Authorization: Bearer abcdefghijk", "abcdefghijk"),
        ("sent 'bearer x1y2z3x1y2z3' upstream", "x1y2z3x1y2z3"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("serve --api-key=q1w2e3r4t5 --port=80", "q1w2e3r4t5"),
        ("Cookie: session=abc; theme=dark", "abc"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijkl"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("postgresql://rollout:hunter2@db:5432/journal", "hunter2"),
        ("https://abcdefabcdefabcdef@git.example/x", "abcdefabcdef"),
        ("OPENAI_API_KEY=plainvalue other", "plainvalue"),
        ('{"nested": {"api_key": "plainvalue", "cut', "plainvalue"),
        (r"{\"password\": \"plainvalue\"}", "plainvalue"),
        ("GET /x?token=plainvalue&limit=5", "plainvalue"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\nafter", "MIIEow"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEow cut off", "MIIEow"),
        ("https://hooks.slack.com/services/T0/B0/XyZ", "XyZ"),
    ],
)
def test_values_in_the_form_of_secrets_go(text, gone):
    redacted = Redactor().text(text)
    assert gone not in redacted
    assert REDACTED in redacted


@pytest.mark.parametrize(
    "text",
    [
        "GOOGLE_API_KEY=AIza***********************cdef",
        "sk-d************************cdef",
        "Set a bearer token: see the manual",
        "the target's timeouts.read; total_tokens=1234 max_tokens: 16",
        "http://127.0.0.1:8000/api/v1/providers/openai/metrics",
        "task-management and disk-utilisation-of-the-host",
        'curl -H "Authorization: Bearer $GATEWAY_TOKEN" http://127.0.0.1/',
        "TOKEN=${GATEWAY_TOKEN} run",
        "mail alice@example.com about http://host/path",
        "",
    ],
)
def test_harmless_text_stays_as_it_is(text):
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        repr(SECRET),
    ],
)
def test_a_registered_value_goes_in_every_spelling(spelt):
    assert "rd" not in Redactor([SECRET]).text(f"before {spelt} after").replace(REDACTED, "")


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_registered_value_goes_in_base64_at_each_alignment(before, encode):
    encoded = encode(f"{before}{SECRET}:and more".encode()).decode()
    redacted = Redactor([SECRET]).text(f"<{encoded}>")
    assert REDACTED in redacted
    plain = base64.b64encode(SECRET.encode()).decode()
    assert not any(plain[i : i + 5] in redacted for i in range(len(plain) - 5))


def test_a_longer_secret_is_replaced_completely_when_another_is_its_beginning():
    assert Redactor(["abcd1234", "abcd1234-and-more"]).text("x abcd1234-and-more y") == f"x {REDACTED} y"


def test_short_values_are_not_searched_for():
    assert Redactor(["abc", "", "   "]).text("abc abc") == "abc abc"


def test_a_value_is_recognised_without_the_line_feed_it_was_registered_with():
    assert Redactor(["from-a-file-1\n"]).text("x from-a-file-1 y") == f"x {REDACTED} y"


def test_a_value_is_redacted_at_any_depth_and_the_original_stays():
    original = {
        "a": [{"api_key": "hunter2hunter2"}, ("Bearer abcdefgh",)],
        "password": {"old": "one-1", "new": ["two-2"], "set": True},
        "pwd": 12345,
        "fencing_token": 12345,
        "secret": None,
        "cookie": "",
        "total_tokens": 7,
        "masked_key": "sk-d****cdef",
        "api_key": "sk-d************************cdef",
        "raw": b"Bearer abcdefgh",
    }
    before = repr(original)
    assert Redactor().value(original) == {
        "a": [{"api_key": REDACTED}, (f"Bearer {REDACTED}",)],
        "password": {"old": REDACTED, "new": [REDACTED], "set": True},
        "pwd": REDACTED,
        "fencing_token": 12345,
        "secret": None,
        "cookie": "",
        "total_tokens": 7,
        "masked_key": "sk-d****cdef",
        "api_key": "sk-d************************cdef",
        "raw": f"Bearer {REDACTED}",
    }
    assert repr(original) == before


def test_a_secret_in_a_key_goes():
    assert Redactor(["hunter2hunter2"]).value({"hunter2hunter2": 1}) == {REDACTED: 1}


def test_redacting_twice_changes_nothing_more():
    redactor = Redactor([SECRET])
    text = f'{{"token": "{SECRET}"}} Authorization: Bearer abcdefgh api_key=12345678 http://a:b@c/'
    once = redactor.text(text)
    assert redactor.text(once) == once


def test_two_megabytes_without_a_break_take_no_quadratic_time():
    started = time.process_time()
    Redactor([SECRET]).text("a" * 2_000_000)
    assert time.process_time() - started < 5


# What is learnt


def test_an_environment_gives_the_values_under_names_of_secrets():
    redactor = Redactor()
    redactor.learn(
        {"DB_PASSWORD": "k4Rt9-hunter", "HOME": "/home/alice", "GITHUB_TOKEN": "of-the-pipeline-1", "X": None}
    )
    assert redactor.text("k4Rt9-hunter of-the-pipeline-1 /home/alice") == f"{REDACTED} {REDACTED} /home/alice"


def test_a_value_that_is_also_public_is_no_secret():
    """A local provider takes any key, its own name for instance: the journal still names the provider."""
    redactor = Redactor()
    redactor.learn(
        {"VLLM_API_KEY": "llama-cpp-server", "SERVER": "Llama-cpp-server", "OTHER_API_KEY": "gemma-3-4b-it"},
        ["gemma-3-4b-it"],
    )
    assert redactor.text("llama-cpp-server:gemma-3-4b-it") == "llama-cpp-server:gemma-3-4b-it"


def test_the_working_directory_is_no_secret():
    """PWD reads like a password, and paths below it must stay: the backup of `.env` is found by one."""
    redactor = Redactor()
    redactor.learn({"PWD": "/srv/gateway", "DB_PWD": "k4Rt9-hunter"})
    assert redactor.text("/srv/gateway/.env k4Rt9-hunter") == f"/srv/gateway/.env {REDACTED}"


@pytest.mark.parametrize("filler", ["none", "ollama", "changeme"[:7], " test   "])
def test_what_only_fills_a_key_that_must_not_be_empty_is_no_secret(filler):
    redactor = Redactor()
    redactor.learn({"OLLAMA_API_KEY": filler})
    assert redactor.text(f"it is {filler}") == f"it is {filler}"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("slack://T0A1B2C3D4E5/B0A1B2C3D4E5/x9Y8z7W6v5U4t3S2/#ops", "x9Y8z7W6v5U4t3S2"),
        ("json://user:s3cretS3cret99@hooks.example.com/in?to=x", "s3cretS3cret99"),
        ("tgram://123456789:AAf00barBAZ0123/4711", "AAf00barBAZ0123"),
        ("json://hooks.example.com/a?token=abc%2Bdef12345", "abc+def12345"),
    ],
)
def test_the_tokens_in_a_channels_url_go_also_where_they_stand_alone(url, part):
    redactor = Redactor()
    redactor.add_url(url)
    assert part not in redactor.text(f"refused: {part}")
    assert redactor.text("hooks.example.com said no to user") == "hooks.example.com said no to user"


def test_what_a_pattern_of_ones_own_describes_goes():
    redactor = Redactor(patterns=["corp-[0-9]{4,}", "AC[0-9a-f]{8}"])
    assert redactor.value({"note": "corp-4711 and AC00ff00ff, not corp-1"}) == {
        "note": f"{REDACTED} and {REDACTED}, not corp-1"
    }


# What a `.env` file gives

NINE = [
    *("LITELLM_MASTER_KEY", "LITELLM_SALT_KEY", "AZURE_OPENAI_KEY", "ANTHROPIC_KEY", "SUBSCRIPTION_KEY", "DB_PASS"),
    *("JWT", "MY_CREDENTIALS", "SERVICE_PASSWORT"),
]


@pytest.mark.parametrize("name", [*NINE, "OPENAI_API_KEY", "WHATEVER", "LLM_MODEL", "feature.flag", "X"])
def test_every_value_of_an_env_file_is_a_secret_whatever_its_name(name):
    """No name has to be known: what is not plain is hidden where the gateway repeats it, alone and within a text."""
    redactor = Redactor()
    redactor.learn_file({name: "c4H9n2L7s5T1q8W3"})
    assert redactor.value({"message": "it is c4H9n2L7s5T1q8W3!"}) == {"message": f"it is {REDACTED}!"}


@pytest.mark.parametrize("name", ["MASTER_KEY", "CI_DB_PASS", "KENNWORT", "DEPLOY_CREDENTIALS", "APP_JWT"])
def test_an_environment_gives_the_values_under_more_names(name):
    """One word of a variable's name is enough, also for a short value that is no word."""
    redactor = Redactor()
    redactor.learn({name: "hunter2"})
    assert redactor.text("it is hunter2, not hunter22") == f"it is {REDACTED}, not hunter22"


def test_a_report_stays_readable_whatever_plain_words_an_env_file_holds():
    """Levels, environments, regions, models, ports and addresses are not replaced in other texts."""
    redactor = Redactor()
    plain = {
        "LOG_LEVEL": "info",
        "ENV": "production",
        "REGION": "eu-west-1",
        "DEFAULT_MODEL": "gpt-4o",
        "PORT": "8000",
        "DEBUG": "false",
        "URL": "https://gateway.example/v1",
        "DATA": "/srv/gateway/data",
        "LLM_MODEL": "gemma3:4b",
        "API_KEY": "none",
        "DB_PASS": "admin",
        "TOKEN": "test",
        "PIN": "8000",
        "SESSION": "local",
        "AUTH": "disabled",
    }
    redactor.learn_file(plain)
    text = (
        "info production eu-west-1 gpt-4o 8000 false https://gateway.example/v1 /srv/gateway/data gemma3:4b none admin"
    )
    assert redactor.text(text) == text


@pytest.mark.parametrize("learn", [Redactor.learn, Redactor.learn_file])
@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("postgresql://rollout:hunter2pw@db/journal", "hunter2pw"),
        ("amqp://u:p%40ss-w0rd@mq:5672", "p@ss-w0rd"),
        ("https://abcdefabcdef12345678@git.example/x.git", "abcdefabcdef12345678"),
        ("https://hook.example/in?token=s3cret99x&to=ops", "s3cret99x"),
        ("use sk-proj-abcdefgh12345678 there", "sk-proj-abcdefgh12345678"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAx9Y8z7W6v5\n-----END PRIVATE KEY-----",
            "MIIEowIBAAKCAQEAx9Y8z7W6v5",
        ),
    ],
)
def test_a_value_in_the_form_of_a_secret_is_one_in_any_variable(learn, value, part):
    """A URL's password, a token of a known form and a private key are learnt under any name, in any encoding."""
    redactor = Redactor()
    learn(redactor, {"LANG_OF_SOMETHING": value})
    assert redactor.text(f"x {base64.b64encode(part.encode()).decode()} y {part}").count(REDACTED) == 2


def test_what_the_gateway_lists_is_a_name():
    """A provider or model of an odd name is shown, once it is listed; under the name of a secret it stays one."""
    redactor = Redactor()
    redactor.learn_file({"LLM_MODEL": "qX7-zz9k-v0b", "MASTER_KEY": "kM4-xx2p-w9t"})
    redactor.publish(["qX7-zz9k-v0b", "kM4-xx2p-w9t"])
    redactor.learn_file({"LLM_MODEL": "qX7-zz9k-v0b"})
    assert redactor.text("qX7-zz9k-v0b kM4-xx2p-w9t") == f"qX7-zz9k-v0b {REDACTED}"


def test_what_the_scenario_names_is_no_secret_later():
    """A word of scenario or target is public for as long as the redactor exists."""
    redactor = Redactor()
    redactor.learn({}, ["qX7-zz9k-v0b"])
    redactor.learn_file({"LLM_MODEL": "qX7-zz9k-v0b"})
    assert redactor.text("qX7-zz9k-v0b") == "qX7-zz9k-v0b"


def test_a_secret_that_is_repeated_under_a_harmless_name_stays_one():
    """Only a plain value elsewhere shows that a value is no secret."""
    redactor = Redactor()
    redactor.learn({"DB_PASS": "hunter2!x9", "COPY": "hunter2!x9"})
    assert redactor.text("hunter2!x9") == REDACTED


def test_what_the_gateway_is_found_by_is_no_secret():
    """A part of the target's URL or of a path in use stays, because a later run needs it from the journal."""
    redactor = Redactor()
    redactor.learn_file(
        {"HOST": "gw-7f3a9c21d4", "MASTER_KEY": "gw-7f3a9c21d4!"}, ["https://gw-7f3a9c21d4.corp.example/v1"]
    )
    assert redactor.text("https://gw-7f3a9c21d4.corp.example/v1") == "https://gw-7f3a9c21d4.corp.example/v1"
    redactor.learn_file({"ROOT": "/srv/x-7f3a9c21d4e5f6"})
    assert REDACTED in redactor.text("/srv/x-7f3a9c21d4e5f6/reports")
    redactor.learn({}, ["/srv/x-7f3a9c21d4e5f6/reports"])
    assert redactor.text("/srv/x-7f3a9c21d4e5f6/reports/a") == "/srv/x-7f3a9c21d4e5f6/reports/a"


def test_a_text_that_was_redacted_before_is_redacted_anew_once_a_secret_is_known():
    redactor = Redactor()
    assert redactor.text("status of blue-falcon") == "status of blue-falcon"
    redactor.add("blue-falcon")
    assert redactor.text("status of blue-falcon") == f"status of {REDACTED}"


def test_what_a_redactor_remembers_is_bounded():
    redactor = Redactor()
    for number in range(2 * MOST_REMEMBERED):
        redactor.text(f"text {number}")
    redactor.text("x" * (LONGEST_REMEMBERED + 1))
    assert len(redactor._redacted) <= MOST_REMEMBERED
    assert all(len(text) <= LONGEST_REMEMBERED for text in redactor._redacted)


def test_a_time_to_the_first_token_is_no_token_and_a_text_under_its_name_is_hidden():
    shown = {"first_token": {"limit": 800.0}, "first_token_ms": [1.5, 2.0]}
    assert Redactor().value(shown) == shown
    assert Redactor().value({"first_token": "hunter2hunter2"}) == {"first_token": "[redacted]"}
