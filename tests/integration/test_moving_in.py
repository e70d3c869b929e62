"""Moving in from a running Redis as docs/replication.md says: writers and readers go on, and nothing is lost."""

import threading
from pathlib import Path

import pytest
import redis
from following import DEBUGGING, client, fill, load, until, until_equal
from real_redis import real_redis
from server_process import serving


def is_being_written(persistence: dict[str, int]) -> bool:
    """Whether the base of the append-only file is under way."""
    return bool(persistence["aof_rewrite_scheduled"] or persistence["aof_rewrite_in_progress"])


class Writer:
    """Counts in a key of its own, at the address that it was told last; goes on wherever it is refused."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        self.acknowledged = 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        connection = client(self.port)
        while not self.stopping:
            try:
                connection.incr(self.name)
                self.acknowledged += 1
            except (redis.ConnectionError, redis.ReadOnlyError):
                connection = client(self.port)


@pytest.mark.parametrize("name", ["redis", "valkey"])
def test_a_node_takes_over_from_a_running_server(name: str, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with real_redis(tmp_path / "old", name) as old, serving(tmp_path, *DEBUGGING, "--appendonly", "yes") as node:
        fill(old)
        with load(old) as running:
            node.client().execute_command("REPLICAOF", "127.0.0.1", old)
            until(lambda: node.client().info("replication")["master_link_status"] == "up")
            until(lambda: running.count > 20)
        until(lambda: not is_being_written(node.client().info("persistence")))
        writers = [Writer(old, f"writer:{number}") for number in range(3)]
        until(lambda: all(writer.acknowledged > 50 for writer in writers))

        client(old).execute_command("CLIENT", "PAUSE", 10_000, "WRITE")
        told = client(old).info("replication")
        until(lambda: node.client().info("replication")["slave_repl_offset"] >= told["master_repl_offset"])
        node.client().execute_command("REPLICAOF", "NO", "ONE")
        client(old).execute_command("REPLICAOF", "127.0.0.1", node.port)
        before = [writer.acknowledged for writer in writers]
        for writer in writers:
            writer.port = node.port
        client(old).execute_command("CLIENT", "UNPAUSE")

        until(lambda: all(writer.acknowledged > count for writer, count in zip(writers, before, strict=True)))
        for writer in writers:
            writer.stopping = True
            writer.thread.join()
        for writer in writers:
            assert int(node.client().get(writer.name) or 0) == writer.acknowledged
        until(lambda: client(old).info("replication")["master_link_status"] == "up")
        until_equal(node.port, old)
        assert node.client().info("stats")["sync_full"] == 0, "the old server went on where it was"
        with pytest.raises(redis.ReadOnlyError):
            client(old).set("key", 1)
