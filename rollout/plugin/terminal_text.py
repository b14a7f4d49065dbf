"""Text on the terminal of a pytest run: control characters are spelt out, and the only styles are pytest's own.

Everything that pytest prints passes its `TerminalWriter`, which has text and style apart. There the text is spelt out
(`rollout.core.visible`), and a style is marked with a random word until it is sent.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from rollout.core.streams import quiet
from rollout.core.visible import for_terminal, on_one_line


def guard(writer: Any, redact: Callable[[str], str]) -> None:
    """Let nothing through pytest's `TerminalWriter` that is neither text nor a style that it made itself.

    Args:
        writer: the reporter's writer; it falls silent once its reader has left.
        redact: removes secrets from what is written.
    """
    escape = secrets.token_hex(8)
    style, send = writer.markup, writer.write_raw

    def markup(text: str, **styles: bool) -> str:
        # A line of progress is written over the one before it.
        again = "\r" if text.startswith("\r") else ""
        styled: str = style(f"{again}{for_terminal(text.removeprefix(again))}", **styles)
        return styled.replace("\x1b", escape)

    def write_raw(text: str, *, flush: bool = False) -> None:
        send(text.replace(escape, "\x1b"), flush=flush)

    writer.markup, writer.write_raw = markup, write_raw
    writer._file = quiet(writer._file, redact)  # noqa: SLF001 - pytest has no public way to it


def guard_logs(plugin: Any, redact: Callable[[str], str]) -> None:
    """Let nothing into pytest's ``--log-file`` and live log that is not redacted and spelt out.

    Args:
        plugin: pytest's logging plugin.
        redact: removes secrets from what is written.
    """
    live, file = plugin.log_cli_handler, plugin.log_file_handler
    # Without the colours of levels: within a line they look the same as control characters of a message.
    plain = live.formatter and logging.Formatter(live.formatter._fmt, live.formatter.datefmt)  # noqa: SLF001 - likewise
    for handler, formatter in ((live, plain), (file, file.formatter)):
        handler.setFormatter(_Guarded(formatter or logging.Formatter(), redact))


class _Guarded(logging.Formatter):
    """A formatter whose lines are redacted and spelt out."""

    def __init__(self, formatter: logging.Formatter, redact: Callable[[str], str]) -> None:
        """Format as `formatter` does."""
        super().__init__()
        self._formatter, self._redact = formatter, redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return for_terminal(self._redact(self._formatter.format(record)))


def refuse_copies(option: Any) -> None:
    """Refuse the options of pytest that send or write what passes no redaction.

    Raises:
        UsageError: names the option.
    """
    asked = {
        "--pastebin": getattr(option, "pastebin", None),
        "--debug": getattr(option, "debug", None),
        "--capture=tee-sys": getattr(option, "capture", None) == "tee-sys",
    }
    for name, value in asked.items():
        if value:
            raise pytest.UsageError(
                f"{name} would put out what checks and libraries say with the secrets in it; leave it out: the "
                "evidence of a run is in its report"
            )


class OneLine:
    """pytest's reporter for the closing block: each of its lines stays one line, whatever its text."""

    def __init__(self, reporter: Any) -> None:
        """Write through `reporter`."""
        self._reporter = reporter

    def write_line(self, text: str, **styles: bool) -> None:
        """Write one line."""
        self._reporter.write_line(on_one_line(text), **styles)

    def write_sep(self, sign: str, title: str, **styles: bool) -> None:
        """Write a line with a title in it."""
        self._reporter.write_sep(sign, on_one_line(title), **styles)

    def flush(self) -> None:
        """Send what is written."""
        self._reporter.flush()
