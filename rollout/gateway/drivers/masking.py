"""The values of a configuration that a driver reads itself, secrets masked as a gateway masks its own."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rollout.core.plain_values import is_plain
from rollout.core.secret_names import NameKind, classify_name

MASK = "********"
MASKED_VALUES = "masked values"
"""The key of a configuration whose value shows that a masked value was changed, and none of them."""

_DIGEST_BYTES = 6
_ITERATIONS = 100_000


def mask_secret(key: str, value: Any) -> str:
    """Return a value as text; `MASK` for one under the name of a secret, and for a text that may be one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    is_secret = classify_name(key) is NameKind.SECRET or (isinstance(value, str) and not is_plain(value))
    return MASK if is_secret else text


def digest_masked(found: Mapping[str, Any], salt: str) -> str | None:
    """Return a digest of all values together that are masked; None where none is.

    It is slow to compute, so that a guessed value takes long to confirm. Of values that are read again it is kept.

    Args:
        found: key -> value, as it is before it is masked.
        salt: tells one configuration from another, such as the path of its file.
    """
    masked = {key: value for key, value in found.items() if mask_secret(key, value) == MASK}
    return _digest(json.dumps(masked, sort_keys=True, default=str), salt) if masked else None


@functools.lru_cache(maxsize=8)
def _digest(text: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ITERATIONS, _DIGEST_BYTES).hex()
