"""Base URLs of gateways: one spelling each, and nothing in them that does not belong there."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

_BASE_PATH = "/api/v1"
_HOST = re.compile(r"[\w.-]+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*", re.ASCII)
_STANDARD_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "write one such as https://gateway.example.com"


def base_url(value: Any) -> str:
    """Return the URL in its one spelling: scheme and host in lower case, no standard port, no trailing slash.

    Raises:
        ValueError: it is no base URL; the message never repeats it where it may hold a secret.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a URL; {_EXAMPLE}")
    if not value.isprintable() or " " in value.strip():
        raise ValueError("holds a space or a control character; remove it")
    parts, port = _split(value.strip())
    host = parts.hostname or ""
    path = parts.path.rstrip("/")
    if path.endswith(_BASE_PATH):
        raise ValueError(f"ends in {_BASE_PATH}, which the suite adds itself; remove it from the URL")
    if not _PATH.fullmatch(path):
        raise ValueError("has a path with doubled slashes or unusual characters; write the base URL only")
    place = f"[{host}]" if ":" in host else host
    standard = port is None or port == _STANDARD_PORTS[parts.scheme]
    return f"{parts.scheme}://{place}{'' if standard else f':{port}'}{path}"


def host_and_port(url: str) -> str:
    """Return ``host:port`` of a base URL, ``host`` alone for the standard port."""
    return urlsplit(url).netloc


def is_loopback(url: str) -> bool:
    """Return whether a base URL can only reach this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> tuple[SplitResult, int | None]:
    if "@" in url:
        # Not shown: what stands before the @ is a secret more often than not.
        raise ValueError("carries a user name or password (an '@'); put the token in an environment variable instead")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"has a host or port that cannot be read; {_EXAMPLE}") from None
    if parts.scheme not in _STANDARD_PORTS or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError(f"must start with http:// or https://; {_EXAMPLE}")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("has a query or a fragment (a '?' or '#'); write the base URL only")
    if not _is_host(parts.hostname or "") or port == 0:
        raise ValueError(f"has no usable host or port; {_EXAMPLE}")
    return parts, port


def _is_host(host: str) -> bool:
    if ":" in host:
        return True  # urlsplit has checked what stands in brackets
    return bool(_HOST.fullmatch(host)) and ".." not in host and not host.startswith((".", "-"))
