"""Defects in what decides: closure, gates, leases, endings, watchdog, recovery, emergency, exit codes."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
