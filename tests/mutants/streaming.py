"""Defects in how a streamed completion is read and its first token measured."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/gateway/streamed_completions.py",
        "tests/gateway/test_streams.py",
        rows=(
            (
                "if not any(part.is_last for part in parts):",
                "if not parts:",
                "A stream that breaks off is no completion.",
            ),
            (
                "first = next((part for part in parts if part.content), None)",
                "first = next(iter(parts), None)",
                "The first token is the first piece of content, not the first event.",
            ),
            (
                '(part.event.name == _CHUNK and part.document.get("error"))',
                "False",
                "An error in the middle of a stream is a failed request.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/transport.py",
        "tests/gateway/test_streams.py",
        rows=(
            (
                "arrivals.note(body.length, (self._loop.time() - started) * 1000)",
                "arrivals.note(body.length, 0.0)",
                "The first token counts from the request to its arrival.",
            ),
        ),
    ),
)
