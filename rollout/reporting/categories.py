"""The categories of results that did not pass, for Allure's report and for every tool that reads raw results."""

from __future__ import annotations

from typing import Any

# The first rule that matches names the row's category.
CATEGORIES = (
    ("Not run", "broken", r"^(NOT RUN|INTERRUPTED)"),
    ("Not run yet", "skipped", r"^NOT RUN YET"),
    ("Waived: it would have failed", "skipped", r"^WAIVED"),
    ("Owed: not fulfilled yet", "skipped", r"^OWED"),
    ("Not applicable: the gateway lacks it", "skipped", r"^NOT APPLICABLE"),
    ("In progress", "skipped", r"^IN PROGRESS"),
    ("Nothing applied", "failed", r"^(NOTHING APPLIED|REFUSED)"),
    ("Rolled back", "failed", r"^ROLLED BACK"),
    ("Rollback failed: a person is needed", "failed", r"^ROLLBACK FAILED"),
    ("A request to the gateway failed", "broken", r"^(GET|POST|PUT|PATCH|DELETE) /"),
    ("Inconclusive to the end", "failed", r"inconclusive, which is never a pass"),
    ("Too little to judge by", "failed", r"which is never a pass"),
)
"""Name, status of the result, and a regular expression that its message contains."""


def raw_categories() -> list[dict[str, Any]]:
    """Return them as ``categories.json`` in a folder of raw results holds them: there, a message matches as a whole."""
    return [
        {"name": name, "matchedStatuses": [status], "messageRegex": _of_the_message(pattern)}
        for name, status, pattern in CATEGORIES
    ]


def _of_the_message(pattern: str) -> str:
    return f"{pattern.removeprefix('^')}.*" if pattern.startswith("^") else f".*{pattern}.*"
