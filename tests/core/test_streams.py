"""A stream that never raises because its reader is gone, and whose text all goes through the redaction."""

from __future__ import annotations

import io

from rollout.core.redaction import REDACTED, Redactor
from rollout.core.streams import quiet


def test_what_is_written_goes_through_the_redaction():
    out = io.StringIO()
    stream = quiet(out, Redactor(["correct-horse-battery"]).text)
    assert stream.write("it said correct-horse-battery\n") > 0
    assert out.getvalue() == f"it said {REDACTED}\n"


def test_without_one_it_stays_as_it_is():
    out = io.StringIO()
    quiet(out).write("token=correct-horse")
    assert out.getvalue() == "token=correct-horse"


def test_a_stream_that_is_gone_is_silent_and_stays_so():
    out = io.StringIO()
    out.close()
    stream = quiet(out)
    assert (stream.write("no one"), stream.write("reads it")) == (6, 8)
    stream.flush()
