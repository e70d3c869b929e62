"""What a foreign suite is run with: pytest loads this with `-p`, in the suite's own environment.

Each outcome is appended to a file as it comes, so that a run which hangs or dies has told what it had, and `localhost`
with a port that the suite has fixed leads to the server under test.
"""

import asyncio
import json
import os
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

RECORD = os.environ["COMPAT_RECORD"]
PORTS: dict[str, int] = json.loads(os.environ.get("COMPAT_PORTS", "{}"))
LOCAL = ("localhost", "127.0.0.1")

_getaddrinfo = socket.getaddrinfo


_create_connection = asyncio.BaseEventLoop.create_connection


def led(host: Any, port: Any) -> tuple[Any, Any]:
    return ("127.0.0.1", PORTS[str(port)]) if host in LOCAL and str(port) in PORTS else (host, port)


def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
    return _getaddrinfo(*led(host, port), *arguments, **options)


async def create_connection(loop: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
    return await _create_connection(loop, factory, *led(host, port), **options)


socket.getaddrinfo = getaddrinfo
asyncio.BaseEventLoop.create_connection = create_connection  # it looks up no address that is one already
# redis-py's conftest traces every allocation and reads none of it; that is half of the run's time.
tracemalloc.start = lambda *_: None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.when == "call" or report.outcome != "passed":
        is_skip = report.skipped and isinstance(report.longrepr, tuple)
        text = str(report.longrepr[2]) if is_skip else report.longreprtext
        entry = {"test": item.nodeid, "outcome": report.outcome, "text": text[-3000:]}
        with open(RECORD, "a", encoding="utf-8") as record:
            record.write(json.dumps(entry) + "\n")
    return report
