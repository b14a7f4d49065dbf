"""Makes the generated page private: it opens from disk and uses no network."""

from __future__ import annotations

import re

from rollout.core.errors import RolloutError

# Allure's "awesome" hard-codes it (allure3 #476).
_ANALYTICS = re.compile(
    r"<script async src=\"https://www\.googletagmanager\.com/[^\"]*\"></script>\s*<script>.*?</script>\s*", re.DOTALL
)
# The generator puts the program before the data. Without the data it asks for files beside the page and stays empty; on
# a busy machine it starts before the data is read.
_PROGRAM = re.compile(r"<script\s+src=\"data:text/javascript")
_OUTSIDE = ("googletagmanager", "google-analytics")

# The page loads nothing from outside of the file, whatever the evidence (a provider's answer, for example) contains.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline' data:; "
    "img-src data: blob:; font-src data:; media-src data: blob:; connect-src data: blob:; frame-src data: blob:; "
    "worker-src data: blob:; form-action 'none'"
)
_HEAD = "<head>"
_TOP, _BODY = "<body>", "</body>"

# The generator scrolls down to the first row that did not pass, past the verdict; where everything passed it shows
# only the root. This script opens the tree and scrolls to its top, for 0.7 s or until the first input.
_FIRST_SIGHT = """<script>
(() => {
  if (location.hash) return;
  const find = (id) => [...document.querySelectorAll(`[data-testid="${id}"]`)];
  let touched = false, opened = 0, seen = 0;
  for (const kind of ["wheel", "keydown", "pointerdown", "touchstart"]) {
    addEventListener(kind, () => { touched = true; }, { once: true, capture: true });
  }
  const open = (arrows) => {
    if (opened === 0 && arrows.length === 1) arrows[0].click();
    if (opened === 1 && !find("tree-leaf").length) arrows.at(-1).click();
    opened += 1;
  };
  const show = () => {
    const arrows = find("tree-arrow");
    if (arrows.length && !seen) seen = Date.now();
    if (touched || (seen && Date.now() > seen + 700)) return;
    if (opened < 2 && arrows.length > opened) open(arrows);
    for (const pane of document.querySelectorAll("[data-tree-scroll-container]")) pane.scrollTop = 0;
    requestAnimationFrame(show);
  };
  show();
})();
</script>
"""


# Allure shows times in the browser's zone; this script shows them in UTC.
_IN_UTC = """<script>
const inUtc = (options = {}) => {
  const named = ["hour", "minute", "second"].some((part) => options[part]);
  return { ...options, timeZone: "UTC", ...(named ? { timeZoneName: "short" } : {}) };
};
for (const name of ["toLocaleString", "toLocaleDateString", "toLocaleTimeString"]) {
  const local = Date.prototype[name];
  Date.prototype[name] = function (language, options) { return local.call(this, language, inUtc(options)); };
}
const Local = Intl.DateTimeFormat;
Intl.DateTimeFormat = function (language, options) { return new Local(language, inUtc(options)); };
Intl.DateTimeFormat.supportedLocalesOf = Local.supportedLocalesOf;
</script>
"""


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
    policy = f'{_HEAD}\n    <meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n{_IN_UTC}'
    html = f"{before}{_FIRST_SIGHT}{end}{after}".replace(_HEAD, policy, 1)
    return html.replace(_TOP, f"{_TOP}\n{above}", 1)
