"""What a validator accepts, its JSON Schema accepts."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rollout.config import json_values, quantities
from rollout.config.json_values import Validator, json_schema_of
from rollout.core.schemas import commands, validators

FORMS = (
    *("30m", " 1h 30m\t", "1.5s", "0s", "1d2h3m4s5ms", "30", "5ms10s", "none", "5%", " 0.05 ", "1.5 %", "2x", "100 x"),
    *("mon-fri", "Saturday", "SUN - tue", "someday", "22:00", "9:30", "24:00", "25:00", "Europe/Berlin", "UTC"),
    *("2026-12-18", " 2026-12-18 18:00 ", "20261218", "2026-W51-5", "2026-12-18T18:00:00.5", "1999-01-01"),
    *("openai", "gemma3:4b", "openai:gpt-4o", "ollama:gemma3:4b ", "provider:openai", "global", "GLOBAL", "a b", "a/b"),
    *("GATEWAY_TOKEN", "lower_case", "log", "1ST", "PRE-2.1", "pre-4.4", " VER-3", "REV-3", "PRE-9.9", "MON-2"),
    *("/healthz", " /a/{provider}/b ", "/a/{b", "/{provider}{provider}", "/srv/gateway/.env", "./env", "/with space/a"),
    *("https://gateway.example.com", "HTTP://Gateway:8000/ ", "https://[::1]:80", "https://u:p@x", "ftp://x"),
    *("https://t.example.com/{ticket}", "https://t.example.com/?q={ticket}&x=1", "{provider}", "{provider}:{model}"),
    *(
        'up{job="gateway"}',
        'severity="critical"',
        'team=~"a|b"',
        "say pong\nor pung",
        "\u00a0x\u3000",
        "x\u200b",
        "",
        " ",
    ),
)
OTHERS = (1, 0.5, 1.5, 100, True, None, {}, {"type": "object"}, [], ["make", "stop"], ["sat", "SUN"])
SIGNS = "0123456789.dhms%x-:/{}aM T\t\n\u00a0"
SCALARS = (
    st.text(alphabet=SIGNS, max_size=12)
    | st.none()
    | st.booleans()
    | st.integers(min_value=-2, max_value=10**7)
    | st.floats(allow_nan=False, allow_infinity=False)
)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(FORMS), SCALARS, max_size=2)

READERS: dict[str, Validator] = {
    **{f"{read.__module__.rpartition('.')[2]}.{read.__name__}": read for read in json_values.VALUES},
    "commands.template": commands.template("provider", "model"),
    "quantities.whole_number": quantities.whole_number(1),
    "validators.choice": validators.choice("log", "none"),
}
# Each refusal of this one reads the names of all time zones from the disk; its schema accepts any text.
del READERS["quantities.time_zone"]


def accepts(read: Validator, value: Any) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


@cache
def schema_of(read: Validator) -> Draft202012Validator:
    return Draft202012Validator(json_schema_of(read, inner=dict))


def with_another_sign(read: Validator) -> st.SearchStrategy[str]:
    """Return the forms that a validator accepts, each with a sign more or another sign at one place."""
    accepted = [form for form in FORMS if accepts(read, form)]
    places, replaced = st.integers(min_value=0, max_value=20), st.integers(min_value=0, max_value=1)
    return st.builds(
        lambda form, at, sign, length: form[:at] + sign + form[at + length :],
        st.sampled_from(accepted or FORMS),
        places,
        st.sampled_from(SIGNS),
        replaced,
    )


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(data=st.data())
def test_no_schema_refuses_what_its_validator_accepts(name: str, data: st.DataObject):
    read = READERS[name]
    value = data.draw(with_another_sign(read) | ANYTHING)
    if accepts(read, value):
        schema_of(read).validate(value)


@pytest.mark.parametrize("name", READERS)
def test_every_schema_accepts_the_forms_that_its_validator_accepts_and_refuses_another(name: str):
    read, schema = READERS[name], schema_of(READERS[name])
    accepted = [value for value in (*FORMS, *OTHERS) if accepts(read, value)]
    assert accepted
    assert [value for value in accepted if not schema.is_valid(value)] == []
    assert not all(schema.is_valid(value) for value in (*FORMS, *OTHERS))


@pytest.mark.parametrize(
    ("read", "refused"),
    [
        (quantities.seconds, ("30", "1m1h", "30 minutes", "5", "-5s", "30M", "1:30", 30)),
        (quantities.share, (5, 0, 1, "5 percent", True)),
        (quantities.portion, (10, 0, "10x")),
        (quantities.factor, (1, "2%")),
        (quantities.days, ("someday", [], "mon-", "mon-fri-sat")),
        (quantities.time_of_day, ("25:00", "22", 22)),
        (quantities.moment, ("soon", 20261218, "1999-01-01")),
        (validators.text, ("", " ", 1.5, True, None, [], {})),
        (validators.path, ("healthz", "/{provider}", "/a b")),
        (validators.provider_path, ("/activate", "activate/{provider}")),
        (validators.channel, ("mailto://x", "lower")),
        (validators.waivable, ("PRE-1.1", "PRE-9.9", 2.1)),
        (commands.command, ("make stop", [], [True], [""])),
    ],
)
def test_a_value_that_is_no_such_thing_is_refused(read: Validator, refused: tuple[Any, ...]):
    assert [value for value in refused if accepts(read, value)] == []
    assert [value for value in refused if schema_of(read).is_valid(value)] == []
