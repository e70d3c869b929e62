"""Where commands go, and what is made of the answers of nodes that are moved, loading, gone or started anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from scripted_node import CLOSE, ScriptedNode, Words, scripted

from ringkeeper.resp.values import OK, Raw, ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.store.slot import SLOTS, key_slot
from ringkeeper_operator.runtime import redis_nodes
from ringkeeper_operator.runtime.redis_nodes import Nodes, Refused, Request, Unserved

Answer = Callable[[ScriptedNode, Words], object]
KEYS = (b"a", b"b", b"c")


def request(key: bytes) -> Request:
    return Request(key, key_slot(key), encode_command([b"SET", key, b"v"]))


def slots(*nodes: ScriptedNode) -> list[object]:
    """CLUSTER SLOTS, the slots in equal parts."""
    share = SLOTS // len(nodes)
    return [
        [
            number * share,
            (number + 1) * share - 1 if number < len(nodes) - 1 else SLOTS - 1,
            [b"127.0.0.1", node.port, b"id %d" % node.port, []],
        ]
        for number, node in enumerate(nodes)
    ]


def usual(node: ScriptedNode, words: Words) -> object:
    """A node that has all slots and takes everything."""
    if words[0] == b"CLUSTER":
        return slots(node)
    if words[0] == b"INFO":
        return b"# Server\r\nrun_id:%b\r\n" % node.run_id
    return OK


def failing(*errors: str) -> Answer:
    """SET is answered with these errors first."""
    left = list(errors)

    def answer(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"SET" and left:
            return ReplyError(left.pop(0))
        return usual(node, words)

    return answer


def nodes_of(*nodes: ScriptedNode, patience: float = 30.0, password: str | None = None) -> Nodes:
    return Nodes([("127.0.0.1", node.port) for node in nodes], None, password, patience)


async def carried_out(nodes: Nodes, *keys: bytes) -> list[Request]:
    requests = [request(key) for key in keys]
    await nodes.await_all()
    await nodes.carry_out(requests)
    nodes.close()
    return requests


async def test_each_command_goes_to_the_master_of_its_slot() -> None:
    pair: list[ScriptedNode] = []

    def answer(node: ScriptedNode, words: Words) -> object:
        return slots(*pair) if words[0] == b"CLUSTER" else usual(node, words)

    async with scripted(answer) as one, scripted(answer) as two:
        pair += (one, two)
        done = await carried_out(nodes_of(one), *KEYS)
        assert [each.reply for each in done] == [OK] * 3
        for node, half in ((one, range(SLOTS // 2)), (two, range(SLOTS // 2, SLOTS))):
            assert [words[1] for words in node.of(b"SET")] == [key for key in KEYS if key_slot(key) in half]


async def test_a_single_server_takes_everything() -> None:
    def answer(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"CLUSTER":
            return ReplyError("ERR This instance has cluster support disabled")
        return usual(node, words)

    async with scripted(answer) as node:
        await carried_out(nodes_of(node), *KEYS)
        assert len(node.of(b"SET")) == 3


async def test_a_command_follows_its_slot_which_is_known_from_then_on() -> None:
    async with scripted(usual) as new, scripted(failing(f"MOVED 15495 127.0.0.1:{new.port}")) as old:
        nodes = nodes_of(old)
        (first,) = await carried_out(nodes, b"a")
        assert (first.reply, first.node) == (OK, ("127.0.0.1", new.port))
        assert not first.repeated, "who sends it on has not carried it out"
        assert nodes.owners[key_slot(b"a")] == ("127.0.0.1", new.port)
        assert nodes.owners[key_slot(b"b")] == ("127.0.0.1", old.port)


async def test_moved_without_a_host_means_the_host_that_was_asked() -> None:
    async with scripted(usual) as new, scripted(failing(f"MOVED 15495 :{new.port}")) as old:
        (first,) = await carried_out(nodes_of(old), b"a")
        assert first.node == ("127.0.0.1", new.port)


async def test_ask_is_followed_for_one_time() -> None:
    async with scripted(usual) as new, scripted(failing(f"ASK 15495 127.0.0.1:{new.port}")) as old:
        nodes = nodes_of(old)
        done = await carried_out(nodes, b"a", b"b")
        assert [each.reply for each in done] == [OK, OK]
        assert [words[:2] for words in new.of(b"ASKING", b"SET")] == [[b"ASKING"], [b"SET", b"a"]]
        assert nodes.owners[key_slot(b"a")] == ("127.0.0.1", old.port)


@pytest.mark.parametrize(
    "error", ["TRYAGAIN Multiple keys", "CLUSTERDOWN The cluster is down", "LOADING x", "MISCONF disk", "READONLY x"]
)
async def test_what_passes_is_waited_for(error: str) -> None:
    async with scripted(failing(error, error)) as node:
        (first,) = await carried_out(nodes_of(node), b"a")
        assert first.reply == OK
        assert not first.repeated


async def test_other_errors_are_the_reply() -> None:
    async with scripted(failing("OOM command not allowed")) as node:
        first, second = await carried_out(nodes_of(node), b"a", b"b")
        assert isinstance(first.reply, ReplyError)
        assert second.reply == OK


async def test_who_waits_in_vain_says_for_how_long_and_for_what() -> None:
    async with scripted(failing(*["LOADING the dataset"] * 1000)) as node:
        with pytest.raises(Unserved, match=r"waited for 0.1 s: 127.0.0.1:\d+: LOADING the dataset"):
            await carried_out(nodes_of(node, patience=0.1), b"a")


async def test_nodes_that_send_on_to_each_other_are_not_asked_forever() -> None:
    def to_itself(node: ScriptedNode, words: Words) -> object:
        return ReplyError(f"MOVED 1 :{node.port}") if words[0] == b"SET" else usual(node, words)

    async with scripted(to_itself) as node:
        with pytest.raises(Unserved, match="the nodes send commands on to each other"):
            await carried_out(nodes_of(node, patience=0.1), b"a")
        assert len(node.of(b"SET")) < 20


async def test_slots_that_nobody_serves_are_counted() -> None:
    def half(node: ScriptedNode, words: Words) -> object:
        return slots(node, node)[:1] if words[0] == b"CLUSTER" else usual(node, words)

    async with scripted(half) as node:
        with pytest.raises(Unserved, match="8,192 of 16,384 slots are served"):
            await nodes_of(node, patience=0.1).await_all()


async def test_a_password_that_is_missing_or_wrong_is_said() -> None:
    def guarded(_: ScriptedNode, words: Words) -> object:
        if words[0] == b"AUTH":
            return ReplyError("WRONGPASS invalid username-password pair or user is disabled.")
        return ReplyError("NOAUTH Authentication required.")

    async with scripted(guarded) as node:
        with pytest.raises(Refused, match="asks for a password: --password"):
            await nodes_of(node).await_all()
        with pytest.raises(Refused, match="does not accept the user or the password: WRONGPASS"):
            await nodes_of(node, password="x").await_all()
        assert node.of(b"AUTH") == [[b"AUTH", b"x"]]


async def test_what_a_lost_connection_leaves_without_a_reply_may_have_been_carried_out() -> None:
    closed: list[bytes] = []

    def breaking(node: ScriptedNode, words: Words) -> object:
        if words[:2] == [b"SET", b"b"] and not closed:
            closed.append(words[1])
            return CLOSE
        return usual(node, words)

    async with scripted(breaking) as node:
        done = await carried_out(nodes_of(node), *KEYS)
        assert [each.reply for each in done] == [OK] * 3
        assert [each.repeated for each in done] == [False, True, True]
        assert [words[1] for words in node.of(b"SET")] == [b"a", b"b", b"b", b"c"]


async def test_a_node_that_was_started_anew_is_noticed() -> None:
    def restarting(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"SET" and node.run_id == b"first":
            node.run_id = b"second"
            return CLOSE
        return usual(node, words)

    async with scripted(restarting) as node:
        nodes = nodes_of(node)
        await carried_out(nodes, b"a")
        assert nodes.restarted == [f"127.0.0.1:{node.port}"]
        again = nodes_of(node)
        again.run_ids = {f"id {node.port}": "first"}
        await again.await_all()
        assert again.restarted == [f"127.0.0.1:{node.port}"], "since an earlier load, too"
        again.close()


async def test_a_master_that_another_took_the_place_of_is_noticed() -> None:
    pair: list[ScriptedNode] = []

    def failed_over(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"CLUSTER":
            return slots(pair[-1])
        if words[0] == b"SET" and node is pair[-1] and len(pair) == 2:
            pair.pop()
            return CLOSE
        return usual(node, words)

    async with scripted(failed_over) as successor, scripted(failed_over) as former:
        pair += (successor, former)
        nodes = nodes_of(former, successor)
        done = await carried_out(nodes, *KEYS)
        assert [each.reply for each in done] == [OK] * 3
        assert nodes.restarted == [f"127.0.0.1:{former.port}"]


async def test_a_node_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_nodes, "SILENT_SECONDS", 0.05)
    async with scripted(usual) as node:
        connection = await redis_nodes.Connection.open(("127.0.0.1", node.port))
        replies: list[object] = []
        with pytest.raises(redis_nodes.Gone, match="gives no answer for 0 s"):
            await connection.call([encode_command([b"PING"]), b"*1\r\n$9\r\nunfini"], replies)
        assert replies == [OK]
        connection.close()


async def test_what_is_no_redis_is_said_to_be_none() -> None:
    async with scripted(lambda *_: Raw(b"HTTP/1.1 400 Bad Request\r\n")) as node:
        with pytest.raises(Unserved, match="does not speak the protocol"):
            await nodes_of(node, patience=0.0).await_all()


async def test_a_wait_ends_when_the_cluster_says_that_slots_are_served_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_nodes, "SHORTEST_PAUSE", 3600.0)
    monkeypatch.setattr(redis_nodes, "LONGEST_PAUSE", 3600.0)
    listening = asyncio.Event()

    def answer(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"SUBSCRIBE":
            listening.set()
            return [b"subscribe", words[1], 1]
        if words[0] == b"SET" and len(node.of(b"SET")) == 1:
            node.say([b"message", b"__ringkeeper__:topology", b'{"epoch":2,"slots":null}'])
            return ReplyError("CLUSTERDOWN Hash slot not served")
        return usual(node, words)

    async with scripted(answer) as node:
        nodes = nodes_of(node)
        await nodes.await_all()
        await listening.wait()
        await nodes.carry_out([request(b"a")])
        nodes.close()
        assert len(node.of(b"SET")) == 2


async def test_who_may_not_hear_of_the_topology_waits_as_with_any_other_cluster() -> None:
    def answer(node: ScriptedNode, words: Words) -> object:
        if words[0] == b"SUBSCRIBE":
            return ReplyError("NOPERM No permissions to access a channel")
        return failed(node, words)

    failed = failing("CLUSTERDOWN Hash slot not served")
    async with scripted(answer) as node:
        (done,) = await carried_out(nodes_of(node), b"a")
        assert done.reply == OK
        assert len(node.of(b"SUBSCRIBE")) <= 1
