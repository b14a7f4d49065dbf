"""What an auditor opens: one self-contained ``report.html`` per rollout, told from its results and its journal."""

from __future__ import annotations

from rollout.report.assembly import REPORT, build, built, built_plain
from rollout.report.node import is_installed

__all__ = ["REPORT", "build", "built", "built_plain", "is_installed"]
