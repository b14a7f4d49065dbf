"""Check that the record is as it was written, and that its verdicts follow from its samples."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.core.errors import ExitCode, RolloutError

if TYPE_CHECKING:
    from rollout.audit.verification import Examination
    from rollout.journal.journal import Journal

_HEAD = re.compile(r"([1-9][0-9]{0,17}):(?:sha256:)?([0-9a-f]{64})", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout verify-journal``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument("id", nargs="?", help="the rollout's id (default: all of them)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--allowed-signers", metavar="FILE", type=Path, help="who may have sealed, as ssh-keygen(1) lists signers"
    )
    parser.add_argument(
        "--archive", metavar="FILE", type=Path, help="verify this archive of `rollout prune` instead, without a journal"
    )
    parser.add_argument("--head", metavar="SEQ:HASH", help="where the journal ended, from a notification")


def examine_file(args: argparse.Namespace) -> Examination:
    """Examine the archive that the options name; no journal is opened.

    Raises:
        RolloutError: it is no archive, or the options name a rollout or a head of a journal as well.
    """
    from rollout.audit.archive import examine_archive  # noqa: PLC0415 - heavy, and only here

    if args.id is not None or args.head is not None:
        raise RolloutError("--archive verifies one file without a journal; leave the rollout's id and --head out")
    _refuse_missing_signers(args)
    return examine_archive(args.archive, args.allowed_signers)


def _refuse_missing_signers(args: argparse.Namespace) -> None:
    if args.allowed_signers is not None and not args.allowed_signers.is_file():
        raise RolloutError(f"{args.allowed_signers}: there is no such list of allowed signers (see ssh-keygen(1))")


def examine_journal(args: argparse.Namespace, journal: Journal, announce: Callable[[str], None]) -> Examination:
    """Examine what the options name.

    Args:
        args: the options.
        journal: the journal.
        announce: receives what is done next.

    Raises:
        RolloutError: there is no such rollout or list of signers, or the head is none.
    """
    from rollout.audit.verification import Question, examine  # noqa: PLC0415 - heavy, and only here

    # Before the chain is read: a mistyped option is no finding.
    _refuse_missing_signers(args)
    head = None if args.head is None else _head(args.head)
    question = Question(args.reports, args.id, args.allowed_signers, head)
    examination = examine(journal, question, announce)
    if args.id is not None and examination.head and args.id not in journal.rollouts():
        raise RolloutError(f"there is no rollout {args.id!r}; `rollout status --all` lists them")
    return examination


def print_findings(args: argparse.Namespace, examination: Examination) -> int:
    """Print the findings, and return 0 where nothing was altered, else 1."""
    sys.stdout.write(json.dumps(examination.facts(), indent=2) + "\n" if args.json else text(examination))
    return 0 if examination.is_whole else ExitCode.CHECK_FAILED


def text(examination: Examination) -> str:
    """Return the text for the terminal: one line a finding, what was checked, and what is not claimed."""
    checked = ", ".join(f"{what} {number}" for what, number in examination.checked.items())
    word = "whole" if examination.is_whole else f"NOT WHOLE, {len(examination.findings)} found"
    lines = (
        *(f"ALTERED  {finding}" for finding in examination.findings),
        f"{word}: {checked or 'nothing was checked'}",
        *([f"head     {examination.head}"] if examination.head else []),
        *(f"not claimed: {line}" for line in examination.unclaimed),
    )
    return "\n".join(lines) + "\n"


def _head(text_: str) -> tuple[int, str]:
    found = _HEAD.fullmatch(text_.strip())
    if found is None:
        raise RolloutError(f"--head: {text_!r} is no head; write it as the notification does, SEQ:HASH (64 hex digits)")
    return int(found[1]), found[2]
