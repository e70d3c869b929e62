"""`ringkeeper up` with `persistence`: what is written is there again, and what people are told of it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from laptop import ROOT, Cli, eventually, is_alive
from ports import free_base_port

KEYS = {f"key:{number}": f"value {number}" for number in range(300)}


def manifest(persistence: str, shards: int = 2) -> str:
    return f"""
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: c}}
spec: {{shards: {shards}, replicasPerShard: 0, memory: 64Mi, persistence: {persistence}}}
"""


SNAPSHOTS = manifest("{mode: snapshot, size: 256Mi}")


def write(port: int) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        for key, value in KEYS.items():
            client.set(key, value)


def held(port: int) -> dict[str, str | None]:
    with redis.RedisCluster(host="127.0.0.1", port=port, decode_responses=True) as client:
        return {key: client.get(key) for key in KEYS}


def test_what_was_written_is_there_when_the_cluster_comes_up_again(cli: Cli, tmp_path: Path) -> None:
    port, data = free_base_port() + 2, tmp_path / "data"
    shown = cli("up", "-f", "-", "--base-port", str(port), "--data", str(data), "-d", text=SNAPSHOTS).stdout
    assert f"data:    {data}" in shown
    write(port)
    before = cli.status()
    done = cli("down").stdout
    assert f"c is down; its data stays in {data}" in done
    assert not any(is_alive(node["pid"]) for node in before["nodes"])
    assert all((data / name / "dump.rdb").exists() for name in ("c-0-0", "c-1-0"))
    stopped = cli.status()
    assert {node["state"] for node in stopped["nodes"]} == {"stopped"}

    other = free_base_port()
    cli("up", "-f", "-", "--base-port", str(other), "-d", text=SNAPSHOTS)
    assert held(other) == KEYS
    after = cli.status()
    assert after["data"] == str(data)
    assert [node["id"] for node in after["nodes"]] == [node["id"] for node in before["nodes"]]
    assert {node["term"] for node in after["nodes"]} == {2}
    assert persisting(after) == ("True", "every node keeps its data: persistence snapshot, save 300 1")
    refused = cli("up", "-f", "-", "-d", text=SNAPSHOTS, code=1).stderr
    assert "alone can be changed meanwhile" in refused

    assert "nothing of it is left" in cli("down", "--delete-data").stdout
    assert not data.exists()


def persisting(status: dict[str, Any]) -> tuple[str, str]:
    (found,) = [entry for entry in status["conditions"] if entry["type"] == "Persisting"]
    return found["status"], found["message"]


def test_data_that_need_not_stay_goes_with_the_cluster(cli: Cli, tmp_path: Path) -> None:
    port = free_base_port()
    text = manifest("{mode: snapshot, size: 256Mi, retain: false}", shards=1)
    shown = tmp_path / "shown"
    (tmp_path / "cluster.yaml").write_text(text)
    with open(shown, "w") as out:
        up = cli.start("up", "-f", str(tmp_path / "cluster.yaml"), "--base-port", str(port), stdout=out)
    eventually(lambda: "is up" in shown.read_text(), "the cluster is up")
    data = Path(cli.status()["data"])
    assert data.is_relative_to(tmp_path)
    write(port)
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert "nothing of it is left" in shown.read_text()
    assert not data.exists()


def test_a_cluster_in_the_foreground_leaves_its_data_too(cli: Cli, tmp_path: Path) -> None:
    port = free_base_port()
    (tmp_path / "cluster.yaml").write_text(SNAPSHOTS)
    words = ("up", "-f", str(tmp_path / "cluster.yaml"), "--base-port", str(port))
    for number in range(2):
        with open(tmp_path / f"shown{number}", "w") as out:
            up = cli.start(*words, stdout=out)
        shown = tmp_path / f"shown{number}"
        eventually(lambda shown=shown: "is up" in shown.read_text(), "the cluster is up")
        if number == 0:
            write(port)
        assert held(port) == KEYS
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        assert "its data stays in" in shown.read_text()


def test_a_manifest_that_cannot_be_read_any_more_costs_no_data(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=SNAPSHOTS)
    write(port)
    status = cli.status()
    for node in status["nodes"]:
        redis.Redis(port=node["port"]).save()
    (Path(status["data"]) / "manifest.yaml").write_text("kind: [")
    assert "its data stays in" in cli("down").stdout
    assert (Path(status["data"]) / "c-0-0" / "dump.rdb").exists()


def test_persistence_is_switched_while_a_cluster_is_up(cli: Cli) -> None:
    port = free_base_port()
    words = ("up", "-f", "-", "--base-port", str(port), "-d")
    cli(*words, text=manifest("{mode: none}"))
    before = cli.status()
    assert not [entry for entry in before["conditions"] if entry["type"] == "Persisting"]
    write(port)
    done = cli(*words, text=manifest("{mode: snapshot, size: 1Gi, save: 3600 1}"))
    assert done.stdout == "c is changed: eviction noeviction, no namespaces and persistence snapshot, save 3600 1\n"
    for shard in (0, 1):
        assert redis.Redis(port=port + shard).config_get("save") == {"save": "3600 1"}
    after = cli.status()
    assert [node["pid"] for node in after["nodes"]] == [node["pid"] for node in before["nodes"]]
    assert "its data stays in" in cli("down").stdout
    cli(*words, text=manifest("{mode: none}"))
    assert held(port) == KEYS


def test_a_disk_that_fails_is_shown_until_it_is_well(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=manifest("{mode: snapshot, size: 1Gi}", shards=1))
    obstacle = Path(cli.status()["data"]) / "c-0-0" / "dump.rdb"
    obstacle.mkdir()
    with redis.Redis(port=port) as client:
        with pytest.raises(redis.ResponseError, match="Is a directory"):
            client.save()
        status = cli.status()
        assert persisting(status)[0] == "False"
        assert "1 of 1 nodes cannot keep their data" in persisting(status)[1]
        assert "c-0-0: cannot keep its data" in cli("status").stdout
        told = eventually(lambda: told_by_supervisor(status["data"]), "the supervisor sees it")
        assert "Is a directory" in told
        obstacle.rmdir()
    eventually(lambda: persisting(cli.status())[0] == "True", "it heals by itself, although nothing was changed")
    cli("down", "--delete-data")


def told_by_supervisor(data: str) -> str:
    """What the status that the supervisor writes says of a failing disk, or nothing."""
    status, text = persisting(json.loads((Path(data) / "status.json").read_text()))
    return text if status == "False" else ""


def test_a_typo_is_named_and_starts_nothing(cli: Cli, tmp_path: Path) -> None:
    done = cli("up", "-f", "-", "-d", text=manifest("{mode: snapshot, size: 1Gi, sav: 60 1}"), code=2)
    assert "spec.persistence.sav: unknown field; did you mean save?" in done.stderr
    done = cli("up", "-f", "-", "-d", text=manifest("{mode: snapshot, size: 1Gi, fsync: always}"), code=2)
    assert "spec.persistence.fsync: always is not allowed with mode snapshot" in done.stderr
    assert not (tmp_path / "ringkeeper").exists()


def test_the_example_keeps_its_data_on_this_machine(cli: Cli) -> None:
    port = free_base_port()
    words = ("up", "-f", str(ROOT / "examples/persistent.yaml"), "--base-port", str(port), "-d")
    cli(*words)
    write(port)
    with redis.Redis(port=port) as client:
        found = client.config_get("appendonly", "appendfsync", "save")
        assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": "300 1"}
    assert persisting(cli.status()) == (
        "True", "every node keeps its data: persistence hybrid, fsync everysec, save 300 1",
    )  # fmt: skip
    cli("down")
    cli(*words)
    assert held(port) == KEYS
    cli("down", "--delete-data")


def test_nodes_that_are_killed_right_behind_a_reply_return_with_every_key_if_each_is_synced(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=manifest("{mode: aof, size: 256Mi, fsync: always}"))
    write(port)
    for node in cli.status()["nodes"]:
        os.kill(node["pid"], signal.SIGKILL)
    eventually(lambda: {node["term"] for node in cli.status()["nodes"]} == {2}, "both are appointed again")
    eventually(lambda: cli.status()["slotsServed"] == 16384, "all slots are served")
    assert held(port) == KEYS
    cli("down", "--delete-data")


def test_every_mode_follows_every_other_while_a_cluster_is_up(cli: Cli) -> None:
    port = free_base_port()
    words = ("up", "-f", "-", "--base-port", str(port), "-d")
    cli(*words, text=manifest("{mode: none}", shards=1))
    pid = cli.status()["nodes"][0]["pid"]
    with redis.Redis(port=port, decode_responses=True) as client:
        for number, mode in enumerate(["hybrid", "snapshot", "aof", "none", "aof", "hybrid"]):
            cli(*words, text=manifest(f"{{mode: {mode}, size: 1Gi}}", shards=1))
            client.set(f"written in step {number}", mode)
            assert client.config_get("appendonly")["appendonly"] == ("yes" if mode in ("aof", "hybrid") else "no")
        assert cli.status()["nodes"][0]["pid"] == pid
        cli("down")
    cli(*words, text=manifest("{size: 1Gi}", shards=1))
    with redis.Redis(port=port, decode_responses=True) as client:
        assert client.dbsize() == 6
    cli("down", "--delete-data")


def test_a_killed_node_returns_with_what_it_last_saved(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=SNAPSHOTS)
    write(port)
    for shard in (0, 1):
        assert redis.Redis(port=port + shard).save()
    for node in cli.status()["nodes"]:
        os.kill(node["pid"], signal.SIGKILL)
    eventually(lambda: {node["term"] for node in cli.status()["nodes"]} == {2}, "both are appointed again")
    eventually(lambda: cli.status()["slotsServed"] == 16384, "all slots are served")
    assert held(port) == KEYS
    cli("down", "--delete-data")
