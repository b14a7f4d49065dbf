"""The kinds of gateways, by which a target names the driver that speaks to it."""

from __future__ import annotations

DEFAULT_KIND = "documented"
"""The kind of a target that states none."""
