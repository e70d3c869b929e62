"""What is kept of a full sync whose link broke, on both sides, and for how long."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lines import until

from ringkeeper.server import full_sync, master_link
from ringkeeper.server.config import read_arguments
from ringkeeper.server.full_sync import Snapshot
from ringkeeper.server.incoming import Part
from ringkeeper.server.node import Node


def test_a_snapshot_is_kept_for_whoever_may_come_for_the_rest_and_not_for_ever() -> None:
    snapshot = Snapshot.__new__(Snapshot)
    now = time.monotonic()
    snapshot.readers, snapshot.error, snapshot.interrupted_at = 0, "", 0.0
    snapshot.finished = now - full_sync.KEPT_SECONDS - 1
    assert snapshot.over, "nobody was interrupted"
    snapshot.interrupted_at = now
    assert not snapshot.over
    snapshot.interrupted_at = now - full_sync.INTERRUPTED_SECONDS - 1
    assert snapshot.over
    snapshot.interrupted_at, snapshot.error = now, "the disk is full"
    assert snapshot.over, "there is no rest"


@pytest.mark.parametrize("error", [None, errno.EAGAIN, errno.EOPNOTSUPP, errno.EIO])
async def test_a_snapshot_is_read_where_it_is(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    """In memory, on a disk, on a file system that cannot say which, and where it can't be read."""
    os.write(descriptor, b"0123456789" * full_sync.CHUNK)
    calls, preadv = [0], os.preadv

    def reading(*arguments: Any) -> int:
        calls[0] += 1
        if error is not None:
            raise OSError(error, os.strerror(error))
        return preadv(*arguments)

    monkeypatch.setattr(os, "preadv", reading)
    snapshot = Snapshot.__new__(Snapshot)
    snapshot.node = cast(Node, SimpleNamespace(loop=asyncio.get_running_loop()))
    snapshot.descriptor, snapshot.in_memory = descriptor, True
    if error == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            await snapshot.read(0)
        return
    found, end = b"", 10 * full_sync.CHUNK
    while data := await snapshot.read(len(found)):
        found += data
    assert found == b"0123456789" * full_sync.CHUNK
    assert calls[0] == (1 if error == errno.EOPNOTSUPP else end // full_sync.CHUNK + 1)


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return os.open(tmp_path / "part", os.O_RDWR | os.O_CREAT)


def is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


async def test_a_part_that_is_not_continued_is_let_go(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(read_arguments(["--port", "0", "--dir", str(tmp_path)]), asyncio.get_running_loop())
    await node.start()
    node.replication.become_replica("127.0.0.1", 1, 0)
    link = node.replication.master_link
    assert link is not None
    monkeypatch.setattr(master_link, "PART_SECONDS", 0.01)
    link.keep_part(Part(b"m" * 40, 0, descriptor, 10))
    await until(lambda: link.part is None)
    assert is_closed(descriptor)
    await node.stop()


async def test_who_follows_nobody_any_more_keeps_no_part(tmp_path: Path, descriptor: int) -> None:
    node = Node(read_arguments(["--port", "0", "--dir", str(tmp_path)]), asyncio.get_running_loop())
    await node.start()
    node.replication.become_replica("127.0.0.1", 1, 0)
    link = node.replication.master_link
    assert link is not None
    link.keep_part(Part(b"m" * 40, 0, descriptor, 10))
    node.replication.become_master(0)
    assert is_closed(descriptor)
    late = os.open(tmp_path / "part", os.O_RDWR)
    link.keep_part(Part(b"m" * 40, 0, late, 10))
    assert is_closed(late), "nor one that comes late"
    await node.stop()
