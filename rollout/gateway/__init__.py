"""The HTTP client of the gateway, sealed by default, and its typed answers."""

import sys

# httpx loads its command line where click and rich are installed: a tenth of a second for what nobody calls here.
# With the module barred, httpx itself goes on without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None bars an import, and typeshed does not know
