"""A deliberate defect of one line, and the tests that must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect.

    Attributes:
        module: the file, from the repository's root.
        line: a fragment of one source line, exactly as it stands, and nowhere else in the file.
        defect: what stands in its place.
        decision: the decision that is broken by it, in one sentence.
        tests: the files or tests that must fail with it, as pytest takes them.
    """

    module: str
    line: str
    defect: str
    decision: str
    tests: tuple[str, ...]
