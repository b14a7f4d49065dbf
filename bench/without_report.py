"""A pytest plug-in that leaves the report out of a run: only (d) measures it."""

from __future__ import annotations

import sys
from types import ModuleType

STAND_INS = {
    "rollout.reporting.html.assembly": {"built": lambda *_: ("report: left out by the bench", "")},
    "rollout.reporting.html.allure_generator": {"fetch_notice": lambda _: ""},
}
for name, parts in STAND_INS.items():
    stand_in = ModuleType(name)
    vars(stand_in).update(parts)
    sys.modules[name] = stand_in
