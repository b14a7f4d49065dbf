"""What an auditor opens: one self-contained ``report.html`` per rollout, told from its results and its journal."""

from __future__ import annotations

from rollout.reporting.html.allure_generator import is_installed
from rollout.reporting.html.assembly import REPORT, build, built, built_plain

__all__ = ["REPORT", "build", "built", "built_plain", "is_installed"]
