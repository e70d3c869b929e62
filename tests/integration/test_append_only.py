"""The append-only file of a real node: kept through kills, read by others, begun and ended while it serves."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import redis
from persist.datasets import commands
from real_redis import real_redis
from server_process import DEADLINE, Server, serving

DEBUG = ("--enable-debug-command", "yes")
KEPT = (*DEBUG, "--appendonly", "yes")
ALWAYS = (*KEPT, "--appendfsync", "always")
PARTS = "appendonlydir"


def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def client_of(server: Server) -> redis.Redis:
    return server.client(single_connection_client=True)


def fill(client: redis.Redis, seed: int = 1, *, field_times: bool = True) -> None:
    for command in commands(Random(seed), keys=60):
        if field_times or not command[0].startswith(b"HPEXPIRE"):
            with contextlib.suppress(redis.ResponseError):  # a key of another type, behind another seed
                client.execute_command(*command)


def digest(client: redis.Redis) -> bytes:
    return client.execute_command("DEBUG", "DIGEST")


def persistence(client: redis.Redis) -> dict[str, object]:
    return client.info("persistence")


def rewritten(client: redis.Redis, count: int = 1) -> None:
    until(lambda: persistence(client)["aof_rewrites"] >= count)


def increment(folder: Path) -> Path:
    return sorted((folder / PARTS).glob("*.incr.aof"))[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, *ALWAYS) as server:
        yield server


def test_what_was_acknowledged_is_there_after_a_kill(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    fill(client)
    client.select(3)
    fill(client, seed=2)
    before = digest(client)
    server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert digest(again.client()) == before
        assert persistence(again.client())["rdb_changes_since_last_save"] == 0
        again.client().set("more", 1)
        before = digest(again.client())
    with serving(tmp_path, *KEPT) as again:
        assert digest(again.client()) == before


def test_a_new_base_takes_the_place_of_what_was_before(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    fill(client)
    assert client.bgrewriteaof()
    client.set("behind", "the base")
    rewritten(client)
    before = digest(client)
    names = sorted(path.name for path in (tmp_path / PARTS).iterdir())
    assert names == ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert digest(again.client()) == before


def test_it_is_rewritten_when_it_has_grown(tmp_path: Path) -> None:
    with serving(tmp_path, *KEPT, "--auto-aof-rewrite-min-size", "100kb") as server:
        client = client_of(server)
        for _ in range(3):
            for _ in range(50):
                client.set("key", bytes(10_000))
        rewritten(client)
        until(lambda: persistence(client)["aof_current_size"] < 200_000)


def test_redis_loads_ours_and_we_load_its(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir(), theirs.mkdir()
    with serving(ours, *ALWAYS) as server:
        client = client_of(server)
        fill(client, field_times=False)
        client.execute_command("BGREWRITEAOF")
        rewritten(client)
        with client.pipeline() as transaction:
            transaction.rpush("list", 1, 2).spop("none").sadd("set", *range(20)).spop("set", 5).execute()
        fill(client, seed=3, field_times=False)
        before = digest(client)
    checked = subprocess.run(
        ["redis-check-aof", ours / PARTS / "appendonly.aof.manifest"], capture_output=True, text=True, check=False
    )
    assert "All AOF files and manifest are valid" in checked.stdout, checked.stdout
    with real_redis(ours, "redis", "--appendonly", "yes") as port, contextlib.closing(redis.Redis(port=port)) as other:
        assert digest(other) == before
    with (
        real_redis(theirs, "redis", "--appendonly", "yes") as port,
        contextlib.closing(redis.Redis(port=port)) as other,
    ):
        fill(other, field_times=False)
        other.bgrewriteaof()
        until(lambda: not persistence(other)["aof_rewrite_in_progress"])
        fill(other, seed=4, field_times=False)
        with other.pipeline() as transaction:
            transaction.rpush("list", 1, 2).incrbyfloat("number", 0.1).execute()
        before = digest(other)
    with serving(theirs, *KEPT) as server:
        assert digest(server.client()) == before


def test_a_torn_end_is_cut_off_with_a_warning(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    client.set("kept", 1)
    server.kill()
    whole = increment(tmp_path).read_bytes()
    for torn in (
        b"*3\r\n$3\r\nSET\r\n$4\r\nlost\r\n$5\r\nha",
        b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$4\r\nkept\r\n",
        b"\0" * 5000,
    ):
        increment(tmp_path).write_bytes(whole + torn)
        with serving(tmp_path, *KEPT) as again:
            assert again.client().keys() == [b"kept"]
            assert f"its last {len(torn)} bytes are cut off" in again.log.read_text()
        assert increment(tmp_path).read_bytes().startswith(whole + b"#RK:")
    increment(tmp_path).write_bytes(whole + b"*3\r\n$3\r\nSET")
    refused = started(tmp_path, "--aof-load-truncated", "no")
    assert refused.returncode == 1
    assert "check-aof" in refused.stderr
    assert increment(tmp_path).read_bytes() == whole + b"*3\r\n$3\r\nSET"


def started(folder: Path, *directives: str) -> subprocess.CompletedProcess[str]:
    """A start that fails."""
    words = ["--port", "0", "--admin-port", "1", "--dir", str(folder), *KEPT, *directives]
    return subprocess.run(
        [sys.executable, "-P", "-m", "ringkeeper.server", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data.replace(b"$3\r\nSET", b"$4\r\nSET", 1), r"incr\.aof is damaged at byte \d+"),
        (lambda data: data.replace(b"SET", b"SOT", 1), "is no command"),
        (lambda data: data.replace(b"$5\r\nRPUSH", b"$5\r\nXPUSH", 1), "is no command"),
        (lambda data: data.replace(b"SELECT\r\n$1\r\n0", b"SELECT\r\n$1\r\nx", 1), "there is no database"),
    ],
)
def test_damage_in_the_middle_stops_the_node_and_changes_nothing(
    server: Server, tmp_path: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    client = client_of(server)
    for number in range(20):
        client.execute_command("SET", f"key{number}", "v")
        client.execute_command("RPUSH", f"list{number}", "v")
    server.kill()
    damaged = damage(increment(tmp_path).read_bytes())
    increment(tmp_path).write_bytes(damaged)
    refused = started(tmp_path)
    assert refused.returncode == 1
    assert re.search(words, refused.stderr), refused.stderr
    assert str(increment(tmp_path)) in refused.stderr
    assert "Nothing was changed or deleted" in refused.stderr
    assert increment(tmp_path).read_bytes() == damaged


def test_a_missing_manifest_or_part_stops_the_node(server: Server, tmp_path: Path) -> None:
    client_of(server).set("key", 1)
    server.kill()
    manifest = tmp_path / PARTS / "appendonly.aof.manifest"
    text = manifest.read_bytes()
    manifest.unlink()
    assert "appendonly.aof.manifest is missing" in started(tmp_path).stderr
    manifest.write_bytes(text)
    path = increment(tmp_path)
    moved = path.rename(tmp_path / "moved")
    assert f"{path.name}: No such file or directory" in started(tmp_path).stderr
    moved.rename(path)
    with serving(tmp_path, *KEPT) as again:
        assert again.client().get("key") == b"1"


def test_it_is_switched_on_while_it_serves(tmp_path: Path) -> None:
    with serving(tmp_path, *DEBUG) as server:
        client = client_of(server)
        fill(client)
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        fill(client, seed=5)
        rewritten(client)
        client.set("last", 1)
        before = digest(client)
        server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert digest(again.client()) == before


def test_it_is_switched_off_without_losing_what_it_held(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    fill(client)
    before = digest(client)
    client.config_set("appendonly", "no")
    until(lambda: not (tmp_path / PARTS / "appendonly.aof.manifest").exists())
    client.set("not kept", 1)
    server.kill()
    with serving(tmp_path, *KEPT) as again:  # the snapshot is the data now, whatever is asked for the future
        assert digest(again.client()) == before
        client = client_of(again)
        client.set("kept", 1)
        client.config_set("appendonly", "no")
        client.config_set("appendonly", "yes")
        rewritten(client)
        client.config_set("appendfsync", "always")
        client.set("last", 1)
        before = digest(client)
        again.kill()
    with serving(tmp_path, *DEBUG) as again:  # and a start without it finds what it held
        assert digest(again.client()) == before
        assert (tmp_path / "dump.rdb").exists()
        assert not (tmp_path / PARTS / "appendonly.aof.manifest").exists()
        again.kill()
    with serving(tmp_path, *DEBUG) as again:
        assert digest(again.client()) == before


def test_a_second_process_on_the_folder_is_refused(server: Server, tmp_path: Path) -> None:
    refused = started(tmp_path)
    assert refused.returncode == 1
    assert f"another node uses this folder, process {server.process.pid}" in refused.stderr


def test_what_expires_and_is_evicted_is_told(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    client.set("short", 1, px=1)
    client.hset("hash", mapping={"short": 1, "long": 2})
    client.hpexpire("hash", 1, "short")
    client.set("keeps", 1, ex=100)
    until(lambda: not client.exists("short") and client.hlen("hash") == 1)
    client.config_set("maxmemory-policy", "allkeys-random")
    for number in range(100):
        client.set(f"filler{number}", bytes(1000))
    client.config_set("maxmemory", 50_000)
    until(lambda: client.info("memory")["used_memory_dataset"] and client.dbsize() < 60)
    client.config_set("maxmemory", 0)  # what goes meanwhile would be listed, or not, by chance
    left, ttl = sorted(client.keys()), client.pexpiretime("keeps") if client.exists("keeps") else None
    server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert sorted(again.client().keys()) == left
        if ttl is not None:
            assert again.client().pexpiretime("keeps") == ttl


def test_who_waited_for_a_key_took_it_for_good(server: Server, tmp_path: Path) -> None:
    waiting = server.connect()
    waiting.sendall(b"BLPOP list 0\r\n")
    client = client_of(server)
    until(lambda: client.info("clients")["blocked_clients"] == 1)
    client.rpush("list", "first", "second")
    assert waiting.recv(100).endswith(b"first\r\n")
    waiting.close()
    server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert again.client().lrange("list", 0, -1) == [b"second"]


def test_a_killed_child_leaves_the_log_as_it_was(server: Server, tmp_path: Path) -> None:
    client = client_of(server)
    fill(client)
    client.execute_command("DEBUG", "POPULATE", 300_000)
    client.execute_command("BGREWRITEAOF")
    [child] = map(int, Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split())
    os.kill(child, signal.SIGKILL)
    until(lambda: persistence(client)["aof_last_bgrewrite_status"] == "err")
    client.set("more", 1)
    names = {key for key in client.scan_iter() if not key.startswith(b"key:")}
    server.kill()
    with serving(tmp_path, *KEPT) as again:
        assert names <= set(again.client().keys())
        client = client_of(again)
        client.execute_command("BGREWRITEAOF")
        rewritten(client)
        assert len(list((tmp_path / PARTS).iterdir())) == 3


def test_who_quits_behind_a_pipeline_gets_its_replies(server: Server) -> None:
    connection = server.connect()
    connection.sendall(b"".join(b"SET key%d v\r\n" % number for number in range(5000)) + b"QUIT\r\n")
    received = b""
    while data := connection.recv(65536):
        received += data
    assert received == b"+OK\r\n" * 5001
    assert client_of(server).dbsize() == 5000
