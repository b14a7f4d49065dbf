"""The installed browser that shows pages to tests, and takes the pictures of the documents."""

from __future__ import annotations

import shutil

# The first has no window at all: a page costs it half of the processor time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)
