"""Asks the first screen of a report an auditor's questions, at the sizes of a desk and of a phone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.browser.reader import Reader

DESK, PHONE = (1400, 900), (390, 844)

_IS_IN_VIEW = """element => {
  const box = element.getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
}"""
_SCROLLING_PANES = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const style = getComputedStyle(element);
  const down = /auto|scroll/.test(style.overflowY) && element.scrollHeight > element.clientHeight + 1;
  const aside = /auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
  return element.clientHeight > 1 && (down || aside);
}).map((element) => element.outerHTML.slice(0, 120))"""


def assert_answers(reader: Reader, report: Path, verdict: str, answers: Mapping[str, str], *, chart: bool) -> None:
    """Assert that the first screen has the answers at both sizes, and that the page sends no request.

    Args:
        reader: opens the page.
        report: its file.
        verdict: the banner's text, as a pattern.
        answers: question -> a pattern that its answer contains.
        chart: whether the rollout has a window, whose chart is on the first screen of a desk.
    """
    for size in (DESK, PHONE):
        _assert_answers_at(reader, report, size, {"": verdict, **answers})
        assert reader.page.evaluate("document.documentElement.scrollWidth") <= size[0], size
        if size == DESK:
            image = reader.answers.locator("img")
            assert image.count() == chart
            assert not chart or (image.evaluate(_IS_IN_VIEW) and image.evaluate("image => image.naturalWidth") > 500)
        else:
            assert reader.page.evaluate(_SCROLLING_PANES) == []
    assert reader.outside == []
    assert reader.complaints == []


def _assert_answers_at(reader: Reader, report: Path, size: tuple[int, int], answers: Mapping[str, str]) -> None:
    reader.page.set_viewport_size({"width": size[0], "height": size[1]})
    reader.open(report)
    for question, pattern in answers.items():
        place = reader.answer(question) if question else reader.banner
        assert place.count() == 1, f"{question!r} is not answered at {size}: {reader.answers.inner_text()}"
        text = place.inner_text()
        assert re.search(pattern, text), f"{question!r} at {size}: {pattern!r} is not in {text!r}"
        assert place.evaluate(_IS_IN_VIEW), f"{question!r} is not on the first screen of {size}: {text!r}"
