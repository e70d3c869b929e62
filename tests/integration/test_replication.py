"""Nodes follow real servers, real servers follow nodes, and nodes follow each other: data and offsets end equal."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from following import DEBUGGING, client, fill, follow, load, role, stopped, until, until_equal
from real_redis import real_redis
from server_process import Server, serving


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        made = []
        for name in "abc":
            (tmp_path / name).mkdir()
            made.append(stack.enter_context(serving(tmp_path / name, *DEBUGGING)))
        yield made


@pytest.mark.parametrize("name", ["redis", "valkey"])
def test_a_node_follows_a_real_server_under_load_over_a_cut_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with real_redis(tmp_path / "real", name) as master, serving(tmp_path, *DEBUGGING) as node:
        fill(master)
        node.client().set("old", 1)
        with load(master) as running:
            follow(node.port, master)
            count = running.count
            until(lambda: running.count > count + 50)
            client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")
            count = running.count
            until(lambda: running.count > count + 50)
            until(lambda: client(master).info("stats")["sync_partial_ok"] >= 1, "there is no partial sync")
        until_equal(master, node.port)
        assert node.client().get("old") is None
        assert client(master).info("stats")["sync_full"] == 1
        assert client(master).wait(1, 10_000) == 1


@pytest.mark.parametrize("name", ["redis", "valkey"])
def test_a_real_server_follows_a_node_under_load_over_a_cut_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with real_redis(tmp_path / "real", name) as replica, serving(tmp_path, *DEBUGGING) as node:
        fill(node.port)
        with load(node.port) as running:
            follow(replica, node.port)
            count = running.count
            until(lambda: running.count > count + 50)
            node.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
            count = running.count
            until(lambda: running.count > count + 50)
            until(lambda: node.client().info("stats")["sync_partial_ok"] >= 1, "there is no partial sync")
        until_equal(node.port, replica)
        assert node.client().info("stats")["sync_full"] == 1


def test_nodes_follow_in_a_chain_and_share_offsets(nodes: list[Server]) -> None:
    first, second, third = (node.port for node in nodes)
    fill(first)
    follow(second, first)
    follow(third, second)
    with load(first) as running:
        until(lambda: running.count > 100)
    until_equal(first, second, third)
    until(lambda: role(first)[1] == role(second)[4] == role(third)[4])


def test_a_replica_refuses_writes_and_forgets_what_it_had(nodes: list[Server]) -> None:
    master, replica = nodes[0].port, nodes[1].port
    client(replica).set("old", 1)
    client(master).set("new", 1)
    follow(replica, master)
    assert client(replica).keys() == [b"new"]
    with pytest.raises(redis.ReadOnlyError):
        client(replica).set("old", 1)


def test_who_follows_a_promoted_replica_goes_on_where_it_was(nodes: list[Server]) -> None:
    first, second, third = (node.port for node in nodes)
    fill(first)
    follow(second, first)
    follow(third, first)
    with load(first) as running:
        until(lambda: running.count > 50)
    until_equal(first, second, third)
    until(lambda: role(first)[1] == role(second)[4] == role(third)[4])
    client(second).execute_command("REPLICAOF", "NO", "ONE")
    client(second).set("after", 1)
    follow(third, second)
    follow(first, second)
    until_equal(second, first, third)
    stats = client(second).info("stats")
    assert (stats["sync_partial_ok"], stats["sync_full"]) == (2, 0)


def test_what_expires_on_the_master_is_hidden_on_the_replica_until_the_master_says_so(nodes: list[Server]) -> None:
    master, replica = nodes[0].port, nodes[1].port
    follow(replica, master)
    client(master).execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    client(master).set("key", 1, px=50)
    client(master).hset("hash", mapping={"stays": 1, "goes": 2})
    client(master).execute_command("HPEXPIRE", "hash", 50, "FIELDS", 1, "goes")
    until(lambda: client(replica).hlen("hash") == 1)
    until(lambda: client(replica).get("key") is None)
    assert client(replica).dbsize() == 2
    assert client(replica).hgetall("hash") == {b"stays": b"1"}
    assert client(master).get("key") is None
    until(lambda: client(replica).dbsize() == 1)


def test_a_replica_logs_in_with_its_user_and_password(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with serving(tmp_path / "a", "--requirepass", "secret") as master, serving(tmp_path / "b", *DEBUGGING) as replica:
        client(master.port, password="secret").execute_command("ACL", "SETUSER", "replica", "on", ">word", "+psync",
                                                              "+replconf", "+ping")  # fmt: skip
        client(replica.port).execute_command("REPLICAOF", "127.0.0.1", master.port)
        until(lambda: "NOAUTH" in client(replica.port).info("replication").get("master_link_error", ""))
        client(replica.port).config_set("masterauth", "word")
        client(replica.port).config_set("masteruser", "replica")
        until(lambda: client(replica.port).info("replication")["master_link_status"] == "up")


def test_who_waits_for_a_key_is_told_when_the_master_becomes_a_replica(nodes: list[Server]) -> None:
    connection = client(nodes[0].port)
    answers: list[object] = []

    def wait() -> None:
        try:
            connection.blpop("none", 0)
        except redis.ResponseError as error:
            answers.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: client(nodes[0].port).info("clients")["blocked_clients"] == 1)
    follow(nodes[0].port, nodes[1].port)
    thread.join()
    assert "instance state changed" in str(answers[0])


def test_what_this_node_does_not_know_is_told_and_nothing_is_lost_by_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with real_redis(tmp_path / "real") as master, serving(tmp_path, *DEBUGGING) as node:
        node.client().set("mine", 1)
        client(master).xadd("stream", {"a": 1})
        client(node.port).execute_command("REPLICAOF", "127.0.0.1", master)
        until(lambda: "cannot be loaded" in client(node.port).info("replication").get("master_link_error", ""))
        assert node.client().get("mine") == b"1"


def test_late_replicas_share_a_snapshot(nodes: list[Server], tmp_path: Path) -> None:
    fill(nodes[0].port)
    follow(nodes[1].port, nodes[0].port)
    follow(nodes[2].port, nodes[0].port)
    until_equal(nodes[0].port, nodes[1].port, nodes[2].port)
    stats = client(nodes[0].port).info("stats")
    assert (stats["sync_full"], stats["total_forks"]) == (2, 1)
    assert not list(tmp_path.glob("*/temp-*")), "the files of snapshots have no names"


def test_a_slow_replica_is_dropped_when_too_much_waits_for_it(nodes: list[Server]) -> None:
    master, replica = nodes[0], nodes[1]
    master.client().config_set("client-output-buffer-limit", "replica 8mb 0 0")
    master.client().config_set("repl-backlog-size", 1 << 20)
    follow(replica.port, master.port)
    with stopped(replica):
        for number in range(40):
            master.client().set(f"key:{number}", bytes(1 << 20))
        until(lambda: master.client().info("replication")["connected_slaves"] == 0)
    until_equal(master.port, replica.port)
    assert master.client().info("stats")["sync_full"] == 2


def test_a_snapshot_without_a_mark_is_sent_to_who_knows_none(nodes: list[Server]) -> None:
    nodes[0].client().set("key", 1)
    with socket.create_connection(("127.0.0.1", nodes[0].port)) as old:
        old.settimeout(30)
        old.sendall(b"PSYNC ? -1\r\n")
        received = b""
        while b"\xff" not in received:
            received += old.recv(4096)
        line, _, rest = received.partition(b"\r\n")
        assert line.startswith(b"+FULLRESYNC ")
        assert rest.lstrip(b"\n").startswith(b"$")
        assert b"REDIS0010" in rest


def test_a_killed_replica_goes_on_from_its_append_only_file(tmp_path: Path, exits: contextlib.ExitStack) -> None:
    (tmp_path / "real").mkdir()
    with real_redis(tmp_path / "real") as master:
        fill(master)
        client(master).config_set("repl-backlog-size", 64 << 20)
        with load(master) as running:
            for round_ in range(4):
                server = Server(tmp_path, *DEBUGGING, "--appendonly", "yes", "--auto-aof-rewrite-min-size", "20kb",
                                "--replicaof", "127.0.0.1", str(master))  # fmt: skip
                exits.callback(server.stop)
                until(lambda port=server.port: client(port).info("replication")["master_link_status"] == "up")
                until(lambda port=server.port: client(port).info("persistence")["aof_rewrites"] > 0)
                count = running.count
                until(lambda count=count: running.count > count + 30)
                if round_ < 3:
                    server.kill()
        until_equal(master, server.port)
        stats = client(master).info("stats")
        assert (stats["sync_full"], stats["sync_partial_ok"]) == (1, 3)


def test_a_replica_that_must_not_show_old_data_says_that_its_master_is_down(nodes: list[Server]) -> None:
    master, replica = nodes[0], nodes[1]
    master.client().set("key", 1)
    follow(replica.port, master.port)
    replica.client().config_set("replica-serve-stale-data", "no")
    assert replica.client().get("key") == b"1"
    master.kill()
    until(lambda: replica.client().info("replication")["master_link_status"] == "down")
    with pytest.raises(redis.exceptions.MasterDownError):
        replica.client().get("key")


def test_without_replicas_for_long_the_backlog_goes_and_the_history_with_it(nodes: list[Server]) -> None:
    master, replica = nodes[0], nodes[1]
    follow(replica.port, master.port)
    id_ = master.client().info("replication")["master_replid"]
    master.client().config_set("repl-backlog-ttl", 1)
    replica.client().execute_command("REPLICAOF", "NO", "ONE")
    until(lambda: master.client().info("replication")["repl_backlog_active"] == 0)
    assert master.client().info("replication")["master_replid"] != id_
    master.client().set("key", 1)
    follow(replica.port, master.port)
    until_equal(master.port, replica.port)
