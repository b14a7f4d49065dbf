"""The values of a configuration that a driver reads itself, secrets masked as a gateway masks its own."""

from __future__ import annotations

import json
from typing import Any

from rollout.core.plain_values import is_plain
from rollout.core.secret_names import NameKind, classify_name

MASK = "********"


def mask_secret(key: str, value: Any) -> str:
    """Return a value as text; `MASK` for one under the name of a secret, and for a text that may be one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    is_secret = classify_name(key) is NameKind.SECRET or (isinstance(value, str) and not is_plain(value))
    return MASK if is_secret else text
