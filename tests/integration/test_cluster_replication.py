"""Replicas in a cluster: the topology says who follows whom, and terms say whose history counts."""

import contextlib
from pathlib import Path

import pytest
import redis
from following import until
from shard_of_servers import Shard


def test_replicas_follow_the_master_that_the_topology_names(shard: Shard) -> None:
    shard.appoint(0)
    shard.client(0).set("key", 1)
    for index in (1, 2):
        shard.caught_up(index, 0)
        with pytest.raises(redis.exceptions.MovedError):
            shard.client(index).get("key")
        connection = shard.client(index, single_connection_client=True)
        connection.execute_command("READONLY")
        assert connection.get("key") == b"1"
        with pytest.raises(redis.exceptions.MovedError):
            connection.set("key", 2)
    replicas = shard.state(0)["replicas"]
    assert {each["id"] for each in replicas} == {shard.members.state(index)["id"] for index in (1, 2)}


def test_a_promoted_replica_goes_on_and_the_others_follow_it_without_a_full_sync(shard: Shard) -> None:
    shard.appoint(0)
    for number in range(100):
        shard.client(0).set(f"key:{number}", number)
    shard.caught_up(1, 0)
    shard.caught_up(2, 0)
    shard.appoint(1)
    shard.client(1).set("key:0", "new")
    for index in (0, 2):
        shard.caught_up(index, 1)
        assert shard.client(index).dbsize() == 100
        assert shard.state(index)["term"] == 2
    assert shard.client(1).info("stats")["sync_full"] == 0
    assert shard.client(1).info("stats")["sync_partial_ok"] == 2


def test_a_master_that_comes_back_empty_never_empties_its_replicas(shard: Shard) -> None:
    shard.appoint(0)
    shard.client(0).set("key", 1)
    shard.caught_up(1, 0)
    shard.caught_up(2, 0)
    shard.members.servers[0].kill()
    shard.restart(0)
    assert shard.state(0)["offset"] == 0
    shard.appoint(0)
    for index in (1, 2):
        until(lambda index=index: "without any data" in shard.state(index)["linkError"])
        assert shard.client(index).dbsize() == 1
    shard.appoint(1)
    shard.caught_up(0, 1)
    assert shard.client(0).dbsize() == 1


def write_what_is_lost(shard: Shard) -> None:
    """To node 0, which has not heard that node 1 is master now, and hears of it then."""
    for number in range(5):
        shard.client(0).set(f"lost:{number}", number)
    shard.epoch += 1
    shard.term -= 1
    shard.appoint(1)
    shard.connected(0)


def test_a_master_that_lost_its_office_counts_what_it_loses(tmp_path: Path, exits: contextlib.ExitStack) -> None:
    shard = Shard(tmp_path, 3, exits, "--topology-exchange-interval", "3600000")
    shard.appoint(0)
    shard.client(0).set("kept", 1)
    shard.caught_up(1, 0)
    shard.appoint(1, among=[1, 2])  # the old master has not heard of it
    write_what_is_lost(shard)
    assert shard.client(0).dbsize() == 1
    lost = shard.state(0)["lost"]
    assert lost["writes"] == 5
    assert lost["keys"] == [f"lost:{number}" for number in range(5)]


def test_a_former_master_counts_what_it_loses_however_many_took_its_place_meanwhile(
    tmp_path: Path, exits: contextlib.ExitStack
) -> None:
    shard = Shard(tmp_path, 3, exits, "--topology-exchange-interval", "3600000")
    shard.appoint(0)
    shard.client(0).set("kept", 1)
    shard.caught_up(1, 0)
    shard.caught_up(2, 0)
    for master, other in ((1, 2), (2, 1), (1, 2)):
        shard.appoint(master, among=[1, 2])
        shard.client(master).set(f"of:{shard.term}", 1)
        shard.caught_up(other, master)
    write_what_is_lost(shard)
    assert shard.client(0).dbsize() == 4
    lost = shard.state(0)["lost"]
    assert (lost["term"], lost["writes"]) == (1, 5)
    assert lost["keys"] == [f"lost:{number}" for number in range(5)]


def test_a_restarted_replica_goes_on_from_its_append_only_file(tmp_path: Path, exits: contextlib.ExitStack) -> None:
    shard = Shard(tmp_path, 2, exits, "--appendonly", "yes")
    shard.appoint(0)
    for number in range(500):
        shard.client(0).set(f"key:{number}", number, ex=1000)
    shard.caught_up(1, 0)
    before = shard.client(0).info("stats")["sync_full"]
    shard.members.servers[1].stop()
    shard.client(0).set("meanwhile", 1)
    shard.restart(1)
    shard.appoint(0)
    shard.caught_up(1, 0)
    stats = shard.client(0).info("stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == (before, 1)
    assert shard.client(1).dbsize() == 501


def test_in_the_first_term_of_a_cluster_a_replica_may_need_a_snapshot_again(shard: Shard) -> None:
    shard.appoint(0)
    shard.client(0).set("key", 1)
    shard.caught_up(1, 0)
    shard.caught_up(2, 0)
    shard.client(0).execute_command("DEBUG", "CHANGE-REPL-ID")
    shard.client(0).execute_command("CLIENT", "KILL", "TYPE", "replica")
    until(lambda: shard.client(0).info("stats")["sync_full"] == 4)
    shard.caught_up(1, 0)
    shard.caught_up(2, 0)


def shown(shard: Shard, index: int) -> dict[str, tuple[int, str]]:
    """Offset and health of every node, by its id, as CLUSTER SHARDS of one of them tells."""
    found = {}
    client = shard.client(index)
    client.response_callbacks.clear()
    for listed in client.execute_command("CLUSTER SHARDS"):
        for node in listed[b"nodes"]:
            found[node[b"id"].decode()] = (node[b"replication-offset"], node[b"health"].decode())
    return found


def test_cluster_shards_tells_how_far_the_nodes_are_and_who_is_gone(shard: Shard) -> None:
    shard.appoint(0)
    ids = [shard.members.state(index)["id"] for index in range(3)]
    for index in (1, 2):
        shard.connected(index)
    client = shard.client(0)
    client.set("k", "v")
    assert client.wait(2, 20_000) == 2
    told = shown(shard, 0)
    assert told[ids[0]][0] > 0
    until(lambda: len(set(shown(shard, 0).values())) == 1, "all have acknowledged the same")
    of_a_replica = shown(shard, 1)
    assert of_a_replica[ids[1]][0] >= told[ids[0]][0]
    assert of_a_replica[ids[0]][0] >= told[ids[0]][0]
    assert of_a_replica[ids[2]] == (0, "online"), "of another replica it knows nothing"
    shard.members.servers[2].kill()
    until(lambda: shown(shard, 0)[ids[2]] == (0, "fail"), "the master says so")
    until(lambda: shown(shard, 1)[ids[2]] == (0, "fail"), "a replica as well")
    assert [shown(shard, 0)[id_][1] for id_ in ids[:2]] == ["online", "online"]
