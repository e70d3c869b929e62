"""What a suite is run against: the real thing and ours, alone and as a cluster; on 127.0.0.1, stopped by their ids."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis
from laptop import Cli, eventually
from ports import free_base_port
from real_redis import real_redis
from server_process import serving

SHARDS = 3
SLOTS = 16384
MANIFEST = f"""
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: compat}}
spec: {{shards: {SHARDS}, replicasPerShard: 0, vnodesPerShard: 2, memory: 256Mi}}
"""


@contextlib.contextmanager
def redis_alone(folder: Path) -> Iterator[int]:
    with real_redis(folder) as port:
        yield port


@contextlib.contextmanager
def node_alone(folder: Path) -> Iterator[int]:
    with serving(folder, "--enable-debug-command", "yes") as node:
        yield node.port


@contextlib.contextmanager
def redis_cluster(folder: Path) -> Iterator[int]:
    """Three masters of a real cluster. Without replicas: ours has none yet."""
    base = free_base_port(SHARDS)
    ports = range(base, base + SHARDS)
    with contextlib.ExitStack() as stack:
        for port in ports:
            (folder / str(port)).mkdir()
            process = subprocess.Popen(
                ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
                 "--save", "", "--enable-debug-command", "yes", "--dir", str(folder / str(port))],
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        for index, port in enumerate(ports):
            client = redis.Redis(port=port)
            eventually(lambda client=client: answers(client), f"redis-server answers on {port}")
            first, last = index * SLOTS // SHARDS, (index + 1) * SLOTS // SHARDS - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
            client.execute_command("CLUSTER MEET", "127.0.0.1", base)
        eventually(lambda: all(agrees(port) for port in ports), "the real cluster agrees")
        yield base


@contextlib.contextmanager
def node_cluster(folder: Path) -> Iterator[int]:
    """Three shards. On this ring, keys that tests take to lie together or apart do, as on Redis's even one.

    The port is of the shard with the first slots, as there: redis-py's tests presume that a client which knows one node
    has a connection to the owner of low slots and to nobody else.
    """
    cli = Cli(folder)
    base = free_base_port(SHARDS)
    manifest = folder / "cluster.yaml"
    manifest.write_text(MANIFEST)
    try:
        cli("up", "-f", str(manifest), "--base-port", str(base), "--detach")
        client = redis.Redis(port=base, decode_responses=True)
        eventually(lambda: answers(client), f"a node answers on {base}")
        yield first_owner(client)
    finally:
        cli.stop_all()


def first_owner(client: "redis.Redis[str]") -> int:
    """The port of the shard that owns slot 0."""
    _first, _last, (_host, port, *_), *_ = min(client.execute_command("CLUSTER SLOTS"))
    return int(port)


def answers(client: "redis.Redis[bytes]") -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def agrees(port: int) -> bool:
    shown = redis.Redis(port=port, decode_responses=True).execute_command("CLUSTER INFO")
    return shown["cluster_state"] == "ok" and int(shown["cluster_known_nodes"]) == SHARDS
