"""Starts nodes fast: a process that has loaded all modules and forks for each node. It reads a line of JSON per wish.

`{"argv": [...], "log": path, "syncs": path}` starts one and answers its process id; `{"wait": pid}` answers how it
ended. `syncs`: where the node writes down what of each file it has synced, so that the rest can be cut off, as by a
loss of power. `user`: under whose number the node runs.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import signal
import sys
import time
import traceback
from random import Random
from typing import Any

PR_SET_PDEATHSIG = 1
TROUBLE = 0.3
"""How often a call of a disk in trouble fails."""


def load() -> None:
    """Everything that a node imports; some may run as a user who may not read it."""
    import uvloop

    import ringkeeper.server.__main__
    import ringkeeper.server.admin
    import ringkeeper.server.node
    from ringkeeper import commands

    assert ringkeeper.server.admin, uvloop
    commands.load()


def be_a_node(wish: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(wish["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    if wish.get("user"):
        os.setgroups([])
        os.setgid(wish["user"])
        os.setuid(wish["user"])
    if wish.get("syncs"):
        write_down_syncs(wish["syncs"], wish["ignored"], wish["slowest"])
    from ringkeeper.server.__main__ import run

    code = 1
    try:
        code = run(wish["argv"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def write_down_syncs(path: str, ignored: int, slowest: float) -> None:
    """Inode and bytes of each file that is synced, behind the sync, of an increment that takes up to
    `slowest` seconds; of `ignored` in a hundred nothing, as if they had been forgotten.

    While there is a file `PATH.trouble`, calls of the disk fail now and then; what a sync that failed was to write is
    lost for good, and all behind it.
    """
    from ringkeeper.persist.files import DiskFiles, DiskOutput
    from ringkeeper.server.appender import Appender

    Appender.open_pump = lambda _: False  # type: ignore[method-assign] # it would go by the calls replaced below
    chance = Random()
    lost: set[int] = set()

    def note(file: os.stat_result, size: int) -> None:
        # A child of the node has closed what it inherited.
        with open(path, "a", encoding="ascii") as notes:
            notes.write(f"{file.st_ino} {size}\n")

    def fail_perhaps() -> None:
        if os.path.exists(f"{path}.trouble") and chance.random() < TROUBLE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def sync(output: DiskOutput) -> None:
        file = os.fstat(output.descriptor)
        if os.readlink(f"/proc/self/fd/{output.descriptor}").endswith(".incr.aof"):
            time.sleep(chance.random() * slowest)
        try:
            fail_perhaps()
        except OSError:
            lost.add(file.st_ino)
            raise
        if chance.randrange(100) >= ignored and file.st_ino not in lost:
            note(file, file.st_size)

    def create(files: DiskFiles, name: str) -> DiskOutput:
        fail_perhaps()
        output = create_really(files, name)
        file = os.fstat(output.descriptor)
        lost.discard(file.st_ino)
        note(file, 0)
        return output

    def rename(files: DiskFiles, name: str, new: str) -> None:
        fail_perhaps()
        rename_really(files, name, new)

    def sync_names(files: DiskFiles) -> None:
        fail_perhaps()
        sync_names_really(files)

    def write(output: DiskOutput, data: bytes) -> None:
        try:
            fail_perhaps()
        except OSError:
            write_really(output, data[: len(data) // 2])
            raise
        write_really(output, data)

    create_really, rename_really, sync_names_really = DiskFiles.create, DiskFiles.rename, DiskFiles.sync
    write_really = DiskOutput.write
    for owner, replacement in (
        (DiskFiles, create), (DiskFiles, rename), (DiskOutput, write), (DiskOutput, sync),
    ):  # fmt: skip
        setattr(owner, replacement.__name__, replacement)
    DiskFiles.sync = sync_names  # type: ignore[method-assign]


def main() -> None:
    load()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        wish = json.loads(line)
        if "wait" in wish:
            print(os.waitstatus_to_exitcode(os.waitpid(wish["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if not pid:
            be_a_node(wish)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
