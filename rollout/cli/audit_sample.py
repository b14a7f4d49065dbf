"""``rollout audit-sample``: choose rollouts for an audit by a seed, and pack their evidence into one archive."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from rollout.cli.journal_options import open_journal
from rollout.cli.since import read_since
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.core.visible import on_one_line
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.reporting.audit_sample import SampleRequest, pack_sample
from rollout.reporting.rollout_facts import RolloutFacts, all_of


def run(args: argparse.Namespace) -> int:
    """Choose and pack, print what was chosen and what is missing, and return 0.

    Raises:
        RolloutError: the size is below 1, no rollout fits, or something cannot be read or written.
    """
    if args.size < 1:
        raise RolloutError(f"-n: {args.size} rollouts are no sample; write 1 or more")
    with open_journal(args) as journal:
        since = None if args.since is None else read_since(args.since, journal.now())
        request = SampleRequest(args.seed, args.size, args.target, None if since is None else format_utc(since))
        found = [each for each in all_of(journal) if _fits(each, args.target, since)]
        packed = pack_sample(request, found, args.reports, args.out.absolute(), journal.head_text(), _archived(journal))
    for rollout in packed.chosen:
        why = packed.missing.get(rollout)
        sys.stdout.write(f"{rollout}{f'  NOT PACKED: {on_one_line(why)}' if why else ''}\n")
    asked = "" if len(packed.chosen) == args.size else f", which are all: {args.size} were asked for"
    sys.stdout.write(
        f"{len(packed.chosen)} of a population of {packed.fits}, seed {on_one_line(args.seed)}{asked}\n"
        f"{packed.archive}  SHA-256 {packed.sha256}\n"
    )
    return 0


def _fits(each: RolloutFacts, target: str | None, since: datetime | None) -> bool:
    """Return whether a rollout is of the population; one that cannot be read names no target and is always of it."""
    if since is not None and each.opened and datetime.fromisoformat(each.opened) < since:
        return False
    return not each.target or target in (None, each.target)


def _archived(journal: Journal) -> dict[str, str]:
    return {entry.rollout: str(entry.body["archive"]) for entry in journal.entries(None, Kind.PRUNED)}
