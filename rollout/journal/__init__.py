"""The durable, chained record of every rollout, and the leases that say who may change a target now."""

from rollout.journal.chain import Entry
from rollout.journal.endings import AlreadyEnded
from rollout.journal.journal import Journal
from rollout.journal.leases import Lease, LeaseHeld, LeaseLost
from rollout.journal.seen import JournalBehind

__all__ = ["AlreadyEnded", "Entry", "Journal", "JournalBehind", "Lease", "LeaseHeld", "LeaseLost"]
