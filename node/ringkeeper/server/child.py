"""A forked process that writes what this one holds, as seen from here: how far it is, and how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable

from ringkeeper.persist.snapshot import Work, fork

REPORT_BYTES = 65536


class Child:
    """Raises `OSError` if there can be no process. `ended` is called once, when it has been waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work, ended: Callable[[Child], None]) -> None:
        self.loop = loop
        self.ended = ended
        self.began = time.monotonic()
        self.pid, self.reports = fork(work)
        self.fork_us = int((time.monotonic() - self.began) * 1e6)
        self.keys = 0
        """Written so far."""
        self.bytes = 0
        """Of the file, once it is written."""
        self.copied = 0
        """Bytes of memory that were copied meanwhile, once it is written."""
        self.error = ""
        self.cancelled = False
        self.rest = b""
        """Of a report that has not come whole."""
        loop.add_reader(self.reports, self.read)

    @property
    def seconds(self) -> float:
        """Since the fork."""
        return time.monotonic() - self.began

    def read(self) -> None:
        """It has told something, or ended."""
        data = os.read(self.reports, REPORT_BYTES)
        if not data:
            self.end()
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            facts = json.loads(line)
            self.keys = facts.get("keys", self.keys)
            self.bytes = facts.get("bytes", self.bytes)
            self.copied = facts.get("copied", self.copied)
            self.error = facts.get("error", self.error)

    def end(self) -> None:
        self.loop.remove_reader(self.reports)
        os.close(self.reports)
        _, status = os.waitpid(self.pid, 0)
        if self.cancelled:
            self.error = "it was cancelled"
        elif os.WIFSIGNALED(status):
            self.error = f"the child was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        elif status and not self.error:
            self.error = f"the child ended with {os.waitstatus_to_exitcode(status)}"
        self.ended(self)

    def cancel(self) -> None:
        """End it: that is no failure."""
        self.cancelled = True
        os.kill(self.pid, signal.SIGKILL)
