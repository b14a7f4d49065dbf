"""A pytest plug-in that leaves the report out of a run: it is not what (a) measures, and (d) measures it alone."""

from __future__ import annotations

import sys
from types import ModuleType

stand_in = ModuleType("rollout.reporting.html")
vars(stand_in).update(built=lambda *_: ("report: left out by the bench", ""), is_installed=lambda _: True)
sys.modules["rollout.reporting.html"] = stand_in
