"""A known text is found however it is spelt, and what is found is exactly where it stands."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import string
import textwrap
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.spellings import Spellings

SECRET = 'Zq7/Lw+3="Vx9&Tb5<Rk2%Pm8\\Gdö'
HERE = "⟨here⟩"


def hidden(text: str, *secrets: str) -> str:
    return Spellings(secrets or (SECRET,)).replaced(text, HERE)


def as_unicode(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


def separated(data: bytes, by: str) -> str:
    return by.join(f"{each:02x}" for each in data)


BYTES = SECRET.encode()
SPELT = {
    "as it is": SECRET,
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON, unescaped": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(SECRET))[1:-1],
    "JSON, a stroke escaped": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "unicode escapes": as_unicode(SECRET),
    "some unicode escapes": "".join(as_unicode(c) if i % 3 == 0 else c for i, c in enumerate(SECRET)).replace(
        "\\G", "\\\\G"
    ),
    "unicode escapes in capitals": as_unicode(SECRET).upper().replace("\\U", "\\u"),
    "hexadecimal escapes": "".join(f"\\x{ord(each):02x}" for each in SECRET),
    "repr": repr(SECRET)[1:-1],
    "repr of bytes": repr(BYTES)[2:-1],
    "named entities": html.escape(SECRET),
    "decimal entities": "".join(f"&#{ord(each)};" for each in SECRET),
    "hexadecimal entities": "".join(f"&#x{ord(each):X};" for each in SECRET),
    "entities of entities": html.escape(html.escape(SECRET)),
    "Markdown": re.sub(r"[^\wö]", r"\\\g<0>", SECRET),
    "percent": quote(SECRET, safe=""),
    "percent in small letters": "".join(f"%{each:02x}" for each in BYTES),
    "percent twice": quote(quote(SECRET, safe=""), safe=""),
    "percent three times": quote(quote(quote(SECRET, safe=""), safe=""), safe=""),
    "percent in JSON in HTML": html.escape(json.dumps(quote(SECRET, safe="/"))),
    "hexadecimal": BYTES.hex(),
    "hexadecimal in capitals": BYTES.hex().upper(),
    "hexadecimal with colons": separated(BYTES, ":"),
    "hexadecimal with blanks": separated(BYTES, " ").upper(),
    "hexadecimal after an odd digit": f"a{BYTES.hex()}",
    "a list of bytes": ", ".join(f"0x{each:02x}" for each in BYTES),
    "wrapped": "\n".join(textwrap.wrap(SECRET, 7)),
    "wrapped and indented": "\r\n\t    ".join(textwrap.wrap(SECRET, 5)),
    "wrapped in JSON": json.dumps("\n  ".join(textwrap.wrap(SECRET, 7))),
    "base64 wrapped": base64.encodebytes(BYTES * 3).decode(),
    "base32": base64.b32encode(BYTES).decode(),
    "base32 in small letters": base64.b32encode(BYTES).decode().lower(),
    "base32 after others": base64.b32encode(b"user:" + BYTES + b":x").decode(),
}


@pytest.mark.parametrize("name", SPELT)
def test_it_is_found_in_every_spelling(name):
    """One text, each way to write it: as it is, escaped, within other escapes, packed, and over several lines."""
    left = hidden(f"before {SPELT[name]} after")
    assert HERE in left
    own = left.replace(HERE, "").removeprefix("before").removesuffix("after").strip(" a=\"'&quot;\n")
    assert len(own) <= 12
    assert left.startswith("before ")
    assert left.endswith(" after")


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", ["", ":", "::"])
@pytest.mark.parametrize("pack", [base64.b64encode, base64.urlsafe_b64encode, base64.b32encode])
@pytest.mark.parametrize("padded", [True, False])
def test_it_is_found_packed_at_every_place(before, after, pack, padded):
    """What stands before it and behind it moves its bits; padding there may be or not."""
    packed = pack(b"u" * before + BYTES + after.encode()).decode()
    left = hidden(packed if padded else packed.rstrip("="))
    assert HERE in left
    assert len(left.replace(HERE, "").rstrip("=")) <= 14


def test_what_stands_around_it_stays_as_it_is():
    """Escapes that belong to other words are not resolved in what is left."""
    text = f"a&amp;b %41 \\u0041\n  {quote(SECRET, safe='')}\n\tC:\\new &#65;"
    assert hidden(text) == f"a&amp;b %41 \\u0041\n  {HERE}\n\tC:\\new &#65;"


def test_of_two_the_longer_one_goes_completely():
    """Where one is the beginning of another, nothing of the longer one is left."""
    assert hidden("x abcd-1234-and-more y", "abcd-1234", "abcd-1234-and-more") == f"x {HERE} y"


def test_a_blank_in_it_may_be_wrapped():
    """A phrase is found over two lines, and as a form sends it."""
    for spelt in (
        "correct horse battery",
        "correct horse\n    battery",
        "correct+horse+battery",
        "correct%20horse%20battery",
    ):
        assert hidden(f"<{spelt}>", "correct horse battery") == f"<{HERE}>"


def test_one_of_several_lines_is_found_line_by_line():
    """A key in a file is quoted by pieces, and each of its lines is one."""
    key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEAx9Y8z7W6v5\nU4t3S2r1Q0p9O8n7M6l5K4j3\n-----END KEY-----"
    assert hidden("line 2: U4t3S2r1Q0p9O8n7M6l5K4j3 ends", key) == f"line 2: {HERE} ends"
    assert hidden(json.dumps({"key": key}), key) == f'{{"key": "{HERE}"}}'


def test_a_short_one_is_found_alone():
    """A short text counts only where no letter or digit is beside it: else it would be found by chance."""
    one = Spellings((), alone=("hunter2",))
    assert one.replaced("(hunter2) hunter22 xhunter2 %68unter2", HERE) == f"({HERE}) hunter22 xhunter2 {HERE}"


def test_nothing_is_found_where_nothing_is_known():
    """Without a known text, a text stays as it is, whatever its escapes."""
    assert Spellings(()).replaced("%41 \\u0041 &amp;\n", HERE) == "%41 \\u0041 &amp;\n"


@given(st.text(st.sampled_from("ab\\u0041%&#x;/\n \t=ö\U0001f600x"), max_size=60), st.sampled_from(sorted(SPELT)))
def test_whatever_stands_around_it_it_is_found(around, name):
    """No text before or behind it keeps it from being found, and none breaks the search."""
    if name == "as it is":
        assert HERE in hidden(f"{around} {SPELT[name]} {around}")
    hidden(f"{around}{SPELT[name]}{around}")


@pytest.mark.parametrize(
    "text",
    [
        *("\n", " ", "\\", "%25", "%", "&#65;", "&", "\\u0041", "ab:", "a", "0", '"a": 1,\n', "x+ "),
        "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=1000)),
    ],
)
def test_a_long_text_takes_no_time(text):
    """Fifty secrets are searched for in 250 kB of any text in well under half a second, on a machine of its own."""
    dice = random.Random(2)
    secrets = ["".join(dice.choices(string.ascii_letters + string.digits, k=32)) for _ in range(50)]
    known, long = Spellings(secrets), (text * 250_000)[:250_000]
    began = time.process_time()
    known.replaced(long, HERE)
    # Where the suite runs, others do; what is excluded is quadratic time, which would be minutes a megabyte.
    assert time.process_time() - began < 1
