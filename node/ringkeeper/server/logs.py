"""The log: one line an event, on standard error or in a file, with Redis's levels and line format."""

from __future__ import annotations

import logging
import os
import sys
import time

LEVELS = {
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG + 5,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "nothing": logging.CRITICAL + 1,
}
MARKS = ((logging.WARNING, "#"), (logging.INFO, "*"), (logging.DEBUG + 5, "-"), (0, "."))


class OneLine(logging.Formatter):
    """`pid:M day month year time * text`, a traceback's lines joined, since one event is one line."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += ": " + self.formatException(record.exc_info).replace("\n", " | ")
        moment = time.strftime("%d %b %Y %H:%M:%S", time.localtime(record.created))
        mark = next(mark for level, mark in MARKS if record.levelno >= level)
        clean = text.replace("\r", " ").replace("\n", " ")
        return f"{os.getpid()}:M {moment}.{int(record.msecs):03d} {mark} {clean}"


def start(path: str, level: str) -> None:
    """Log to a file, or to standard error; raises `OSError` when the file cannot be opened."""
    handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.getLogger().handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("ringkeeper").setLevel(LEVELS[level])
