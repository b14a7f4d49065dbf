"""A provider that takes effect only after a restart, on either side; and a service that takes long to start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from tests.support.forks import Server
from tests.torture.cases import Case, Work
from tests.torture.support import SETTLES_WITHIN_S, Bench, Shape, examined
from tests.torture.truth import at_most_one_ending, true_code, undone

SIDES: Mapping[str, tuple[str, ...]] = {
    "the new provider": ("openai",),
    "the previous provider": ("ollama",),
    "either provider": ("openai", "ollama"),
}
STARTS_IN_S, ALLOWED_S, BY_DEFAULT_S = 4.0, 8.0, 1.5
"""Seconds that the service takes to start, that the target allows, and that are allowed by default."""

SHORT_DEFAULT = ((r"(startup_s: float = )15\.0", rf"\g<1>{BY_DEFAULT_S}"), (r"\bor 15\.0", f"or {BY_DEFAULT_S}"))
REAL_S, REALLY_ALLOWED = 40.0, "60s"


def cases() -> Iterator[Case]:
    """Return every case."""
    for side, breach in product(SIDES, (False, True)):
        end = "breached" if breach else "kept"
        for shape in (Shape.PROVIDER, Shape.THREE):
            what = f"restarting, {shape}, {end}: {side} needs a restart"
            yield Case(f"{what}, stated", _restarting(side, shape, breach=breach, stated=True))
        yield Case(
            f"restarting, provider, {end}: {side} needs a restart, not stated",
            _restarting(side, Shape.PROVIDER, breach=breach, stated=False),
        )
    for shape, breach in product((Shape.PROVIDER, Shape.ENVIRONMENT, Shape.THREE), (False, True)):
        what = f"starting, {shape}, {'breached' if breach else 'kept'}: it takes"
        yield Case(f"{what} longer than is allowed by default", _starting(shape, breach=breach))
    yield Case(f"starting, provider, kept: it takes {REAL_S:g} s", _starting(Shape.PROVIDER, breach=False, real=True))
    yield Case(
        f"starting, environment, breached: it takes {REAL_S:g} s", _starting(Shape.ENVIRONMENT, breach=True, real=True)
    )


def _restarting(side: str, shape: Shape, *, breach: bool, stated: bool) -> Work:
    def work(server: Server, folder: Path) -> None:
        settings = {"restart_providers": list(SIDES[side])}
        with Bench(server, folder, breach=breach, shape=shape, settings=settings, service=True) as bench:
            if stated:
                bench.target["providers"] = {name: {"restart": True} for name in SIDES[side]}
            code = bench.begin().wait(3 * SETTLES_WITHIN_S)
            # The target does not state that the new provider needs a restart: it may be refused and rolled back.
            may_fail = not stated and "openai" in SIDES[side]
            _judge(bench, code, {10} if breach else {0, 10} if may_fail else {0})

    return work


def _starting(shape: Shape, *, breach: bool, real: bool = False) -> Work:
    def work(server: Server, folder: Path) -> None:
        settings: dict[str, Any] = {"startup_s": REAL_S if real else STARTS_IN_S}
        if shape is Shape.PROVIDER:
            settings["restart_providers"] = ["openai", "ollama"]
        rewrites = () if real else SHORT_DEFAULT
        with Bench(
            server, folder, breach=breach, shape=shape, settings=settings, service=True, rewrites=rewrites
        ) as bench:
            bench.target["startup"] = REALLY_ALLOWED if real else f"{ALLOWED_S:g}s"
            if shape is Shape.PROVIDER:
                bench.target["restart"] = True
            code = bench.begin().wait(3 * SETTLES_WITHIN_S + 4 * settings["startup_s"])
            _judge(bench, code, {10} if breach else {0})

    return work


def _judge(bench: Bench, code: int, wanted: set[int]) -> None:
    bench.settle()
    if code != 0:
        undone(bench)
    true_code(bench, code)
    assert code in wanted, f"exit code {code}\n{bench.output}"
    at_most_one_ending(bench)
    with bench.journal() as journal:
        examined(bench, journal)
