"""A load that is cut off anywhere, and goes on from what it had noted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from persist.rdb_files import Bytes
from scripted_node import CLOSE, ScriptedNode, Words, scripted

from ringkeeper.persist.rdb import RdbWriter
from ringkeeper.resp.values import OK, ReplyError
from ringkeeper_operator.runtime import importing
from ringkeeper_operator.runtime.import_state import Figures, Keeper, Place, Record
from ringkeeper_operator.runtime.importing import Choice, Import, Stopped
from ringkeeper_operator.runtime.redis_nodes import Nodes, Unserved

KEYS = 60


def dump() -> bytes:
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    writer.database(0, KEYS, 0)
    for number in range(KEYS):
        writer.entry(b"key:%d" % number, b"value %d" % number)
    writer.end()
    return b"".join(chunks)


DUMP = dump()


@dataclass
class Server:
    """Keeps the names of keys; dies when it has taken `lives` of them, before it answers."""

    keys: set[bytes] = field(default_factory=set)
    lives: int = 1 << 30
    kept: Keeper | None = None
    """When set: no key may come before it is noted that it may have been sent."""

    def answer(self, _: ScriptedNode, words: Words) -> object:
        if words[0] == b"CLUSTER":
            return ReplyError("ERR This instance has cluster support disabled")
        if words[0] != b"RESTORE":
            return b"run_id:x\r\n"
        if self.kept is not None:
            noted = Record.decoded(self.kept.file.read_bytes()).sent_to
            assert DUMP.index(words[1]) < noted
        if self.lives <= 0:
            return CLOSE
        if words[1] in self.keys and b"REPLACE" not in words:
            return ReplyError("BUSYKEY Target key name already exists.")
        self.lives -= 1
        self.keys.add(words[1])
        return OK if self.lives else CLOSE


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path / "record.json")


async def loaded(server: Server, keeper: Keeper, *, keys: int, record: Record | None = None) -> Import:
    """Go on from what stands on the disk, in rounds of so many keys."""
    if record is None:
        record = Record.decoded(keeper.file.read_bytes()) if keeper.file.exists() else Record("c", {}, {})
        record.dump = {"bytes": len(DUMP)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "ROUND_KEYS", keys)
        patch.setattr(importing, "SAVE_SECONDS", 0.0)
        async with scripted(server.answer) as node:
            nodes = Nodes([("127.0.0.1", node.port)], None, None, patience=0.0)
            try:
                await nodes.await_all()
                task = Import(Bytes(DUMP), record, Choice(), nodes, keeper)
                await task.run(asyncio.Event())
            finally:
                nodes.close()
    return task


@pytest.mark.parametrize("lives", [1, 6, 7, 8, 13, 14, 15, 30, 59, 60])
async def test_a_load_that_is_cut_off_anywhere_goes_on_and_counts_each_key_once(keeper: Keeper, lives: int) -> None:
    server = Server(lives=lives)
    with pytest.raises(Unserved):
        await loaded(server, keeper, keys=7)
    assert len(server.keys) == lives
    server.lives = 1 << 30
    task = await loaded(server, keeper, keys=11)
    assert task.complete
    assert (task.figures.loaded, task.figures.existing, len(server.keys)) == (KEYS, 0, KEYS)


async def test_what_may_have_been_sent_is_noted_before_it_is(keeper: Keeper) -> None:
    task = await loaded(Server(kept=keeper), keeper, keys=5)
    assert task.complete


async def test_a_key_that_the_cluster_had_stays_one_however_often_the_load_is_tried(keeper: Keeper) -> None:
    server = Server(keys={b"key:40"})
    for keys in (50, 9, 1, 25):
        with pytest.raises(Stopped, match="has a key b'key:40' already"):
            await loaded(server, keeper, keys=keys)
    server.keys.remove(b"key:40")
    task = await loaded(server, keeper, keys=9)
    assert (task.complete, task.figures.loaded, len(server.keys)) == (True, KEYS, KEYS)


async def test_a_load_that_is_stopped_goes_on_without_any_doubt(keeper: Keeper) -> None:
    server = Server()
    record = Record("c", {"bytes": len(DUMP)}, {})
    stop = asyncio.Event()
    stop.set()
    async with scripted(server.answer) as node:
        nodes = Nodes([("127.0.0.1", node.port)], None, None, patience=0.0)
        await nodes.await_all()
        task = Import(Bytes(DUMP), record, Choice(), nodes, keeper)
        await task.run(stop)
        nodes.close()
    assert (task.complete, server.keys) == (False, set())
    record = Record.decoded(keeper.file.read_bytes())
    assert record.sent_to <= record.place.at


def test_a_record_is_read_back_as_it_was_written(keeper: Keeper) -> None:
    record = Record(
        "c", {"bytes": 7}, {"--db": 3}, Place(9, 10, 3, 1 << 63), 12, ["\xff"], Figures(1, 2), {"id": "run"}
    )
    keeper.write(record)
    assert keeper.read({"bytes": 7}, {"--db": 3}) == record
