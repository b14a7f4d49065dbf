"""The page's server: one page, its state as server-sent events, and the documents of the evidence, all read-only."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rollout.core.errors import JournalError
from rollout.reporting.html.index import INDEX
from rollout.serve.board import Board

EVERY_S = 0.5
"""How often the journal is read while a page is open."""

HOSTS = ["127.0.0.1", "localhost"]
"""The names by which a browser may ask: a page of another site, whose name leads here, gets no answer."""

DOCUMENTS = frozenset({".html", ".md", ".json", ".xml", ".svg", ".png", ".csv"})
"""The kinds of files that are served: none of the evidence's copies of configuration is one."""

PAGE = Path(__file__).with_name("page")
_REPORT = "change-record.json"
_UNCACHED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_HEADERS = {
    **_UNCACHED,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'none'; base-uri 'none'",
}


class StateReader:
    """Reads the board for every page that is open, one after the other."""

    def __init__(self, board: Board, reports: Path) -> None:
        """Begin with nothing read; `reports` is the folder that the index lies in."""
        self._board, self._index, self._lock = board, reports / INDEX, threading.Lock()
        self._latest: dict[str, Any] = {"rollouts": [], "owed": [], "closed": 0, "read_at": "", "has_index": False}

    def read(self) -> dict[str, Any]:
        """Return the state as it is now; the latest with the reason where the journal cannot be read."""
        with self._lock:
            try:
                self._latest = {**self._board.refresh(), "has_index": self._index.is_file()}
            except JournalError as error:
                return {**self._latest, "trouble": f"the journal cannot be read, and is tried again: {error}"}
            return self._latest


def build_application(board: Board, reports: Path, is_ending: Callable[[], bool] = lambda: False) -> Starlette:
    """Return the application.

    Args:
        board: what the page shows.
        reports: the folder of the evidence; only the index and documents of rollouts are served from it.
        is_ending: returns whether the server is to end, which open pages must not delay.
    """
    reader = StateReader(board, reports)

    async def state(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(reader.read), headers=_HEADERS)

    async def events(_: Request) -> Response:
        return StreamingResponse(_stream(reader, is_ending), media_type="text/event-stream", headers=_HEADERS)

    async def document(request: Request) -> Response:
        found = find_document(reports, request.path_params["path"])
        if found is None:
            raise HTTPException(404, "there is no such document of a rollout")
        return FileResponse(found, headers=_UNCACHED)

    return Starlette(
        routes=[
            Route("/", partial(_send, "index.html")),
            Route("/page.css", partial(_send, "page.css")),
            Route("/page.js", partial(_send, "page.js")),
            Route("/favicon.ico", _send_nothing),
            Route("/state.json", state),
            Route("/events", events),
            Route("/reports/{path:path}", document),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    )


async def _send(name: str, _: Request) -> Response:
    return FileResponse(PAGE / name, headers=_HEADERS)


async def _send_nothing(_: Request) -> Response:
    return Response(status_code=204)


async def _stream(reader: StateReader, is_ending: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield the state as server-sent events, when it is another one than before."""
    before = ""
    while not is_ending():
        now = json.dumps(await run_in_threadpool(reader.read))
        if now != before:
            yield f"data: {now}\n\n"
        before = now
        await asyncio.sleep(EVERY_S)


def find_document(reports: Path, path: str) -> Path | None:
    """Return the file of a document: of the index, or in the folder of a rollout; None for every other path."""
    parts = Path(path).parts
    is_plain = parts and all(not part.startswith(".") for part in parts) and not Path(path).is_absolute()
    found = reports.joinpath(*parts)
    if not is_plain or found.suffix not in DOCUMENTS or found.is_symlink() or not found.is_file():
        return None
    is_of_rollout = len(parts) > 1 and (reports / parts[0] / _REPORT).is_file()
    return found if len(parts) == 1 or is_of_rollout else None
