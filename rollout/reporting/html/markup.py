"""HTML as a tree of elements, which the standard library escapes when it is serialised."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from rollout.core.visible import show_controls

Part = ET.Element | str
"""What stands inside an element: another one, or text that is escaped and shows its controls."""


def element(tag: str, *parts: Part, **attributes: str) -> ET.Element:
    """Return an element; ``class_`` and ``data_label`` become ``class`` and ``data-label``."""
    made = ET.Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    for part in parts:
        _add(made, part)
    return made


def _add(parent: ET.Element, part: Part) -> None:
    if isinstance(part, ET.Element):
        parent.append(part)
        return
    part = show_controls(part)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + part
    else:
        parent.text = (parent.text or "") + part


def link(url: str, *parts: Part, **attributes: str) -> ET.Element:
    """Return a link that sends no referrer."""
    return element("a", *parts, href=url, rel="noreferrer", **attributes)


def html(*elements: ET.Element) -> str:
    """Return elements as HTML."""
    return "".join(ET.tostring(each, encoding="unicode", method="html") for each in elements)
