"""``rollouts.csv`` and ``rollouts.json``: the population with every column, for spreadsheets and auditors' programs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.core.clock import format_utc
from rollout.core.visible import show_all, show_controls
from rollout.reporting.rollout_facts import COLUMNS, RolloutFacts, numbers

CSV, JSON = "rollouts.csv", "rollouts.json"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet may take for a formula."""


def write_table(found: Sequence[RolloutFacts], reports: Path, now: datetime, head: str) -> None:
    """Write both files into the folder of reports.

    Args:
        found: the population, in the order of the files.
        reports: the folder.
        now: the time of the files.
        head: where the journal ended, as ``verify-journal --head`` reads it.

    Raises:
        OSError: one cannot be written.
    """
    replace_file(reports / CSV, to_csv(found))
    replace_file(reports / JSON, to_json_text(found, now, head))


def to_csv(found: Sequence[RolloutFacts]) -> str:
    """Return the population as CSV, one row a rollout; several values of a cell are separated by ``; ``."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in each.facts().values()] for each in found)
    return out.getvalue()


def to_json_text(found: Sequence[RolloutFacts], now: datetime, head: str) -> str:
    """Return the population as JSON: ``as_of``, ``journal_head``, ``numbers`` and ``rollouts``."""
    document = {
        "as_of": format_utc(now),
        "journal_head": head,
        "numbers": [asdict(each) for each in numbers(found)],
        "rollouts": [each.facts() for each in found],
    }
    return json.dumps(show_all(document), indent=2, ensure_ascii=False) + "\n"


def _cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula; what is not known is empty."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return str(value)
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return show_controls(f"'{text}" if text.startswith(_FORMULA) else text, keep="\n")


def replace_file(path: Path, text: str) -> Path:
    """Write a file beside, and let it take the place of `path` in one step; return `path`.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{os.getpid()}-{path.name}")
    new.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
    return new.replace(path)
