"""Who waits for replicas, and who does not: WAIT, WAITAOF, min-replicas-to-write."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from following import DEBUGGING, client, follow, stopped, until
from server_process import Server, serving
from shard_of_servers import Shard


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        made = []
        for name in "ab":
            (tmp_path / name).mkdir()
            made.append(stack.enter_context(serving(tmp_path / name, *DEBUGGING, "--appendonly", "yes")))
        follow(made[1].port, made[0].port)
        yield made


def test_wait_answers_when_the_replicas_have_it_and_holds_up_nobody_else(pair: list[Server]) -> None:
    master, replica = pair
    assert master.client().wait(0, 0) == 1
    master.client().set("key", 1)
    assert master.client().wait(1, 0) == 1
    with stopped(replica):
        master.client().set("key", 2)
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(master.client().wait(1, 0)))
        thread.start()
        until(lambda: master.client().info("clients")["blocked_clients"] == 0 and master.client().get("key") == b"2")
        assert not answers
        assert master.client().wait(1, 50) == 0
    thread.join()
    assert answers == [1]


def test_a_replica_does_not_wait_for_replicas(pair: list[Server]) -> None:
    with pytest.raises(redis.ResponseError, match="WAIT cannot be used with replica instances"):
        pair[1].client().wait(1, 0)


def test_waitaof_answers_when_the_disks_have_it(pair: list[Server]) -> None:
    master, replica = pair
    master.client().set("key", 1)
    assert master.client().execute_command("WAITAOF", 1, 1, 0) == [1, 1]
    with stopped(replica):
        master.client().set("key", 2)
        assert master.client().execute_command("WAITAOF", 1, 1, 50)[1] == 0


def test_writes_are_refused_without_as_many_replicas_as_they_need(pair: list[Server]) -> None:
    master, replica = pair
    master.client().config_set("min-replicas-to-write", 1)
    master.client().set("key", 1)
    replica.client().execute_command("REPLICAOF", "NO", "ONE")

    def refused() -> bool:
        with contextlib.suppress(redis.ResponseError):
            master.client().set("key", 2)
            return False
        return True

    until(refused)
    with pytest.raises(redis.ResponseError, match="Not enough good replicas to write"):
        master.client().set("key", 2)
    assert master.client().get("key") is not None
    follow(replica.port, master.port)
    until(lambda: not refused())


def test_failover_is_refused_with_a_way_out(pair: list[Server]) -> None:
    with pytest.raises(redis.ResponseError, match="REPLICAOF NO ONE"):
        pair[0].client().execute_command("FAILOVER")


def test_in_a_cluster_a_reply_waits_for_as_many_voters_as_the_topology_says(shard: Shard) -> None:
    shard.appoint(0)
    shard.connected(1)
    shard.appoint(0, voters=(shard.members.state(1)["id"],), min_acks=1)
    shard.connected(1)
    master = shard.port(0)

    def written() -> bool:
        with contextlib.suppress(redis.ResponseError):
            return bool(client(master, socket_timeout=1).set("known", 1))
        return False

    until(written)
    lost = pytest.raises((redis.TimeoutError, redis.ConnectionError))
    with stopped(shard.members.servers[1]), lost:
        client(master, socket_timeout=0.3).set("key", 1)
    until(written)
