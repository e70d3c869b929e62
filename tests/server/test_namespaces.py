"""The directive `namespaces`, and the ones that govern eviction, as people and tools set and read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from differential.compare import Peer
from real_redis import real_redis
from server_process import serving

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
