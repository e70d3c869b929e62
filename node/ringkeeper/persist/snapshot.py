"""A snapshot's content, and the child process that writes it while its parent goes on.

The child has all memory as it was at the fork; a page is copied when either of the two writes to it. So it lets the
garbage collector rest, which would write to every object. It inherits no socket: a port must be free when its parent
dies. It tells its parent of progress and end by a pipe, a line of JSON each.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringkeeper.persist.files import Files, Output, write_whole
from ringkeeper.persist.rdb import RdbWriter
from ringkeeper.store.keyspace import Keyspace

PR_SET_PDEATHSIG: Final = 1
NICENESS = 5
"""Of a child: where processors are scarce, it gets a third of what the process has that serves clients."""
LIBC: Final = ctypes.CDLL(None, use_errno=True)

Report = Callable[[dict[str, Any]], None]
Work = Callable[[Report], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """What a snapshot keeps of each key beside value and expiry, and how it is written."""

    idle_times: bool = False
    frequencies: bool = False
    compressing: bool = True
    """Strings of more than 20 bytes, where that helps."""
    summing: bool = True
    """Whether the file has a checksum."""


def write_dataset(
    write: Callable[[bytes], object],
    databases: Sequence[Keyspace],
    aux: Iterable[tuple[bytes, bytes]],
    extent: Extent,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """An RDB file of all that lives; `told` is called now and then with the keys so far. How many there were."""
    fields_expire = any(keyspace.expiring for keyspace in databases)
    writer = RdbWriter(write, fields_expire, extent.compressing, extent.summing)
    writer.aux(aux)
    for keyspace in databases:
        if len(keyspace):
            writer.database(keyspace.index, len(keyspace), keyspace.volatile)
            writer.everything(keyspace, extent.idle_times, extent.frequencies, told)
    writer.end()
    return int(writer.done)


def save_in(
    files: Files,
    name: str,
    databases: Sequence[Keyspace],
    aux: Iterable[tuple[bytes, bytes]],
    extent: Extent,
    report: Report,
) -> None:
    """Make a snapshot appear under a name; raises `OSError`, the old one being in place."""
    size = 0

    def fill(output: Output) -> None:
        def write(data: bytes) -> None:
            nonlocal size
            size += len(data)
            output.write(data)

        keys = write_dataset(write, databases, aux, extent, lambda done: report({"keys": done}))
        report({"keys": keys})

    write_whole(files, name, f"temp-{os.getpid()}.rdb", fill)
    report({"copied": copied_bytes(), "bytes": size})


def copied_bytes() -> int:
    """Memory of this process alone: what was copied since its fork. 0 where the system does not say."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Private_Dirty:"))
    except OSError:
        return 0


# Processes


def fork(work: Work) -> tuple[int, int]:
    """Do some work in a child process: its id, and the descriptor from which its reports come; both are the caller's.

    It ends with 0 when the work is done. If that raises, the report `{"error": text}` comes and it ends with 1. It is
    killed if this process ends. Raises `OSError`.
    """
    reports, reporting = os.pipe()
    parent = os.getpid()
    try:
        child = os.fork()
    except OSError:
        os.close(reports)
        os.close(reporting)
        raise
    if child:
        os.close(reporting)
        os.set_blocking(reports, False)
        return child, reports
    status = 1
    try:
        settle_in(parent, reporting)
        work(lambda facts: tell(reporting, facts))
        status = 0
    except OSError as why:
        tell(reporting, {"error": why.strerror or str(why)})
    except BaseException as why:
        tell(reporting, {"error": f"{type(why).__name__}: {why}"})
    finally:
        os._exit(status)


def settle_in(parent: int, reporting: int) -> None:
    """What a child does first."""
    gc.disable()
    os.nice(NICENESS)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.closerange(3, reporting)
    os.closerange(reporting + 1, os.sysconf("SC_OPEN_MAX"))


def tell(descriptor: int, facts: dict[str, Any]) -> None:
    try:
        os.write(descriptor, json.dumps(facts).encode() + b"\n")
    except OSError:
        os._exit(1)
