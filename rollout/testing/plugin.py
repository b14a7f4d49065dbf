"""The pytest plugin of the conformance kit: its option, and the fixtures by which its tests reach a subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from rollout.core.assertions import without_assertions
from rollout.core.clock import SystemClock
from rollout.core.errors import RolloutError
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.redaction import Redactor
from rollout.core.target import Target, Timeouts
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.protocol import Driver
from rollout.gateway.drivers.registry import load_driver
from rollout.gateway.drivers.selection import driver_of
from rollout.testing.subject import GROUP, Fault, NotOffered, Subject

SHORT_S = 0.3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--driver``."""
    group = parser.getgroup("rollout conformance", "what every driver of a gateway must do")
    group.addoption(
        "--driver", metavar="KIND", default=DEFAULT_KIND, help=f"the driver's kind (default: {DEFAULT_KIND})"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a kind that no package brings, before anything is started.

    Raises:
        pytest.UsageError: its driver or its subject cannot be loaded, or no test could fail in this process.
    """
    if why := without_assertions():
        raise pytest.UsageError(why)
    try:
        load_driver(config.option.driver)
    except RolloutError as problem:
        raise pytest.UsageError(str(problem)) from None
    _load_subject(config.option.driver)


def _load_subject(kind: str) -> type[Subject]:
    found = [each for each in entry_points(group=GROUP) if each.name == kind]
    if len(found) != 1:
        raise pytest.UsageError(
            f"the kit needs a gateway of kind {kind!r} to try its driver on, and {len(found)} packages bring one: let "
            f'one package declare the entry point `{kind} = "MODULE:CLASS"` in the group "{GROUP}"; '
            "`rollout.testing.subject` says what the class offers"
        )
    subject: type[Subject] = found[0].load()
    return subject


class Broken:
    """Breaks the subject, and mends it when the test ends."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @contextmanager
    def by(self, fault: Fault) -> Iterator[None]:
        """Break it for the duration of a block; the test is skipped, with the reason, where it cannot be."""
        try:
            self._subject.break_down(fault)
        except NotOffered as reason:
            pytest.skip(f"{fault}: {reason}")
        try:
            yield
        finally:
            self._subject.heal()


@pytest.fixture(scope="session")
def _started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Subject, Target]]:
    subject = _load_subject(request.config.option.driver)()
    folder: Path = tmp_path_factory.mktemp("subject")
    target = subject.start(folder)
    try:
        yield subject, target
    finally:
        subject.stop()


@pytest.fixture
def subject(_started: tuple[Subject, Target]) -> Subject:
    """The gateway under test; it is started once a session, and each test leaves it as it was."""
    return _started[0]


@pytest.fixture
def subject_target(_started: tuple[Subject, Target]) -> Target:
    """The target that describes it."""
    return _started[1]


@pytest.fixture
def driver(subject_target: Target) -> Driver:
    """The driver under test."""
    return driver_of(subject_target)


@pytest.fixture
def client(subject_target: Target) -> Iterator[Gateway]:
    """The suite's client over the driver's reads."""
    with closing(Gateway(subject_target, clock=SystemClock(), redactor=Redactor())) as connected:
        yield connected


@pytest.fixture
def hurried(subject_target: Target) -> Iterator[Gateway]:
    """A client with short deadlines, for calls that are never answered."""
    short = replace(subject_target, timeouts=Timeouts(SHORT_S, SHORT_S, SHORT_S))
    with closing(Gateway(short, clock=SystemClock(), redactor=Redactor())) as connected:
        yield connected


@pytest.fixture
def broken(subject: Subject) -> Broken:
    """What breaks the subject."""
    return Broken(subject)
