"""Snapshots of a real node: taken, loaded, read by others; and what happens when the disk or the child fails."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import redis
from persist.datasets import commands
from persist.rdb_files import read_file
from ports import free_ports
from real_redis import real_redis
from server_process import AT_ONCE, DEADLINE, Server

from ringkeeper.persist.rdb import RdbWriter

DEBUG = ("--enable-debug-command", "yes")
MANY = 300_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, *DEBUG)
    yield server
    server.stop()


def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fill(client: redis.Redis, seed: int = 1, field_times: bool = True) -> None:
    for command in commands(Random(seed), keys=80):
        if field_times or not command[0].startswith(b"HPEXPIRE"):
            client.execute_command(*command)


def digest(client: redis.Redis) -> bytes:
    return client.execute_command("DEBUG", "DIGEST")


def persistence(client: redis.Redis) -> dict[str, object]:
    return client.info("persistence")


def saved(client: redis.Redis) -> None:
    until(lambda: not persistence(client)["rdb_bgsave_in_progress"])


def test_a_restarted_node_has_its_data_and_others_read_the_file(server: Server, tmp_path: Path) -> None:
    client = server.client(single_connection_client=True)
    fill(client, field_times=False)
    client.hset("large", mapping={str(number): "1.5" for number in range(600)})
    client.hincrbyfloat("large", "7", "0.25")
    client.incrbyfloat("number", "0.25")
    before = digest(client)
    began = client.lastsave()
    assert client.bgsave()
    saved(client)
    facts = persistence(client)
    assert facts["rdb_last_bgsave_status"] == "ok"
    assert facts["rdb_saves"] == 1
    assert facts["rdb_changes_since_last_save"] == 0
    assert client.lastsave() >= began
    server.kill()
    again = Server(tmp_path, *DEBUG)
    try:
        assert digest(again.client()) == before
        assert persistence(again.client())["rdb_last_load_keys_loaded"] == len(
            read_file((tmp_path / "dump.rdb").read_bytes()).keys
        )
    finally:
        again.stop()
    checker = shutil.which("redis-check-rdb")
    assert checker, "apt-get install redis-tools"
    assert subprocess.run([checker, tmp_path / "dump.rdb"], capture_output=True).returncode == 0
    with real_redis(tmp_path) as port:
        assert redis.Redis(port=port).execute_command("DEBUG", "DIGEST") == before


def test_valkey_reads_a_file_with_fields_that_expire(server: Server, tmp_path: Path) -> None:
    client = server.client(single_connection_client=True)
    fill(client)
    client.execute_command("HSET", "h", "a", 1, "b", 2)
    client.execute_command("HPEXPIREAT", "h", 4_000_000_000_000, "FIELDS", 1, "a")
    assert client.save()
    assert (tmp_path / "dump.rdb").read_bytes().startswith(b"VALKEY080")
    before = digest(client)
    server.kill()
    with real_redis(tmp_path, "valkey") as port:
        assert redis.Redis(port=port).execute_command("DEBUG", "DIGEST") == before


def test_a_node_that_is_told_to_stop_saves_if_there_are_rules(tmp_path: Path) -> None:
    server = Server(tmp_path, "--save", "3600 1")
    server.client().set("key", "value")
    assert server.stop() == 0
    assert [key for _, key in read_file((tmp_path / "dump.rdb").read_bytes()).keys] == [b"key"]
    server = Server(tmp_path, "--save", "3600 1")
    server.client().set("other", "value")
    server.client().shutdown(nosave=True)
    assert server.process.wait(DEADLINE) == 0
    assert [key for _, key in read_file((tmp_path / "dump.rdb").read_bytes()).keys] == [b"key"]


def test_without_rules_nothing_is_saved_but_on_demand(server: Server, tmp_path: Path) -> None:
    server.client().set("key", "value")
    server.stop()
    assert not (tmp_path / "dump.rdb").exists()


def test_a_rule_takes_a_snapshot(tmp_path: Path) -> None:
    server = Server(tmp_path, "--save", "1 2")
    try:
        client = server.client()
        client.set("one", 1)
        client.set("two", 2)
        until(lambda: persistence(client)["rdb_saves"] == 1)
        assert client.config_get("save") == {"save": "1 2"}
        with pytest.raises(redis.ResponseError, match="Invalid save parameters"):
            client.config_set("save", "60")
    finally:
        server.stop()


def test_a_second_save_is_refused_or_scheduled(server: Server) -> None:
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", MANY)
    client.bgsave()
    for command in (["SAVE"], ["BGSAVE"]):
        with pytest.raises(redis.ResponseError, match="Background save already in progress"):
            client.execute_command(*command)
    client.execute_command("BGSAVE", "SCHEDULE")
    until(lambda: persistence(client)["rdb_saves"] == 2)
    with pytest.raises(redis.ResponseError, match="syntax error"):
        client.execute_command("BGSAVE", "NOW")


def test_a_save_is_cancelled_as_by_valkey(server: Server, tmp_path: Path) -> None:
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", MANY)
    client.bgsave()
    client.execute_command("BGSAVE", "SCHEDULE")
    client.execute_command("BGSAVE", "CANCEL")
    saved(client)
    assert persistence(client)["rdb_last_bgsave_status"] == "ok"
    until(lambda: persistence(client)["rdb_saves"] == 1)
    with pytest.raises(redis.ResponseError, match="currently not in progress or scheduled"):
        client.execute_command("BGSAVE", "CANCEL")
    assert [file.name for file in tmp_path.glob("*.rdb")] == ["dump.rdb"]


def test_only_who_asked_for_a_save_waits(server: Server) -> None:
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", MANY)
    connection = server.connect()
    connection.sendall(b"SAVE\r\nPING\r\n")
    until(lambda: persistence(client)["rdb_bgsave_in_progress"])
    assert client.get("key:1") == b"value:1"
    answer = b""
    while answer.count(b"\r\n") < 2:
        answer += connection.recv(100)
    assert answer == b"+OK\r\n+PONG\r\n"
    connection.close()


def state(server: Server) -> dict[str, object]:
    """What a node tells its operator."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.admin_port}/control/state", headers={"Authorization": "Bearer secret"}
    )
    return json.loads(urllib.request.urlopen(request).read())


def test_a_disk_that_fails_stops_writes_until_it_is_well(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    server = Server(tmp_path, "--save", "3600 1", "--admin-token-file", str(tmp_path / "token"))
    try:
        client = server.client()
        client.set("key", "value")
        assert state(server)["persistenceError"] == ""
        obstacle = tmp_path / "dump.rdb"
        obstacle.mkdir()
        with pytest.raises(redis.ResponseError, match="Is a directory"):
            client.save()
        assert persistence(client)["rdb_last_bgsave_status"] == "err"
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.set("key", "other")
        assert client.get("key") == b"value"
        assert "Is a directory" in state(server)["persistenceError"]
        assert not list(tmp_path.glob("temp-*"))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "does not stop" in server.log.read_text())
        obstacle.rmdir()
        until(lambda: persistence(client)["rdb_last_bgsave_status"] == "ok")
        assert client.set("key", "other")
        assert state(server)["persistenceError"] == ""
    finally:
        assert server.stop() == 0
    assert read_file((tmp_path / "dump.rdb").read_bytes()).keys == {(0, b"key"): (b"other", -1)}


def test_a_child_that_is_killed_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", MANY)
    client.bgsave()
    child = int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text())
    os.kill(child, signal.SIGKILL)
    saved(client)
    assert persistence(client)["rdb_last_bgsave_status"] == "err"
    assert not list(tmp_path.glob("*.rdb"))
    assert client.set("key", "value"), "without rules nobody counts on snapshots"


def sockets_of(pid: str) -> list[str]:
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(link))
    return [name for name in links if name.startswith("socket:")]


def test_the_child_ends_with_its_parent_and_frees_the_port(server: Server) -> None:
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", MANY)
    client.bgsave()
    child = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().strip()
    until(lambda: not sockets_of(child))
    server.kill()
    until(lambda: not Path(f"/proc/{child}").exists())


@pytest.mark.parametrize("cut", [9, 1000, -9])
def test_a_damaged_file_stops_the_node_and_stays(tmp_path: Path, cut: int) -> None:
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    for number in range(1000):
        writer.entry(b"key %d" % number, b"value")
    writer.end()
    data = b"".join(chunks)[:cut]
    (tmp_path / "dump.rdb").write_bytes(data)
    port, admin = free_ports(2)
    found = subprocess.run(
        [sys.executable, "-P", "-m", "ringkeeper.server", "--port", str(port), "--admin-port", str(admin),
         "--bind", "127.0.0.1", "--dir", str(tmp_path)],
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert f"{tmp_path}/dump.rdb is damaged at byte" in found.stderr
    assert "it ends too early" in found.stderr
    assert "Nothing was changed" in found.stderr
    assert (tmp_path / "dump.rdb").read_bytes() == data


def test_a_node_that_is_told_to_stop_while_it_loads_leaves_the_file_alone(tmp_path: Path) -> None:
    with (tmp_path / "dump.rdb").open("wb") as file:
        writer = RdbWriter(file.write)
        for number in range(2 * MANY):
            writer.entry(b"key %d" % number, b"%d" % number)
        writer.end()
    before = (tmp_path / "dump.rdb").read_bytes()
    server = Server(tmp_path, "--save", "3600 1", awaits="Loading")
    assert server.stop() == 0
    assert (tmp_path / "dump.rdb").read_bytes() == before
    assert "DB saved" not in server.log.read_text()


def test_a_loading_node_says_so_and_is_healthy(tmp_path: Path) -> None:
    with (tmp_path / "dump.rdb").open("wb") as file:
        writer = RdbWriter(file.write)
        for number in range(2 * MANY):
            writer.entry(b"key %d" % number, b"%d" % number)
        writer.end()
    (tmp_path / "token").write_text("secret")
    server = Server(tmp_path, "--admin-token-file", str(tmp_path / "token"), awaits="Loading")
    try:
        client = redis.Redis(port=server.port, retry=AT_ONCE)
        facts = persistence(client)
        assert facts["loading"] == 1
        assert facts["loading_total_bytes"] == (tmp_path / "dump.rdb").stat().st_size
        with pytest.raises(redis.exceptions.BusyLoadingError):
            client.get("key 1")
        url = f"http://127.0.0.1:{server.admin_port}"
        assert urllib.request.urlopen(f"{url}/healthz").read() == b"ok\n"
        told = state(server)
        assert told["state"] == "loading"
        assert 0 <= told["loaded"] <= 1
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/readyz")
        assert b"loading its data" in refused.value.read()
        until(lambda: persistence(client)["loading"] == 0)
        told = state(server)
        assert (told["state"], told["loaded"]) == ("online", None)
        assert client.get("key 1") == b"1"
        assert client.dbsize() == 2 * MANY
    finally:
        server.stop()


@pytest.mark.parametrize("compression", ["yes", "no"])
@pytest.mark.parametrize("checksum", ["yes", "no"])
def test_files_with_and_without_compression_and_checksum_are_read_by_all(
    compression: str, checksum: str, tmp_path: Path
) -> None:
    options = (*DEBUG, "--rdbcompression", compression, "--rdbchecksum", checksum)
    server = Server(tmp_path, *options)
    try:
        client = server.client(single_connection_client=True)
        fill(client, field_times=False)
        client.set("long", b"abcd" * 1000)
        assert (len(client.dump("long")) < 1000) == (compression == "yes")
        client.save()
        expected = digest(client)
    finally:
        server.stop()
    file = (tmp_path / "dump.rdb").read_bytes()
    assert (b"abcd" * 1000 in file) == (compression == "no")
    assert (file[-8:] == bytes(8)) == (checksum == "no")
    checker = shutil.which("redis-check-rdb")
    assert checker, "apt-get install redis-tools"
    assert subprocess.run([checker, tmp_path / "dump.rdb"], capture_output=True).returncode == 0
    server = Server(tmp_path, *options)
    try:
        assert digest(server.client()) == expected
    finally:
        server.stop()
    with real_redis(tmp_path, "redis") as port:
        assert digest(redis.Redis(port=port)) == expected


def test_a_checksum_that_is_not_to_be_looked_at_is_not(tmp_path: Path) -> None:
    with (tmp_path / "dump.rdb").open("wb") as file:
        writer = RdbWriter(file.write)
        writer.entry(b"key", b"value")
        writer.end()
        file.seek(-8, os.SEEK_END)
        file.write(b"wrongsum")
    server = Server(tmp_path, "--rdbchecksum", "no")
    try:
        assert server.client().get("key") == b"value"
    finally:
        server.stop()
