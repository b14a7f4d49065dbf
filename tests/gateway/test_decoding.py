"""What an answer decodes to is capped while it arrives, and one content coding at most is decoded."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
import tracemalloc
import zlib

import pytest

from rollout.gateway.decoding import Body, TooLong, Unreadable
from rollout.gateway.transport import Failure, NoAnswer, Transport
from tests.support import liar as lies

CAP = 10_000
TEXT = b'{"status": "success"}'
MEGABYTES = 200
"""What a process may need that meets a bomb; without one it needs some 60."""

MEETS_A_BOMB = """
import sys
from pathlib import Path
from rollout.gateway.transport import NoAnswer, Transport
transport = Transport()
try:
    transport.exchange("GET", sys.argv[1], deadline_s=10)
except NoAnswer as problem:
    print(problem)
# Not `ru_maxrss`: a process begins with its parent's.
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024)
"""


def zeros(megabytes: int) -> bytes:
    """Return so many megabytes of zeros in gzip, without compressing them all."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = pack.compress(b"") + pack.flush(zlib.Z_FULL_FLUSH)
    return start + megabytes * (pack.compress(bytes(1024 * 1024)) + pack.flush(zlib.Z_FULL_FLUSH))


def decoded(coding: str, data: bytes, step: int = 7) -> bytes:
    body = Body(coding, CAP)
    for at in range(0, len(data), step):
        body.feed(data[at : at + step])
    return body.complete()


def raw_deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-15)
    return pack.compress(data) + pack.flush()


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("Identity, GZIP", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT[:5], mtime=0) + gzip.compress(TEXT[5:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
)
def test_one_coding_is_decoded_however_the_pieces_fall(coding, data):
    """A body in no coding or in one decodes to the same, with the frame of zlib or without, in one member or two."""
    assert decoded(coding, data) == decoded(coding, data, step=len(data)) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_without_a_byte_is_empty_whatever_its_coding(coding):
    """An answer to HEAD, or 204, names a coding and has no body."""
    assert decoded(coding, b"") == b""


@pytest.mark.parametrize(
    ("coding", "data", "says"),
    [
        (
            "gzip, gzip",
            gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0),
            "is packed 2 times (Content-Encoding: 'gzip, gzip')",
        ),
        ("br", TEXT, "is packed in a way that was not asked for (Content-Encoding: 'br')"),
        ("zstd", TEXT, "was not asked for"),
        ("gzip", TEXT, "is not the gzip that its Content-Encoding announces"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-4], "ends in the middle of its gzip"),
        ("deflate", bytes(range(255, 200, -1)), "is not the deflate"),
    ],
)
def test_a_body_that_is_not_decoded_has_a_reason(coding, data, says):
    """Several codings, an unknown one, garbage and half a body are refused, and the message names the header."""
    with pytest.raises(Unreadable) as caught:
        decoded(coding, data)
    assert says in str(caught.value)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_the_cap_is_on_what_a_body_decodes_to(coding, pack):
    """A body that decodes to exactly the cap is read; one byte more is refused."""
    assert len(decoded(coding, pack(bytes(CAP)))) == CAP
    with pytest.raises(TooLong):
        decoded(coding, pack(bytes(CAP + 1)))


def test_the_cap_is_on_what_is_received_too():
    """Blocks that hold nothing decode to nothing, and are not received without end."""
    pack = zlib.compressobj(wbits=31)
    empty = pack.compress(b"") + CAP * pack.flush(zlib.Z_FULL_FLUSH)
    with pytest.raises(TooLong):
        decoded("gzip", empty)


@pytest.mark.parametrize(
    ("coding", "bomb", "says"),
    [
        ("gzip, gzip", lambda: gzip.compress(zeros(1600)), "is packed 2 times"),
        ("gzip", lambda: zeros(1024), "is longer than 2097152 bytes"),
    ],
)
def test_a_bomb_is_refused_at_once_and_takes_no_memory(liar, coding, bomb, says):
    """Some kilobytes that decode to more than a gigabyte cost neither that memory nor the deadline."""
    packed = bomb()
    assert len(packed) < 1_200_000
    liar.rule("/x", lies.answer(200, packed, headers={"Content-Encoding": coding}))
    ended = subprocess.run(
        [sys.executable, "-c", MEETS_A_BOMB, f"{liar.url}/x"], capture_output=True, text=True, timeout=60, check=True
    )
    printed, megabytes = ended.stdout.rsplit("\n", 2)[:2]
    assert says in printed
    assert int(megabytes) < MEGABYTES


def test_a_bomb_is_refused_long_before_the_deadline(liar):
    """The refusal comes with the first pieces, as an answer that is not relied on."""
    liar.rule("/x", lies.answer(200, zeros(1024), headers={"Content-Encoding": "gzip"}))
    transport, began = Transport(), time.monotonic()
    with pytest.raises(NoAnswer, match="was not read to its end") as caught:
        transport.exchange("GET", f"{liar.url}/x", deadline_s=10)
    assert time.monotonic() - began < 2
    assert caught.value.failure is Failure.OTHER
    transport.close()


def test_one_piece_decodes_to_no_more_than_the_cap():
    """A single piece of a bomb costs the cap, and not what it would decode to."""
    bomb, body = zeros(64), Body("gzip", 10 * CAP)
    tracemalloc.start()
    with pytest.raises(TooLong):
        body.feed(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024


def test_headers_are_bounded(liar):
    """Headers without end are no answer: not one that is long, and not many that are short."""
    liar.rule("/x", lies.raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % at for at in range(100_000))))
    transport = Transport()
    with pytest.raises(NoAnswer, match="did not answer in proper HTTP"):
        transport.exchange("GET", f"{liar.url}/x", deadline_s=10)
    transport.close()
