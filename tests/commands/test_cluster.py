"""The CLUSTER commands: what they ask of the node, and what they refuse in which words."""

from types import SimpleNamespace
from typing import Any

import pytest

from ringkeeper import commands
from ringkeeper.commands.cluster import OPERATORS
from ringkeeper.resp.values import OK, Raw, ReplyError, Simple, Verbatim
from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.store.slot import key_slot

TABLE = commands.load()
DISABLED = "ERR This instance has cluster support disabled"


class Cluster:
    """Answers that tell which question was asked."""

    enabled = True

    def slots(self, protocol: int, client: object) -> bytes:  # noqa: ARG002
        return b"slots in %d" % protocol

    def shards(self, protocol: int) -> bytes:
        return b"shards in %d" % protocol

    def nodes(self) -> bytes:
        return b"nodes"

    def info(self) -> bytes:
        return b"info"

    def my_id(self) -> str:
        return "a" * 40

    def my_shard_id(self) -> str:
        return "b" * 40

    def links(self) -> list[Any]:
        return []

    def own_slots(self) -> list[int]:
        return [1, 2, 5]

    def operations(self, slot: int) -> int:
        return slot % 5

    def replicas(self, node_id: str) -> list[bytes]:
        raise ReplyError(f"ERR Unknown node {node_id}")


def context(cluster: object = None, protocol: int = 2) -> Any:
    keyspace = Keyspace(Clock(1000))
    client = SimpleNamespace(protocol=protocol, read_only=False, asking=False)
    return SimpleNamespace(cluster=cluster or Cluster(), client=client, keyspace=keyspace)


def run(context_: Any, *words: str | bytes) -> Any:
    args = [word.encode() if isinstance(word, str) else word for word in words]
    command = TABLE[args[0].lower()]
    if command.subcommands and len(args) > 1:
        command = command.subcommands[args[1].lower()]
    return command.function(context_, args)


def refusal(context_: Any, *words: str | bytes) -> str:
    with pytest.raises(ReplyError) as caught:
        run(context_, *words)
    return caught.value.text


def test_topology_is_sent_as_it_was_rendered_for_the_sessions_protocol() -> None:
    for protocol in (2, 3):
        for word in ("slots", "shards"):
            reply = run(context(protocol=protocol), "CLUSTER", word.upper())
            assert isinstance(reply, Raw)
            assert reply.data == f"{word} in {protocol}".encode()


def test_texts_for_people_are_verbatim() -> None:
    for word in ("nodes", "info"):
        reply = run(context(), "CLUSTER", word)
        assert isinstance(reply, Verbatim)
        assert (reply.text, reply.kind) == (word.encode(), b"txt")


def test_a_node_names_itself_its_shard_and_its_links() -> None:
    assert run(context(), "CLUSTER", "MYID") == "a" * 40
    assert run(context(), "CLUSTER", "MYSHARDID") == "b" * 40
    assert run(context(), "CLUSTER", "LINKS") == []


@pytest.mark.parametrize("word", ["REPLICAS", "SLAVES"])
def test_an_unknown_node_is_named_as_it_was_written(word: str) -> None:
    text = refusal(context(), "CLUSTER", word, b"x\xff")
    assert text.encode("utf-8", "surrogateescape") == b"ERR Unknown node x\xff"


def test_keyslot_hashes_the_tag_alone() -> None:
    assert run(context(), "CLUSTER", "KEYSLOT", "somekey") == 11058
    assert run(context(), "CLUSTER", "KEYSLOT", "foo{hash_tag}") == run(context(), "CLUSTER", "KEYSLOT", "hash_tag")


def test_keys_in_a_slot_are_counted_and_listed() -> None:
    here = context()
    keys = [b"{tag}%d" % i for i in range(5)]
    for key in keys:
        here.keyspace.set(key, b"v")
    slot = str(key_slot(b"tag"))
    assert run(here, "CLUSTER", "COUNTKEYSINSLOT", slot) == 5
    assert sorted(run(here, "CLUSTER", "GETKEYSINSLOT", slot, "100")) == keys
    assert len(run(here, "CLUSTER", "GETKEYSINSLOT", slot, "2")) == 2
    assert run(here, "CLUSTER", "GETKEYSINSLOT", slot, "0") == []
    assert run(here, "CLUSTER", "COUNTKEYSINSLOT", "0") == 0


def statistics(here: Any, words: str) -> list[tuple[int, int]]:
    return [(slot, told[b"operations"]) for slot, told in run(here, "CLUSTER", "SLOT-STATS", *words.split())]


def test_statistics_are_told_of_slots_of_this_shard_alone() -> None:
    here = context()
    assert statistics(here, "SLOTSRANGE 2 16383") == [(2, 2), (5, 0)]
    assert statistics(here, "slotsrange 0 1") == [(1, 1)]
    assert run(here, "CLUSTER", "SLOT-STATS", "SLOTSRANGE", "1", "1") == [
        [1, {b"key-count": 0, b"memory-bytes": 0, b"operations": 1}]
    ]


def test_slots_are_ordered_by_a_metric_the_most_first() -> None:
    here = context()
    assert statistics(here, "ORDERBY operations") == [(2, 2), (1, 1), (5, 0)]
    assert statistics(here, "orderby Operations asc limit 2") == [(5, 0), (1, 1)]
    assert [slot for slot, _ in statistics(here, "ORDERBY KEY-COUNT")] == [1, 2, 5]


NOT_AN_INTEGER = "ERR value is not an integer or out of range"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("COUNTKEYSINSLOT a", NOT_AN_INTEGER),
        ("COUNTKEYSINSLOT 99999999999999999999", NOT_AN_INTEGER),
        ("COUNTKEYSINSLOT -1", "ERR Invalid slot"),
        ("COUNTKEYSINSLOT 16384", "ERR Invalid slot"),
        ("GETKEYSINSLOT a 1", NOT_AN_INTEGER),
        ("GETKEYSINSLOT 1 a", NOT_AN_INTEGER),
        ("GETKEYSINSLOT -1 1", "ERR Invalid slot or number of keys"),
        ("GETKEYSINSLOT 16384 1", "ERR Invalid slot or number of keys"),
        ("GETKEYSINSLOT 1 -1", "ERR Invalid slot or number of keys"),
    ],
)
def test_bad_slots_are_refused_in_redis_words(words: str, text: str) -> None:
    assert refusal(context(), "CLUSTER", *words.split()) == text


@pytest.mark.parametrize("word", OPERATORS)
def test_what_changes_a_topology_by_hand_is_the_operators(word: str) -> None:
    text = refusal(context(), "CLUSTER", word, "1")
    assert text.startswith(f"ERR CLUSTER {word} is not for clients: the operator is the only author")
    assert "CacheCluster" in text
    assert refusal(context(SimpleNamespace(enabled=False)), "CLUSTER", word, "1") == DISABLED


@pytest.mark.parametrize(
    "words",
    ["SLOTS", "SHARDS", "NODES", "INFO", "MYID", "MYSHARDID", "LINKS", "KEYSLOT k", "COUNTKEYSINSLOT 1",
     "GETKEYSINSLOT 1 1", "REPLICAS x", "SLAVES x", "SLOT-STATS SLOTSRANGE 0 1", "HELP"],
)  # fmt: skip
def test_a_node_that_runs_alone_has_no_cluster(words: str) -> None:
    alone = context(SimpleNamespace(enabled=False))
    assert refusal(alone, "CLUSTER", *words.split()) == DISABLED
    assert {refusal(alone, word) for word in ("READONLY", "READWRITE", "ASKING")} == {DISABLED}


def test_readonly_readwrite_and_asking_are_the_sessions() -> None:
    here = context()
    assert run(here, "READONLY") is OK
    assert here.client.read_only
    assert run(here, "READWRITE") is OK
    assert not here.client.read_only
    assert run(here, "ASKING") is OK
    assert here.client.asking


def test_help_lists_every_subcommand_that_a_client_may_use() -> None:
    lines = run(context(), "CLUSTER", "HELP")
    assert all(isinstance(line, Simple) for line in lines)
    told = {line.text.split()[0].decode().lower() for line in lines[1:] if not line.text.startswith(b" ")}
    offered = {name.decode() for name in TABLE[b"cluster"].subcommands} - {word.lower() for word in OPERATORS}
    assert told == offered - {"slaves"}
