"""Whether this process runs assert statements, which is what every check judges by."""

from __future__ import annotations

import os


def without_assertions() -> str | None:
    """Return why this process may judge nothing, because its assertions are off; None where they are on."""
    if __debug__:
        return None
    how = "PYTHONOPTIMIZE is set" if os.environ.get("PYTHONOPTIMIZE") else "Python was started with -O"
    return (
        f"{how}, so that Python leaves out every assert statement: no check could fail, and each would pass; "
        "nothing was sent. Unset PYTHONOPTIMIZE, leave out -O, and run it again"
    )
