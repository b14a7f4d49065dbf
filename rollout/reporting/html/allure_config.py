"""The configuration with which Allure's generator builds ``report.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout.reporting.categories import CATEGORIES

_CHARTS = [
    {"type": "statusDynamics", "title": "The clauses of this rollout and of those before it on this target"},
    {"type": "statusTransitions", "title": "What became better or worse from one rollout to the next"},
]


def report_config(title: str, history: Path | None = None) -> dict[str, Any]:
    """Return Allure's configuration of a report.

    Args:
        title: the report's name.
        history: the file of the target's history, which is read and not written; None for a report without one.
    """
    awesome = {
        "singleFile": True,
        "groupBy": ["epic", "feature"],
        "reportLanguage": "en",
        "sections": ["timeline", "charts"] if history else ["timeline"],
        "charts": _CHARTS,
        "stepTreeExpansion": "expanded",
    }
    rules: list[dict[str, Any]] = [
        {"name": name, "matchers": {"statuses": [status], "message": pattern}} for name, status, pattern in CATEGORIES
    ]
    breached = {"statuses": ["failed"], "labels": {"feature": "Monitor"}}
    rules += [
        {"name": "Trigger breached", "matchers": breached},
        {
            "name": "A check did not pass",
            "id": "_product_errors_default_category",
            "matchers": {"statuses": ["failed"]},
        },
        {"name": "Could not be decided", "id": "_test_errors_default_category", "matchers": {"statuses": ["broken"]}},
    ]
    return {
        "name": title,
        "appendHistory": False,
        **({"historyPath": str(history)} if history else {}),
        "plugins": {"awesome": {"options": awesome}},
        "categories": {"rules": rules},
    }
