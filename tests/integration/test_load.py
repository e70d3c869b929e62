"""`ringkeeper load`: a real Redis's dump goes into a cluster, whatever happens meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from laptop import ROOT, Cli, eventually
from persist.corpus import contents
from persist.datasets import FAR_MS, commands
from ports import free_base_port
from real_redis import real_redis

from ringkeeper.persist.payload import restore
from ringkeeper.types.collection import Limits

MANY = 40_000
RATE = ("--rate", "8000")
"""Slow enough for a load of them to be interrupted."""


def dump_of(folder: Path, fill: Callable[[redis.Redis], None]) -> Path:
    """The file that a real Redis writes of what `fill` puts into it."""
    (folder / "made").mkdir()
    with real_redis(folder / "made") as port:
        client = redis.Redis(port=port)
        fill(client)
        client.save()
        client.close()
    return (folder / "made" / "dump.rdb").rename(folder / "dump.rdb")


def fill_with_everything(client: redis.Redis) -> None:
    for command in commands(Random(7), keys=300, halves=False):
        if command[0] != b"SELECT":
            client.execute_command(*command)
    client.set("large", Random(7).randbytes(400_000))


def fill_with_many(client: redis.Redis) -> None:
    client.execute_command("DEBUG", "POPULATE", MANY, "key", 30)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dump_of(tmp_path_factory.mktemp("everything"), fill_with_everything)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dump_of(tmp_path_factory.mktemp("many"), fill_with_many)


@pytest.fixture
def cluster(quickstart: tuple[Cli, int]) -> Iterator[tuple[Cli, redis.RedisCluster]]:
    """The quickstart, empty."""
    cli, port = quickstart
    client = redis.RedisCluster(host="127.0.0.1", port=port)
    client.flushall()
    yield cli, client
    client.close()


def held(client: redis.Redis | redis.RedisCluster) -> dict[bytes, tuple[object, int]]:
    """What a server or a cluster holds: key -> content and time to expire."""
    return {
        key: (contents(restore(client.dump(key), Limits())), client.execute_command("PEXPIRETIME", key))
        for key in client.scan_iter(count=1000)
    }


def size(client: redis.Redis | redis.RedisCluster) -> int:
    """Keys, of all nodes."""
    nodes = {"target_nodes": redis.RedisCluster.PRIMARIES} if isinstance(client, redis.RedisCluster) else {}
    return int(client.dbsize(**nodes))


def loaded(cli: Cli, *arguments: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(cli("load", *arguments, "--json", code=code).stdout))


# All goes well


def test_every_key_of_every_type_arrives_with_its_time_to_expire(
    cluster: tuple[Cli, redis.RedisCluster], everything: Path, tmp_path: Path
) -> None:
    cli, client = cluster
    report = loaded(cli, str(everything), "--to", "quickstart")
    shutil.copy(everything, tmp_path)
    with real_redis(tmp_path) as port:
        expected = held(redis.Redis(port=port))
    assert len(expected) > 250
    assert len([at for _, at in expected.values() if at >= FAR_MS]) > 50
    assert held(client) == expected
    assert report["complete"]
    assert report["loaded"] == len(expected)
    assert len(report["nodes"]) == 3
    assert sum(report["nodes"].values()) == len(expected)
    assert not list((cli.home / "ringkeeper").glob("loads")), "nothing is to be gone on with"


def test_the_folder_and_any_node_name_the_cluster_too(
    cluster: tuple[Cli, redis.RedisCluster], everything: Path
) -> None:
    cli, client = cluster
    status = cli.status()
    node = status["nodes"][1]
    dry = loaded(cli, str(everything), "--to", f"{node['host']}:{node['port']}", "--dry-run")
    assert size(client) == 0
    wet = loaded(cli, str(everything), "--to", status["data"])
    assert size(client) == wet["loaded"] == dry["loaded"]
    assert dry["nodes"] == wet["nodes"]
    said = cli("load", str(everything), "--to", "quickstart", "--replace").stdout
    assert f"{wet['loaded']:,} keys loaded" in said


def test_expired_keys_other_databases_and_other_names_are_left_out(
    cluster: tuple[Cli, redis.RedisCluster], tmp_path: Path
) -> None:
    def fill(client: redis.Redis) -> None:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        client.mset({"session:1": "a", "session:2": "b", "cart:1": "c"})
        client.set("session:old", "x", px=1)
        client.select(3)
        client.set("other", "d")

    cli, client = cluster
    file = str(dump_of(tmp_path, fill))
    refused = cli("load", file, "--to", "quickstart", code=1).stderr
    assert "it holds the databases 0 (4 keys), 3 (1 keys), and a cluster has one: say which with --db" in refused
    assert "nothing was sent" in refused
    report = loaded(cli, file, "--to", "quickstart", "--db", "0", "--match", "session:*")
    assert (report["loaded"], report["expired"], report["unwanted"]) == (2, 1, 2)
    assert sorted(client.scan_iter()) == [b"session:1", b"session:2"]
    assert loaded(cli, file, "--to", "quickstart", "--db", "3")["loaded"] == 1
    assert "no key in database 7" in cli("load", file, "--to", "quickstart", "--db", "7", code=1).stderr


def test_what_is_there_already_ends_the_load_or_is_overwritten_or_left(
    cluster: tuple[Cli, redis.RedisCluster], tmp_path: Path
) -> None:
    cli, client = cluster
    file = str(dump_of(tmp_path, lambda source: source.mset({f"key:{i}": "new" for i in range(50)})))
    client.set("key:7", "old")
    for _ in range(2):
        stopped = cli("load", file, "--to", "quickstart", code=1).stderr
        assert "the cluster has a key b'key:7' already; --replace overwrites such keys" in stopped
        assert client.get("key:7") == b"old", "nor is it taken for one that the first attempt put there"
    report = loaded(cli, file, "--to", "quickstart", "--skip-existing")
    assert (report["loaded"] + report["existing"], client.get("key:7")) == (50, b"old")
    assert loaded(cli, file, "--to", "quickstart", "--replace")["loaded"] == 50
    assert client.get("key:7") == b"new"
    assert cli("load", file, "--to", "quickstart", "--replace", "--skip-existing", code=2)


def test_keys_come_with_how_long_they_were_idle(tmp_path: Path) -> None:
    def fill(client: redis.Redis) -> None:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.execute_command("RESTORE", "k", 0, dumped(client), "IDLETIME", 5000)

    cli = Cli(tmp_path)
    with real_redis(tmp_path, "redis", "--maxmemory-policy", "allkeys-lru") as port:
        file = dump_of(tmp_path, fill)
        loaded(cli, str(file), "--to", f"127.0.0.1:{port}")
        assert 5000 <= redis.Redis(port=port).object("idletime", "k") < 5100


def dumped(client: redis.Redis) -> bytes:
    client.set("k", "v")
    payload = client.dump("k")
    client.delete("k")
    return payload


# It is interrupted


def begun(cli: Cli, log: Path, file: Path) -> Any:
    """A load that has noted how far it is, and is halted there."""

    def noted() -> bool:
        records = list((cli.home / "ringkeeper" / "loads").glob("*.json"))
        return any(json.loads(record.read_bytes())["figures"]["loaded"] for record in records)

    with log.open("w") as out:
        process = cli.start("load", str(file), "--to", "quickstart", *RATE, stdout=out)
    eventually(lambda: noted() or process.poll() is not None, "the load has begun")
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None, log.read_text()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_load_goes_on_where_it_stopped(
    cluster: tuple[Cli, redis.RedisCluster], many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    cli, client = cluster
    process = begun(cli, tmp_path / "log", many)
    assert "is being loaded into" in cli("load", str(many), "--to", "quickstart", code=1).stderr
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    code = process.wait(60)
    if number != signal.SIGKILL:
        assert code == 130
        assert "the same command goes on from there" in (tmp_path / "log").read_text()
    assert 0 < size(client) < MANY
    other = cli("load", str(many), "--to", "quickstart", "--match", "x*", code=1).stderr
    assert "the load that was interrupted had no --match" in other
    report = loaded(cli, str(many), "--to", "quickstart")
    assert report["wentOnAt"] > 1000
    assert (report["loaded"], report["existing"], size(client)) == (MANY, 0, MANY)
    assert not list((cli.home / "ringkeeper").glob("loads"))


def test_another_file_of_the_same_name_is_not_gone_on_with(
    cluster: tuple[Cli, redis.RedisCluster], many: Path, everything: Path, tmp_path: Path
) -> None:
    cli, client = cluster
    file = Path(shutil.copy(many, tmp_path / "dump.rdb"))
    process = begun(cli, tmp_path / "log", file)
    process.kill()
    process.wait(60)
    shutil.copy(everything, file)
    assert "is not the file any more" in cli("load", str(file), "--to", "quickstart", code=1).stderr
    client.flushall()
    report = loaded(cli, str(file), "--to", "quickstart", "--restart")
    assert (report["wentOnAt"], size(client)) == (0, report["loaded"])


def test_a_node_that_dies_meanwhile_is_waited_for_and_named(cli: Cli, many: Path, tmp_path: Path) -> None:
    port = free_base_port()
    alone = (ROOT / "examples/quickstart.yaml").read_text().replace("replicasPerShard: 1", "replicasPerShard: 0")
    cli("up", "-f", "-", "--base-port", str(port), "--detach", text=alone)
    process = begun(cli, tmp_path / "log", many)
    cli("kill", "1-0")
    process.send_signal(signal.SIGCONT)
    code = process.wait(100)
    said = (tmp_path / "log").read_text()
    assert code == 1, said
    assert f"127.0.0.1:{port + 1} was started anew during the load" in said
    report = loaded(cli, str(many), "--to", "quickstart", "--restart", "--skip-existing")
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        assert size(client) == MANY
        client.flushall()
    assert report["loaded"] > 0
    begun(cli, tmp_path / "log", many).kill()
    cli("down")
    assert not (tmp_path / "ringkeeper").exists(), "nothing is known any more of loads into a cluster that is gone"


# It cannot be done


def test_a_cluster_that_is_not_there_is_told_from_those_that_are(
    cluster: tuple[Cli, redis.RedisCluster], everything: Path
) -> None:
    cli, _ = cluster
    said = cli("load", str(everything), "--to", "quikstart", code=2).stderr
    assert "there is no cluster quikstart here; there is: quickstart" in said
    assert "HOST:PORT" in said
    nobody = cli("load", str(everything), "--to", "127.0.0.1:1", "--wait", "0", code=1).stderr
    assert "127.0.0.1:1 cannot be reached" in nobody
    assert "Traceback" not in said + nobody


def test_a_password_is_asked_for_and_taken_from_the_environment(tmp_path: Path, everything: Path) -> None:
    cli = Cli(tmp_path)
    with real_redis(tmp_path) as port:
        redis.Redis(port=port).config_set("requirepass", "secret")
        arguments = ("load", str(everything), "--to", f"127.0.0.1:{port}")
        assert "asks for a password: --password" in cli(*arguments, code=1).stderr
        assert "--user needs --password" in cli(*arguments, "--user", "default", code=2).stderr
        assert "WRONGPASS" in cli(*arguments, "--password", "wrong", code=1).stderr
        cli(*arguments, RINGKEEPER_PASSWORD="secret")
        assert size(redis.Redis(port=port, password="secret")) > 250


def test_a_damaged_file_is_refused_before_anything_is_sent(
    cluster: tuple[Cli, redis.RedisCluster], many: Path, tmp_path: Path
) -> None:
    cli, client = cluster
    data = many.read_bytes()
    file = tmp_path / "dump.rdb"
    file.write_bytes(data[:-1000])
    said = cli("load", str(file), "--to", "quickstart", code=1).stderr
    assert "it is damaged at byte" in said
    assert size(client) == 0
    done = cli("load", str(file), "--to", "quickstart", "--no-check", "--db", "0", code=1)
    assert "cannot be read on at byte" in done.stderr
    assert f"{size(client):,} keys loaded" in done.stdout
    cli("load", str(file), "--to", "quickstart", "--no-check", code=2)
    assert MANY - 100 < size(client) < MANY
    file.write_bytes(b"*2\r\n$6\r\nSELECT\r\n")
    assert "which no RDB file does" in cli("load", str(file), "--to", "quickstart", code=1).stderr


def test_what_is_not_supported_is_named_or_left_out(cluster: tuple[Cli, redis.RedisCluster], tmp_path: Path) -> None:
    def fill(client: redis.Redis) -> None:
        client.set("k", "v")
        client.xadd("events", {"a": "b"})

    cli, client = cluster
    file = str(dump_of(tmp_path, fill))
    said = cli("load", file, "--to", "quickstart", code=1).stderr
    assert "it holds what is not supported: stream events, at byte" in said
    assert "--skip-unsupported" in said
    assert "stream" in cli("load", file, "--to", "quickstart", "--no-check", "--db", "0", code=1).stderr
    client.flushall()
    report = loaded(cli, file, "--to", "quickstart", "--skip-unsupported", "--restart")
    assert (report["loaded"], report["unsupported"], client.get("k")) == (1, 1, b"v")


def test_a_full_server_ends_the_load_which_goes_on_when_there_is_room(tmp_path: Path, many: Path) -> None:
    cli = Cli(tmp_path)
    with real_redis(tmp_path, "redis", "--maxmemory", "4mb") as port:
        arguments = (str(many), "--to", f"127.0.0.1:{port}")
        said = cli("load", *arguments, code=1).stderr
        assert f"127.0.0.1:{port} has no memory left for key" in said
        assert "the same command goes on from there" in said
        client = redis.Redis(port=port)
        assert 0 < size(client) < MANY
        client.config_set("maxmemory", "0")
        report = loaded(cli, *arguments)
        assert (report["loaded"], size(client)) == (MANY, MANY)
        assert report["wentOnAt"] > 1000


def test_a_value_that_the_server_does_not_know_is_named(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "valkey").mkdir()
    with real_redis(tmp_path, "valkey") as port, real_redis(tmp_path) as old:
        client = redis.Redis(port=port)
        client.hset("h", "f", "v")
        client.execute_command("HPEXPIREAT", "h", FAR_MS, "FIELDS", 1, "f")
        client.save()
        said = cli("load", str(tmp_path / "dump.rdb"), "--to", f"127.0.0.1:{old}", code=1).stderr
        assert "does not know the form of key b'h'" in said
