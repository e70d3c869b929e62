"""The links between nodes: who may send over them, what goes over which, and what happens when they break."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from laptop import eventually
from members import PEER_TOKEN, Members, http, member
from server_process import Server, serving
from wire import Wire

from ringkeeper.cluster.topology import node_id
from ringkeeper.store.slot import key_slot


@contextlib.contextmanager
def linked(
    folder: Path, *directives: str, one_shard: bool = False, password: str = ""
) -> Iterator[tuple[Server, Server]]:
    """Two nodes with links both ways: a shard each, or the master and the replica of one."""
    with contextlib.ExitStack() as stack:
        servers = []
        for i in range(2):
            own = folder / str(i)
            own.mkdir()
            servers.append(stack.enter_context(serving(own, *member(own, i), *directives)))
        members = Members(servers)
        topology = members.one_shard(1) if one_shard else members.topology(1)
        for i in range(2):
            assert members.push(i, topology)[0] == 200
        for server in servers:
            eventually(lambda server=server: len(links(server, password)) == 2, "the links are open")
        yield servers[0], servers[1]


def links(server: Server, password: str = "") -> list[dict[str, Any]]:
    with Wire(server.port) as wire:
        if password:
            wire("AUTH", password)
        return [dict(zip(link[::2], link[1::2], strict=True)) for link in wire("CLUSTER LINKS")]


def subscribed(server: Server, command: str, channel: str) -> Wire:
    wire = Wire(server.port)
    assert wire(command, channel)[:2] == [command.lower(), channel]
    return wire


def metric(server: Server, name: str) -> float:
    lines = http(server, "/metrics")[1].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_links_are_shown_with_the_peers_ids(tmp_path: Path) -> None:
    with linked(tmp_path) as (a, b):
        for server, peer in ((a, 1), (b, 0)):
            shown = links(server)
            assert {link["direction"] for link in shown} == {"to", "from"}
            assert {link["node"] for link in shown} == {node_id("uid", f"c-{peer}-0")}
            info = server.client().info()
            assert (info["connected_clients"], info["cluster_connections"]) == (1, 2)


def test_what_nodes_say_to_each_other_is_neither_shown_nor_for_clients(tmp_path: Path) -> None:
    with linked(tmp_path, "--requirepass", "secret", password="secret") as (a, b), Wire(b.port) as client:
        assert client("RINGKEEPER.PUBLISH channel c m").startswith("-NOPERM"), "a stranger"
        assert client("AUTH secret") == "OK"
        assert client("RINGKEEPER.PUBLISH channel c m").startswith("-NOPERM"), "a client"
        assert client("MULTI") == "OK"
        assert client("RINGKEEPER.PUBLISH channel c m").startswith("-NOPERM"), "in a transaction"
        assert client("DISCARD") == "OK"
        assert not [name for name in client("COMMAND LIST") if "ringkeeper" in name]
        assert client("COMMAND INFO RINGKEEPER.PUBLISH") == [None]
        assert client("RINGKEEPER.PEER", "wrong", "0" * 40, "me") == "-WRONGPASS invalid peer token"
        with Wire(b.port) as peer:
            assert peer("RINGKEEPER.PEER", PEER_TOKEN, "0" * 40, "me") == "OK"
            assert peer("GET k").startswith("-NOAUTH"), "a peer is no client"
            assert metric(b, "ringkeeper_pubsub_received_total") == 0
            assert a.client(password="secret").publish("c", "m") == 0
            eventually(lambda: metric(b, "ringkeeper_pubsub_received_total") == 1, "the message came")


def test_a_node_without_a_peer_token_neither_links_nor_listens(tmp_path: Path) -> None:
    directives = member(tmp_path, 0)
    at = directives.index("--peer-token-file")
    del directives[at : at + 2]
    with serving(tmp_path, *directives) as server, Wire(server.port) as client:
        assert "no peer-token-file" in client("RINGKEEPER.PEER", PEER_TOKEN, "0" * 40, "me")
        members = Members([server])
        assert members.push(0, members.topology(1))[0] == 200
        assert links(server) == []


def test_sharded_messages_stay_within_the_shard(tmp_path: Path) -> None:
    with linked(tmp_path) as (a, b):
        channel = own_channel(a)
        with Wire(b.port) as other:
            for line in (f"SSUBSCRIBE {channel}", f"SPUBLISH {channel} m", f"SUNSUBSCRIBE {channel}"):
                assert other(line) == f"-MOVED {key_slot(channel.encode())} 127.0.0.1:{a.port}"
            assert other("SSUBSCRIBE a b").startswith("-CROSSSLOT")
            assert other("SUNSUBSCRIBE") == ["sunsubscribe", None, 0]
        with subscribed(a, "SSUBSCRIBE", channel) as subscriber, Wire(a.port) as publisher:
            assert publisher("SPUBLISH", channel, "m") == 1
            assert subscriber.read() == ["smessage", channel, "m"]
            assert publisher("PUBSUB", "SHARDNUMSUB", channel) == [channel, 1]
        assert metric(b, "ringkeeper_pubsub_received_total") == 0


def test_sharded_messages_reach_the_subscribers_of_a_shards_replica(tmp_path: Path) -> None:
    with (
        linked(tmp_path, one_shard=True) as (master, replica),
        subscribed(replica, "SSUBSCRIBE", "c") as on_replica,
        Wire(master.port) as at_master,
        Wire(replica.port) as at_replica,
    ):
        assert at_master("SPUBLISH c from-the-master") == 0
        assert on_replica.read() == ["smessage", "c", "from-the-master"]
        with subscribed(master, "SSUBSCRIBE", "c") as on_master:
            assert at_replica("SPUBLISH c from-the-replica") == 1
            assert on_master.read() == on_replica.read() == ["smessage", "c", "from-the-replica"]


def test_subscribers_are_told_when_their_channels_slot_moves_away(tmp_path: Path) -> None:
    with linked(tmp_path) as (a, b):
        members = Members([a, b])
        channel = own_channel(a)
        with subscribed(a, "SSUBSCRIBE", channel) as subscriber:
            assert members.push(0, members.topology(2, owners=(1,) * 16384))[0] == 200
            assert subscriber.read() == ["sunsubscribe", channel, 0]
            assert subscriber("GET k").startswith("-MOVED"), "it is no subscriber any more"


def test_who_waits_for_a_key_is_sent_after_it_when_its_slot_moves_away(tmp_path: Path) -> None:
    with linked(tmp_path) as (a, b):
        members = Members([a, b])
        key = own_channel(a)
        with Wire(a.port) as waits, Wire(a.port) as control:
            waits.send("BLPOP", key, 0)
            waits.send("PING")
            eventually(lambda: "blocked_clients:1" in control("INFO clients"), "it waits")
            assert members.push(0, members.topology(2, owners=(1,) * 16384))[0] == 200
            assert waits.read() == f"-MOVED {key_slot(key.encode())} 127.0.0.1:{b.port}"
            assert waits.read() == "PONG", "what came behind is answered too"
            assert "blocked_clients:0" in control("INFO clients")


def test_who_waits_on_a_master_that_becomes_a_replica_waits_no_longer(tmp_path: Path) -> None:
    with linked(tmp_path, one_shard=True) as (master, replica):
        members = Members([replica, master])
        with Wire(master.port) as waits, Wire(master.port) as control:
            waits.send("BLPOP", "k", 0)
            eventually(lambda: "blocked_clients:1" in control("INFO clients"), "it waits")
            assert members.push(1, members.one_shard(2))[0] == 200
            assert waits.read().startswith("-UNBLOCKED force unblock from blocking operation, instance state changed")


def own_channel(server: Server) -> str:
    """A channel whose slot the node serves."""
    with Wire(server.port) as wire:
        return next(name for name in "abcdefghijklmnop" if wire("SPUBLISH", name, "") == 0)


def test_a_peer_that_takes_nothing_makes_nobody_wait_and_costs_bounded_memory(tmp_path: Path) -> None:
    limit = 4 * 1024**2
    with linked(tmp_path, "--cluster-link-sendbuf-limit", str(limit)) as (a, b):
        subscriber, publisher = subscribed(b, "SUBSCRIBE", "c"), Wire(a.port)
        before = a.memory()
        os.kill(b.process.pid, signal.SIGSTOP)
        try:
            message = b"x" * 65536
            for _ in range(1024):
                publisher("PUBLISH", "c", message)
            publisher("PUBLISH", "c", "the last")
            waiting = metric(a, "ringkeeper_peer_link_waiting_bytes")
            dropped = metric(a, "ringkeeper_pubsub_dropped_total")
            assert a.memory() - before < 3 * limit
        finally:
            os.kill(b.process.pid, signal.SIGCONT)
        assert waiting < 2 * limit
        assert dropped > 0
        got = 1
        while subscriber.read()[2] != "the last":
            got += 1
        assert got + dropped == 1025, "each was dropped or came, once"
        assert a.log.read_text().count("are dropped") == 1, "one line an episode"
        eventually(lambda: "takes messages again" in a.log.read_text(), "the end of the episode is told")


def test_a_message_larger_than_maxmemory_is_taken_from_another_node(tmp_path: Path) -> None:
    with linked(tmp_path, "--maxmemory", "2mb") as (a, b), subscribed(b, "SUBSCRIBE", "c") as subscriber:
        message = "x" * 6_000_000
        with Wire(a.port) as wire:
            assert wire("PUBLISH", "c", message).startswith("-OOM"), "but not from a client"
            assert wire("CONFIG SET maxmemory 0") == "OK"
            assert wire("PUBLISH", "c", message) == 0
        assert subscriber.read() == ["message", "c", message]
