"""Makes the generated page private: it opens from disk and uses no network."""

from __future__ import annotations

import re

from rollout.core.errors import RolloutError
from rollout.reporting.rendering import render

# Allure's "awesome" hard-codes it (allure3 #476).
_ANALYTICS = re.compile(
    r"<script async src=\"https://www\.googletagmanager\.com/[^\"]*\"></script>\s*<script>.*?</script>\s*", re.DOTALL
)
# The generator puts the program before the data. Without the data it asks for files beside the page and stays empty; on
# a busy machine it starts before the data is read.
_PROGRAM = re.compile(r"<script\s+src=\"data:text/javascript")
_OUTSIDE = ("googletagmanager", "google-analytics")

_HEAD = "<head>"
_TOP, _BODY = "<body>", "</body>"


def private(html: str, above: str = "") -> str:
    """Return the page without the generator's analytics, unable to load anything from outside of itself.

    Its program waits until the data in the page is read.

    Args:
        html: the page, as generated.
        above: HTML for the top of the page.

    Raises:
        RolloutError: the page is not built as this version of the generator builds it: its privacy is not proven.
    """
    html, removed = _ANALYTICS.subn("", html)
    html, deferred = _PROGRAM.subn('<script defer src="data:text/javascript', html)
    before, end, after = html.rpartition(_BODY)
    unknown = _HEAD not in html or _TOP not in html or not end
    if removed != 1 or not deferred or unknown or any(word in html for word in _OUTSIDE):
        raise RolloutError(
            "the generated page is built in an unknown way; its analytics tag or its program was not found"
        )
    html = f"{before}{render('report-foot.html')}{end}{after}"
    html = html.replace(_HEAD, f"{_HEAD}\n{render('report-head.html')}", 1)
    return html.replace(_TOP, f"{_TOP}\n{above}", 1)
