"""The document survives JSON, and nothing else is taken for one."""

import contextlib
import copy
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.cluster.topology import UNOWNED, Node, Shard, Topology, TopologyError, decode, encode, node_id
from ringkeeper.store.slot import SLOTS

OWNERS = tuple(random.Random(1).choices(range(3), k=60)) + (UNOWNED,) * 10 + (2,) * (SLOTS - 70)


def example(**changes: Any) -> Topology:
    """Three shards of a master and a replica; ordinal 1 is master of shard 2."""
    nodes = []
    for shard in range(3):
        for ordinal in range(2):
            name = f"c-{shard}-{ordinal}"
            role = "master" if ordinal == (shard == 2) else "replica"
            address = f"10.0.{ordinal}.{shard}"
            nodes.append(Node(node_id("u", name), name, shard, f"{name}.c", address, 6379, 16379, role, f"run-{name}"))
    masters = {node.shard: node.id for node in nodes if node.role == "master"}
    replicas = {node.shard: node.id for node in nodes if node.role == "replica"}
    fields: dict[str, Any] = {
        "cluster": "c",
        "uid": "u",
        "epoch": 5,
        "leader": 2,
        "vnodes_per_shard": 1000,
        "nodes": tuple(nodes),
        "shards": tuple(Shard(i, 1 + i, masters[i], (replicas[i],)) for i in range(3)),
        "owners": OWNERS,
    }
    return Topology(**(fields | changes))


DOCUMENT = encode(example())
ID = DOCUMENT["nodes"][0]["id"]
NODE_FIELDS = sorted(DOCUMENT["nodes"][0])
TEXTS = {"name", "hostname", "address", "runId", "id", "role"}


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def test_a_topology_survives_json() -> None:
    assert decode(json.loads(json.dumps(DOCUMENT))) == example()


def test_a_topology_without_shards_survives_json() -> None:
    empty = example(nodes=(), shards=(), owners=(UNOWNED,) * SLOTS)
    assert decode(json.loads(json.dumps(encode(empty)))) == empty


@settings(max_examples=25, deadline=None)
@given(
    runs=st.lists(st.tuples(st.sampled_from([UNOWNED, 0, 1, 2]), st.integers(1, 900)), max_size=18),
    epoch=st.integers(0, 2**63 - 1),
    texts=st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8"))),
)
def test_any_owners_and_names_survive_json(runs: list[tuple[int, int]], epoch: int, texts: tuple[str, str]) -> None:
    owners = [owner for owner, length in runs for _ in range(length)]
    topology = example(owners=(*owners, *(0,) * (SLOTS - len(owners))), epoch=epoch, cluster=texts[0], uid=texts[1])
    assert decode(json.loads(json.dumps(encode(topology)))) == topology


def test_a_later_version_may_add_fields() -> None:
    document = copy.deepcopy(DOCUMENT)
    for place in (document, document["nodes"][0], document["shards"][0]):
        place["fieldOfTheFuture"] = {"a": 1}
    assert decode(document) == example()


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("epoch",), -1, r"topology.epoch: -1, must be a whole number from 0"),
        (("epoch",), 2**63, r"topology.epoch: 9223372036854775808, must be"),
        (("epoch",), True, r"topology.epoch: True, must be"),
        (("epoch",), 1.0, r"topology.epoch: 1.0, must be"),
        (("uid",), None, r"topology.uid: must be a text"),
        (("uid",), "\ud800", r"topology.uid: .*ud800', must be text that UTF-8 can write"),
        (("nodes",), {}, r"topology.nodes: must be a list"),
        (("nodes", 0), 5, r"nodes\[0\]: int, must be an object"),
        (("nodes", 0, "role"), "boss", r"nodes\[0\].role: 'boss', must be master or replica"),
        (("nodes", 0, "role"), "replica", r"node c-0-0 is called replica, but the master of shard 0 is c-0-0"),
        (("nodes", 1, "role"), "master", r"node c-0-1 is called master, but the master of shard 0 is c-0-0"),
        (("nodes", 0, "id"), "xyz", r"nodes\[0\].id: 'xyz', must be 40 hexadecimal digits"),
        (("nodes", 0, "id"), ID.upper(), r"must be 40 hexadecimal digits"),
        (("nodes", 1, "id"), ID, r"a node id or a shard index stands twice"),
        (("nodes", 1, "shard"), 9, r"of shard 9, which is not listed|the voter of shard 0, c-0-1, is of shard 9"),
        (("nodes", 0, "port"), 65536, r"nodes\[0\].port: 65536, must be a port from 0 to 65535"),
        (("nodes", 0, "adminPort"), 70000, r"nodes\[0\].adminPort: 70000, must be a port"),
        (("nodes", 0, "hostname"), "a b", r"nodes\[0\].hostname: 'a b', must be ASCII without spaces and commas"),
        (("nodes", 0, "address"), "10.0.0.1\r\n", r"nodes\[0\].address: .*must be ASCII"),
        (("nodes", 0, "name"), "x,y", r"nodes\[0\].name: 'x,y', must be ASCII"),
        (("shards",), None, r"topology.shards: must be a list"),
        (("shards", 0), [], r"shards\[0\]: list, must be an object"),
        (("shards", 0, "master"), "0" * 40, r"the master of shard 0, '0{40}', is not listed"),
        (("shards", 0, "master"), DOCUMENT["nodes"][2]["id"], r"the master of shard 0, c-1-0, is of shard 1"),
        (("shards", 0, "index"), 1, r"stands twice"),
        (("shards", 0, "voters"), [1], r"shards\[0\].voters: must be node ids"),
        (("shards", 0, "voters"), ["0" * 40], r"the voter of shard 0, '0{40}', is not listed"),
        (("shards", 0, "voters"), [DOCUMENT["nodes"][3]["id"]], r"the voter of shard 0, c-1-1, is of shard 1"),
        (("owners",), [[0, 5]], r"5 slots in all, must be 16384"),
        (("owners",), [[0, 16385]], r"16385 slots, must be 1 to 16384"),
        (("owners",), [[0, 16384], [0, 1]], r"1 slots, must be 1 to 0"),
        (("owners",), [[0, 0]], r"0 slots"),
        (("owners",), [[7, 16384]], r"shard 7 is not listed"),
        (("owners",), [[-2, 16384]], r"shard -2 is not listed"),
        (("owners",), [[0]], r"must be \[shard, slots\]"),
        (("owners",), [[0, True]], r"must be \[shard, slots\]"),
        (("owners",), [[0, 1e3]], r"must be \[shard, slots\]"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_document_is_named(path: tuple[Any, ...], value: Any, complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        decode(changed(path, value))


@pytest.mark.parametrize("path", [(field,) for field in sorted(DOCUMENT)]
                         + [("nodes", 0, field) for field in NODE_FIELDS]
                         + [("shards", 0, field) for field in sorted(DOCUMENT["shards"][0])])  # fmt: skip
def test_no_field_may_be_missing(path: tuple[Any, ...]) -> None:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    where = "topology" if len(path) == 1 else f"{path[0]}\\[0\\]"
    with pytest.raises(TopologyError, match=rf"{where}\.{path[-1]}"):
        decode(document)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}])
def test_what_is_no_object_is_no_topology(document: object) -> None:
    with pytest.raises(TopologyError, match="topology"):
        decode(document)


def test_nodes_and_shards_are_found_by_id_and_index() -> None:
    topology = example()
    assert topology.node(ID) is topology.nodes[0]
    assert topology.node("0" * 40) is None
    assert topology.shard(2) is topology.shards[2]
    assert topology.shard(3) is None
    assert replace(topology, epoch=6) != topology


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_json_is_a_topology_or_a_topology_error(data: st.DataObject) -> None:
    document: Any = data.draw(JSON)
    if data.draw(st.booleans()):
        document = copy.deepcopy(DOCUMENT)
        fields = [document, document["nodes"][0], document["shards"][0]]
        field = data.draw(st.sampled_from(fields))
        field[data.draw(st.sampled_from(sorted(field)))] = data.draw(JSON)
    with contextlib.suppress(TopologyError):
        assert isinstance(decode(document), Topology)


def test_a_node_id_is_forty_hex_digits_of_the_uid_and_the_name() -> None:
    assert node_id("u", "c-0-0") == node_id("u", "c-0-0") != node_id("u", "c-0-1") != node_id("v", "c-0-1")
    assert len(node_id("u", "c-0-0")) == 40
