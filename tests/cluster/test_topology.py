"""The document survives JSON, and nothing else is taken for one."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.cluster.member import UNASSIGNED, refusal, standing
from ringkeeper.cluster.ring import place
from ringkeeper.cluster.topology import Node, Shard, Topology, TopologyError, decode, encode, node_id


def example(**changes: Any) -> Topology:
    nodes = tuple(
        Node(node_id("u", f"c-{i}-0"), f"c-{i}-0", i, f"c-{i}-0.c", f"10.0.0.{i}", 6379, 16379, "master", f"run{i}")
        for i in range(3)
    )
    shards = tuple(Shard(i, 1, nodes[i].id) for i in range(3))
    fields = {
        "cluster": "c",
        "uid": "u",
        "epoch": 5,
        "leader": 2,
        "vnodes_per_shard": 1000,
        "nodes": nodes,
        "shards": shards,
        "owners": place(3, 1000),
    }
    return Topology(**(fields | changes))


def test_a_topology_survives_json() -> None:
    topology = example()
    assert decode(json.loads(json.dumps(encode(topology)))) == topology


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("epoch",), -1, "topology.epoch: -1, must be a whole number from 0"),
        (("epoch",), 2**63, "topology.epoch"),
        (("epoch",), True, "topology.epoch: True"),
        (("uid",), None, "topology.uid: must be a text"),
        (("nodes",), {}, "topology.nodes: must be a list"),
        (("nodes", 0, "role"), "boss", "nodes\\[0\\].role: 'boss', must be master or replica"),
        (("nodes", 0, "id"), "xyz", "nodes\\[0\\].id: 'xyz', must be 40 hexadecimal digits"),
        (("nodes", 1, "shard"), 9, "of shard 9, which is not listed"),
        (("shards", 0, "master"), "0" * 40, "the master of shard 0"),
        (("shards", 0, "index"), 1, "stands twice"),
        (("shards", 0, "voters"), [1], "shards\\[0\\].voters: must be node ids"),
        (("owners",), [[0, 5]], "5 slots in all, must be 16384"),
        (("owners",), [[0, 16385]], "16385 slots, must be 1 to 16384"),
        (("owners",), [[0, 0]], "0 slots"),
        (("owners",), [[7, 16384]], "shard 7 is not listed"),
        (("owners",), [[0]], "must be \\[shard, slots\\]"),
    ],
)
def test_what_is_wrong_in_a_document_is_named(path: tuple[Any, ...], value: Any, complaint: str) -> None:
    document = copy.deepcopy(encode(example()))
    place_: Any = document
    for step in path[:-1]:
        place_ = place_[step]
    place_[path[-1]] = value
    with pytest.raises(TopologyError, match=complaint):
        decode(document)


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
        document = encode(example())
        fields = [document, document["nodes"][0], document["shards"][0]]
        field = data.draw(st.sampled_from(fields))
        field[data.draw(st.sampled_from(sorted(field)))] = data.draw(JSON)
    with contextlib.suppress(TopologyError):
        assert isinstance(decode(document), Topology)


def test_a_node_id_is_forty_hex_digits_of_the_uid_and_the_name() -> None:
    assert node_id("u", "c-0-0") == node_id("u", "c-0-0") != node_id("u", "c-0-1") != node_id("v", "c-0-1")
    assert len(node_id("u", "c-0-0")) == 40


@pytest.mark.parametrize(
    ("held", "offered", "why"),
    [
        (None, example(), None),
        (None, example(uid="other"), "another cluster"),
        (example(), example(), None),
        (example(), example(epoch=6), None),
        (example(), example(epoch=6, leader=3), None),
        (example(), example(epoch=6, leader=1), "leader number 1 is lower than 2"),
        (example(), example(epoch=4), "epoch 4 is older than 5"),
        (example(), example(epoch=4, leader=9), "epoch 4 is older than 5"),
        (example(), example(leader=3), "differs from the epoch 5"),
    ],
)
def test_a_node_takes_only_newer_topologies_of_its_cluster(
    held: Topology | None, offered: Topology, why: str | None
) -> None:
    reason = refusal(held, offered, cluster_uid="u")
    assert (reason is None) if why is None else (reason is not None and why in reason)


def test_only_the_run_that_the_topology_names_serves() -> None:
    topology = example()
    me = topology.nodes[1]
    assert standing(topology, id_=me.id, run_id="run1").serves
    assert standing(topology, id_=me.id, run_id="run1").shard == 1
    restarted = standing(topology, id_=me.id, run_id="another")
    assert (restarted.role, restarted.serves) == ("unassigned", False)
    assert standing(topology, id_="0" * 40, run_id="run1") == UNASSIGNED
    assert standing(None, id_=me.id, run_id="run1") == UNASSIGNED
