"""The directive `namespaces`, and the ones that govern eviction, as people and tools set and read them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import redis
from differential.compare import Peer
from members import Members, http, member
from real_redis import real_redis
from server_process import serving

from ringkeeper.cluster.settings import Settings, encode
from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper.server import namespaces
from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node
from ringkeeper.store.keyspace import Keyspace
from ringkeeper.store.namespaces import Namespace, Namespaces

TEXT = '[{"prefix": "session:", "maxMemory": "64Mi", "defaultTTL": "30m"}, {"prefix": "s", "eviction": "allkeys-lfu"}]'
CANONICAL = (
    '[{"prefix":"session:","maxMemory":67108864,"eviction":"allkeys-lru","defaultTTL":"30m"},'
    '{"prefix":"s","eviction":"allkeys-lfu"}]'
)


def test_namespaces_are_set_and_shown(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client()
        assert client.config_get("namespaces") == {"namespaces": "[]"}
        client.config_set("namespaces", TEXT)
        assert client.config_get("namespaces") == {"namespaces": CANONICAL}
        with pytest.raises(
            redis.ResponseError, match=r"'namespaces'\) - \[0\].maxMemory: lots is not allowed; must be "
        ):
            client.config_set("namespaces", '[{"prefix": "a", "maxMemory": "lots"}]')
        assert client.config_get("namespaces") == {"namespaces": CANONICAL}
        many = json.dumps([{"prefix": f"tenant:{number}:"} for number in range(10_000)])
        client.config_set("namespaces", many)
        assert len(json.loads(client.config_get("namespaces")["namespaces"])) == 10_000
        client.config_set("namespaces", "")
        assert client.config_get("namespaces") == {"namespaces": "[]"}


def test_the_command_line_and_the_file_take_them_and_a_rewritten_file_holds_them(tmp_path: Path) -> None:
    with serving(tmp_path, "--namespaces", TEXT) as server:
        assert server.client().config_get("namespaces") == {"namespaces": CANONICAL}
    file = tmp_path / "node.conf"
    file.write_text(f"# mine\nnamespaces '{TEXT}'\n")
    with serving(tmp_path, str(file)) as server:
        assert server.client().config_get("namespaces") == {"namespaces": CANONICAL}
        server.client().config_set("namespaces", '[{"prefix":"café \\" \'"}]')
        server.client().config_rewrite()
    with serving(tmp_path, str(file)) as server:
        (namespace,) = json.loads(server.client().config_get("namespaces")["namespaces"])
        assert namespace["prefix"] == "café \" '"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[{]", "--namespaces: namespaces: is no JSON"),
        ('[{"prefix":"a"},{"prefix":"a"}]', "[1].prefix: a stands twice"),
        ('[{"prefix":"a","maxTTL":"soon"}]', "[0].maxTTL: soon is not allowed; must be a duration"),
    ],
)
def test_a_node_does_not_start_with_bad_ones(tmp_path: Path, text: str, complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringkeeper.server", "--namespaces", text], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_the_directives_of_eviction_are_redis_own(tmp_path: Path) -> None:
    """Of maxmemory-samples but the range: 64 at most here, as since Redis 7.2."""
    names = ("maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity", "lfu-log-factor", "lfu-decay-time")
    commands = [[b"CONFIG", b"GET", name.encode()] for name in names]
    for name, value in (
        ("maxmemory-samples", "10"), ("maxmemory-eviction-tenacity", "101"),
        ("maxmemory-eviction-tenacity", "100"), ("lfu-log-factor", "-1"), ("lfu-log-factor", "0"),
        ("lfu-decay-time", "-1"), ("lfu-decay-time", "7"), ("maxmemory-policy", "Volatile-LFU"),
    ):  # fmt: skip
        commands += [[b"CONFIG", b"SET", name.encode(), value.encode()], [b"CONFIG", b"GET", name.encode()]]
    with serving(tmp_path) as server, real_redis(tmp_path) as port:
        ours, theirs = (Peer(each, 2) for each in (server.port, port))
        assert [str(reply) for reply in ours.run(commands)] == [str(reply) for reply in theirs.run(commands)]
        for peer in (ours, theirs):
            peer.close()


@pytest.mark.parametrize("policy", ["allkeys-s3-fifo", "volatile-s3-fifo", "allkeys-w-tinylfu", "volatile-w-tinylfu"])
def test_the_policies_beyond_redis_are_taken(tmp_path: Path, policy: str) -> None:
    with serving(tmp_path, "--maxmemory-policy", policy) as server:
        assert server.client().config_get("maxmemory-policy") == {"maxmemory-policy": policy}
        assert server.client().info("memory")["maxmemory_policy"] == policy


def test_an_operator_hands_settings_to_a_node_that_runs(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with serving(tmp_path, "--admin-token-file", str(tmp_path / "token")) as server:

        def hand(document: object, token: str | None = "secret") -> tuple[int, str]:
            return http(server, "/control/settings", token=token, body=document, method="PUT")

        def digest() -> str:
            return str(json.loads(http(server, "/control/state", token="secret")[1])["settings"])

        assert digest() == Settings().digest
        wanted = Settings("allkeys-lfu", (Namespace(b"a:", 4096, "noeviction", 1000, 60_000), Namespace(b"b:")))
        assert hand(encode(wanted, 3), token=None)[0] == 401
        assert digest() == Settings().digest
        assert hand(encode(wanted, 3)) == (200, json.dumps({"settings": wanted.digest}))
        assert digest() == wanted.digest
        client = server.client()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lfu"}
        assert [each["prefix"] for each in json.loads(client.config_get("namespaces")["namespaces"])] == ["a:", "b:"]
        status, text = hand({"leader": 3, "eviction": "lru", "namespaces": []})
        assert (status, "eviction: must be one of noeviction" in text) == (400, True)
        assert hand(b"{")[0] == 400
        assert digest() == wanted.digest, "what cannot be used changes nothing"
        client.config_set("maxmemory-policy", "noeviction")
        assert digest() != wanted.digest, "the operator sees what somebody set"


def test_settings_of_a_leader_that_was_succeeded_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, *member(tmp_path, 0)) as node:
        only = Members([node])
        topology = only.topology(3, shards=(), owners=())
        shards = (Shard(0, 1, topology.nodes[0].id),)
        assert only.push(0, Topology("c", "uid", 3, 5, 100, topology.nodes, shards, (0,) * 16384))[0] == 200

        def hand(leader: int) -> tuple[int, str]:
            document = encode(Settings("allkeys-lru"), leader)
            return http(node, "/control/settings", token="token", body=document, method="PUT")

        status, text = hand(4)
        assert (status, "obeyed leader 5" in text) == (409, True)
        assert hand(5)[0] == hand(6)[0] == 200


async def test_the_databases_are_told_at_start_and_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[tuple[bytes, ...], int]] = []

    def put_into_force(declared: Namespaces, _: object, databases: Iterable[Keyspace]) -> None:
        told.append((tuple(item.prefix for item in declared.items), len(list(databases))))

    monkeypatch.setattr(namespaces, "put_into_force", put_into_force)
    words = ["--databases", "3", "--dir", str(tmp_path), "--namespaces", '[{"prefix":"a"}]']
    node = Node(read_arguments(words), asyncio.get_running_loop())
    assert told == [((b"a",), 3)]
    node.config.set([("namespaces", '[{"prefix": "b"}, {"prefix": "a"}]'), ("maxmemory", "1mb")])
    assert told[1:] == [((b"b", b"a"), 3)]
    node.config.set([("namespaces", '[{"prefix":"b"},{"prefix":"a"}]'), ("maxmemory", "2mb")])
    assert len(told) == 2, "the same, written otherwise"
    assert node.namespaces.match(b"abc") == 2
