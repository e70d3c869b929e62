"""A node alone and in a cluster, as clients and the operator meet it."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from laptop import eventually
from lines import connect
from members import Members, http, member
from server_process import serving

from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works_by_either_protocol(tmp_path: Path, protocol: int) -> None:
    with serving(tmp_path) as server:
        client = server.client(protocol=protocol)
        assert client.set("k", "v", ex=100)
        assert client.get("k") == b"v"
        assert 0 < client.ttl("k") <= 100
        assert client.info()["redis_version"].startswith("7.2")
        assert client.config_get("maxmemory") == {"maxmemory": "0"}
        assert client.client_setname("me")
        assert client.client_list()[0]["name"] == "me"
        assert client.command_count() >= 70
        with pytest.raises(redis.ResponseError, match="unknown command 'XADD'"):
            client.xadd("s", {"f": "v"})


def test_without_the_password_nothing_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, "--requirepass", "secret") as server:
        with pytest.raises(redis.AuthenticationError):
            server.client().get("k")
        with pytest.raises(redis.AuthenticationError, match="invalid username-password"):
            server.client(password="wrong").ping()
        assert server.client(password="secret").ping()
        assert server.client(password="secret", protocol=3).ping()


def test_a_full_node_refuses_writes_and_serves_reads(tmp_path: Path) -> None:
    with serving(tmp_path, "--maxmemory", "1mb") as server:
        client = server.client()
        while client.info("memory")["used_memory_dataset"] <= 1024 * 1024 and client.dbsize() < 100:
            client.set(f"k{client.dbsize()}", b"x" * 50_000)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", b"x")
        assert client.get("k0") == b"x" * 50_000
        assert client.delete("k0") == 1


def test_more_clients_than_allowed_are_turned_away(tmp_path: Path) -> None:
    with serving(tmp_path, "--maxclients", "2") as server:
        first, second = server.client(), server.client()
        assert first.ping()
        assert second.ping()
        with pytest.raises(redis.ConnectionError, match="max number of clients reached"):
            server.client().ping()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--prot", "1"], "did you mean"),
        (["--port", "many"], "port"),
        (["--maxmemory-policy", "allkeys-lur"], "must be one of the following: noeviction, allkeys-lru"),
        (["--appendfsync", "sometimes"], "must be one of the following: always, everysec, no"),
        (["--appendfilename", "a/b"], "appendfilename can't be a path, just a filename"),
        (["/nowhere/node.conf"], "/nowhere/node.conf"),
    ],
)
def test_a_bad_directive_ends_in_one_clear_sentence(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringkeeper.server", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        done = subprocess.run(
            [sys.executable, "-m", "ringkeeper.server", "--port", str(server.port), "--bind", "127.0.0.1"],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1
    assert str(server.port) in done.stderr
    assert "--port" in done.stderr


def test_health_and_metrics_are_open_and_control_is_not(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.client().set("k", "v")
        assert http(server, "/healthz")[0] == 200
        assert http(server, "/readyz")[0] == 200
        status, text = http(server, "/metrics")
        assert status == 200
        assert "ringkeeper_" in text
        assert http(server, "/control/state")[0] == 403


def test_nodes_take_keep_and_hand_on_a_topology_and_redirect_by_it(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with serving(folders[0], *member(folders[0], 0)) as a, serving(folders[1], *member(folders[1], 1)) as b:
        members = Members([a, b])
        with pytest.raises(redis.exceptions.ClusterDownError):
            a.client().get("k")
        assert http(a, "/readyz")[0] == 503
        assert http(a, "/control/topology", token="wrong")[0] in (401, 403)

        first = members.topology(5)
        assert members.push(0, first)[0] == members.push(1, first)[0] == 200
        key = next(f"k{i}" for i in range(100) if first.owners[a.client().cluster("KEYSLOT", f"k{i}")] == 1)
        with pytest.raises(redis.exceptions.MovedError) as moved:
            a.client().get(key)
        assert f"127.0.0.1:{b.port}" in str(moved.value) or moved.value.port == b.port
        assert b.client().set(key, "v")
        with redis.RedisCluster(host="127.0.0.1", port=a.port) as cluster:
            assert cluster.get(key) == b"v"

        assert members.push(0, members.topology(4))[0] == 409, "an older epoch"
        assert members.push(0, members.topology(6, uid="other"))[0] == 409, "another cluster's"
        assert http(a, "/control/topology", token="token", body=b"{}", method="PUT")[0] == 400

        newer = members.topology(6)
        assert members.push(0, newer)[0] == 200
        eventually(lambda: members.state(1)["epoch"] == 6, "the other node was handed the newer topology")


def test_a_restarted_node_remembers_the_topology_but_serves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, *member(tmp_path, 0)) as node:
        only = Members([node])
        topology = only.topology(3, shards=(), owners=())
        alone = Topology("c", "uid", 3, 1, 100, topology.nodes, (Shard(0, 1, topology.nodes[0].id),), (0,) * 16384)
        assert only.push(0, alone)[0] == 200
        assert node.client().set("k", "v")
        before = only.state(0)
    with serving(tmp_path, *member(tmp_path, 0)) as node:
        after = Members([node]).state(0)
        assert (after["epoch"], after["id"]) == (3, before["id"])
        assert after["runId"] != before["runId"]
        assert after["role"] == "unassigned"
        with pytest.raises(redis.exceptions.ClusterDownError):
            node.client().get("k")


async def test_whom_to_follow_may_be_said_as_soon_as_the_port_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has begun by then: what it would do at its start does not undo what a client told it."""
    start_admin = Node.start_admin

    async def ask_first(self: Node, sockets: list[socket.socket]) -> None:
        client = await connect(self)
        assert await client.ask("REPLICAOF 127.0.0.1 1") == b"+OK\r\n"
        await start_admin(self, sockets)

    monkeypatch.setattr(Node, "start_admin", ask_first)
    words = ["--port", "0", "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    node = Node(read_arguments(words), asyncio.get_running_loop())
    await node.start()
    assert node.replication.role == "replica"
    await node.stop()
