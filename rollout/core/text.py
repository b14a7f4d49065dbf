"""Text from outside the suite on a line of its own: in a log, a subject, a cell of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rollout.core.units import truncate
from rollout.core.visible import on_one_line

LONGEST = 1000
"""The characters of a gateway's text that a line of a document shows at most."""

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# In a word an underscore marks nothing, and escaped ones are hard to read: ERROR_SPIKE.
_MARKUP = re.compile(r"[\\`*<|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])|&(?=#?\w+;)|(?<!\w)@")
_AT_THE_START = re.compile(r"(?:[#>+=-]|\d{1,9}(?=[.)](?: |$)))")


def one_line(words: object, longest: int = LONGEST) -> str:
    """Return the words on one line, a space for each line break, cut between words after `longest`.

    Terminal sequences, marks that turn the direction of writing and other invisible characters are spelt out.
    """
    seen = on_one_line(_BREAKS.sub(" ", truncate(str(words), 4 * longest)))
    line = " ".join(seen.split())
    return line if len(line) <= longest else truncate(line, longest - 1)


def markdown(words: object) -> str:
    """Return the words on one line of Markdown, as text: nothing in them is markup, nor ends a table's cell."""
    line = _MARKUP.sub(r"\\\g<0>", one_line(words))
    first = _AT_THE_START.match(line)
    if first is None:
        return line
    at = first.end() if first[0][0].isdigit() else 0
    return f"{line[:at]}\\{line[at:]}"


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield a table of Markdown, line by line; what stands in its cells is text."""
    names = list(header)
    yield _row(names)
    yield _row(["---"] * len(names))
    for row in rows:
        yield _row([markdown(cell) for cell in row])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
