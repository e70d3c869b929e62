"""Clients that nobody here wrote, unmodified, against the quickstart."""

import json
import subprocess
from pathlib import Path

import redis
from laptop import Cli
from npm_client import install
from redis.asyncio import RedisCluster as AsyncRedisCluster


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def test_redis_cli_follows_redirections(quickstart: tuple[Cli, int]) -> None:
    port = str(quickstart[1])
    for key in ("a", "b", "c", "{tag}x"):
        assert run("redis-cli", "-c", "-p", port, "set", key, f"value of {key}") == "OK\n"
        assert run("redis-cli", "-c", "-p", port, "get", key) == f"value of {key}\n"


def test_redis_cli_finds_the_cluster_sound(quickstart: tuple[Cli, int]) -> None:
    shown = run("redis-cli", "--cluster", "check", f"127.0.0.1:{quickstart[1]}")
    assert "[OK] All nodes agree about slots configuration." in shown
    assert "[OK] All 16384 slots covered." in shown


def test_redis_benchmark_runs_in_cluster_mode(quickstart: tuple[Cli, int]) -> None:
    shown = run(
        "redis-benchmark", "--cluster", "-p", str(quickstart[1]), "-t", "set,get,incr", "-n", "3000", "-P", "4",
        "-r", "1000", "--csv",
    )  # fmt: skip
    measured = {line.split(",")[0].strip('"') for line in shown.splitlines()}
    assert {"SET", "GET", "INCR"} <= measured, shown


def test_redis_py_reads_what_it_wrote_by_either_protocol(quickstart: tuple[Cli, int]) -> None:
    for protocol in (2, 3):
        with redis.RedisCluster(host="127.0.0.1", port=quickstart[1], protocol=protocol) as client:
            with client.pipeline() as pipeline:
                for i in range(300):
                    pipeline.set(f"py{protocol}:{i}", i)
                assert all(pipeline.execute())
            assert client.mget_nonatomic([f"py{protocol}:{i}" for i in range(300)]) == [
                str(i).encode() for i in range(300)
            ]


async def test_redis_py_asyncio_reads_what_it_wrote(quickstart: tuple[Cli, int]) -> None:
    async with AsyncRedisCluster(host="127.0.0.1", port=quickstart[1]) as client:
        for i in range(100):
            await client.set(f"async:{i}", i)
        assert [await client.get(f"async:{i}") for i in range(100)] == [str(i).encode() for i in range(100)]


def test_ioredis_reads_what_it_wrote(quickstart: tuple[Cli, int], tmp_path: Path) -> None:
    command = [*install(tmp_path, "client.mjs"), str(quickstart[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "written": 500, "equal": 500, "nodes": 3, "redirected": True, "followed": "value 0",
    }  # fmt: skip
