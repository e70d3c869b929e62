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

from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import (
    RETURNED,
    SETTLED,
    UNOWNED,
    Former,
    Move,
    Node,
    Shard,
    Topology,
    TopologyError,
    VoterRun,
    decode,
    encode,
    node_id,
    slot_runs,
)
from ringkeeper.store.slot import SLOTS

OWNERS = tuple(random.Random(1).choices(range(3), k=60)) + (UNOWNED,) * 10 + (2,) * (SLOTS - 70)


def example(**changes: Any) -> Topology:
    """Three shards of a master and a replica; ordinal 1 is master of shard 2; the replica of shard 1 restarted."""
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
        "shards": (
            Shard(0, 1, masters[0], (replicas[0],), min_acks=1, base=Position(0, 1300)),
            Shard(1, 2, masters[1], (), former=Former((VoterRun(replicas[1], "run-before"),), 1)),
            Shard(2, 3, masters[2], (replicas[2],), former=Former(())),
        ),
        "owners": OWNERS,
        "heartbeat_ms": 250,
        "misses": 4,
    }
    return Topology(**(fields | changes))


def moving(**changes: Any) -> Topology:
    """The slots that 0 owns go to 1, at their start: the masters are still those with whom it began."""
    slots = tuple(slot for slot, owner in enumerate(OWNERS) if owner == 0)
    return example(moves=(replace(Move(4, 0, 1, slots, 1, "run-c-0-0", 2, "run-c-1-0", rate=9), **changes),))


def settled() -> Topology:
    topology = moving(phase=SETTLED, held=Position(2, 77))
    owners = tuple(1 if owner == 0 else owner for owner in topology.owners)
    return replace(topology, owners=owners)


DOCUMENT = encode(example())
MOVING = encode(moving())
ID = DOCUMENT["nodes"][0]["id"]
NODE_FIELDS = sorted(DOCUMENT["nodes"][0])
LATER_FIELDS = {"heartbeatMs", "misses", "minAcks", "former", "base"}
MOVE_FIELDS = sorted(set(MOVING["moves"][0]) - {"held", "rate"})
TEXTS = {"name", "hostname", "address", "runId", "id", "role"}


def changed(path: tuple[Any, ...], value: Any, before: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    document = copy.deepcopy(before)
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


@pytest.mark.parametrize("topology", [moving(), settled(), moving(phase=RETURNED, held=Position(2, 77))])
def test_a_topology_with_moves_survives_json(topology: Topology) -> None:
    assert decode(json.loads(json.dumps(encode(topology)))) == topology


def test_a_document_in_which_nothing_moves_is_as_it_was_before_there_were_moves() -> None:
    assert "moves" not in DOCUMENT
    assert decode(DOCUMENT).moves == ()


def test_slots_are_coded_as_runs() -> None:
    assert slot_runs((0, 1, 2, 15, SLOTS - 2, SLOTS - 1)) == [(0, 3), (15, 1), (SLOTS - 2, 2)]
    assert slot_runs(()) == []


def test_a_move_is_found_by_either_shard() -> None:
    topology = moving()
    assert topology.moves_of(0) == topology.moves_of(1) == topology.moves
    assert topology.moves_of(2) == ()
    assert topology.moving_slots == set(topology.moves[0].slots)


@pytest.mark.parametrize(
    "changes",
    [{"source_term": 2}, {"target_term": 3}, {"source_run": "another"}, {"target_run": "another"}, {"target": 9}],
)
def test_a_feeding_move_lives_as_long_as_the_masters_with_whom_it_began(changes: dict[str, Any]) -> None:
    topology = moving()
    assert topology.is_alive(topology.moves[0])
    assert not topology.is_alive(replace(topology.moves[0], **changes))
    assert topology.is_alive(replace(topology.moves[0], **changes, phase=SETTLED))


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


def test_a_document_of_before_there_were_leases_has_their_defaults() -> None:
    document = copy.deepcopy(DOCUMENT)
    for place in (document, *document["shards"]):
        for field in LATER_FIELDS & set(place):
            del place[field]
    topology = decode(document)
    assert (topology.heartbeat_ms, topology.misses, topology.lease_ms) == (500, 3, 1500)
    assert all((shard.min_acks, shard.former, shard.base) == (0, None, NOTHING) for shard in topology.shards)


def test_the_runs_that_count_are_those_that_the_nodes_have() -> None:
    topology = example()
    assert topology.voter_runs(topology.shards[0]) == (VoterRun(topology.nodes[1].id, "run-c-0-1"),)
    assert topology.voter_runs(topology.shards[1]) == ()


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
        (("shards", 0, "voters"), [DOCUMENT["nodes"][1]["id"]] * 2, r"a voter of shard 0 stands twice, or"),
        (("shards", 0, "voters"), [ID], r"a voter of shard 0 stands twice, or"),
        (("shards", 0, "minAcks"), -1, r"shards\[0\].minAcks: -1, must be a whole number from 0"),
        (("shards", 0, "base"), [1], r"shards\[0\].base: \[1\], must be \[term, offset\]"),
        (("shards", 0, "base"), [1, -1], r"shards\[0\].base: \[1, -1\], must be whole numbers from 0"),
        (("shards", 1, "former"), 5, r"shards\[1\].former: int, must be an object"),
        (("shards", 1, "former", "voters"), [1], r"shards\[1\].former.voters\[0\]: int, must be an object"),
        (("shards", 1, "former", "voters", 0, "runId"), "a b", r"former.voters\[0\].runId: 'a b', must be ASCII"),
        (("shards", 1, "former", "minAcks"), None, r"shards\[1\].former.minAcks: None, must be"),
        (("heartbeatMs",), 9, r"topology.heartbeatMs: 9, must be 10 to 60000"),
        (("misses",), 0, r"topology.misses: 0, must be 1 to 100"),
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


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("id", 0, r"moves\[0\].id: 0, must grow from move to move up to the epoch, 5"),
        ("id", 6, r"moves\[0\].id: 6, must grow"),
        ("source", 7, r"moves\[0\].source: shard 7 is not listed"),
        ("target", 7, r"moves\[0\].target: shard 7 is not listed"),
        ("target", 0, r"moves\[0\].target: shard 0 is the source as well"),
        ("slots", {}, r"moves\[0\].slots: must be a list"),
        ("slots", [], r"moves\[0\].slots: must be one slot at least"),
        ("slots", [[0]], r"moves\[0\].slots: \[0\], must be \[first slot, slots\]"),
        ("slots", [[0, True]], r"must be \[first slot, slots\]"),
        ("slots", [[3, 0]], r"moves\[0\].slots: \[3, 0\], must be slots from 0 to 16383 in ascending order"),
        ("slots", [[-1, 2]], r"in ascending order"),
        ("slots", [[16383, 2]], r"in ascending order"),
        ("slots", [[5, 2], [6, 1]], r"\[6, 1\], must be slots from 0 to 16383 in ascending order"),
        ("slots", [[16383, 1]], r"slot 16383 of a feeding move must be owned by shard 0, and is by 2"),
        ("sourceTerm", -1, r"moves\[0\].sourceTerm: -1, must be"),
        ("sourceRun", "a b", r"moves\[0\].sourceRun: 'a b', must be ASCII"),
        ("targetRun", None, r"moves\[0\].targetRun: must be a text"),
        ("phase", "stuck", r"moves\[0\].phase: 'stuck', must be feeding, settled, returned"),
        ("phase", SETTLED, r"slot \d+ of a settled move must be owned by shard 1, and is by 0"),
        ("held", [1], r"moves\[0\].held: \[1\], must be \[term, offset\]"),
        ("rate", -1, r"moves\[0\].rate: -1, must be"),
    ],
)
def test_what_is_wrong_in_a_move_is_named(field: str, value: Any, complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        decode(changed(("moves", 0, field), value, MOVING))


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ({}, r"moves\[1\].id: 4, must grow from move to move"),
        ({"id": 5}, r"moves\[1\].slots: slot \d+ is in an earlier move already"),
        ({"id": 5, "target": 2}, r"moves\[1\].slots: slot \d+ is in an earlier move already"),
    ],
)
def test_a_slot_is_in_one_move_at_most(second: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        decode(changed(("moves",), [MOVING["moves"][0], MOVING["moves"][0] | second], MOVING))


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0), (2, 0), (1, 2)])
def test_a_shard_is_in_several_moves_of_other_slots(source: int, target: int) -> None:
    topology = moving()
    first = replace(topology.moves[0], slots=topology.moves[0].slots[:1])
    free = next(slot for slot, owner in enumerate(OWNERS) if owner == source and slot not in first.slots)
    second = replace(first, id=5, source=source, target=target, slots=(free,))
    topology = decode(encode(replace(topology, moves=(first, second))))
    assert topology.moves_of(source)[-1] == topology.moves_of(target)[-1] == second
    assert topology.moving_slots == {*first.slots, free}


@pytest.mark.parametrize("field", MOVE_FIELDS)
def test_no_field_of_a_move_may_be_missing(field: str) -> None:
    document = copy.deepcopy(MOVING)
    del document["moves"][0][field]
    with pytest.raises(TopologyError, match=rf"moves\[0\]\.{field}"):
        decode(document)


@pytest.mark.parametrize("path", [(field,) for field in DOCUMENT if field not in LATER_FIELDS]
                         + [("nodes", 0, field) for field in NODE_FIELDS]
                         + [("shards", 0, field) for field in ("index", "term", "master", "voters")])  # fmt: skip
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
        document = copy.deepcopy(MOVING)
        fields = [document, document["nodes"][0], document["shards"][0], document["moves"][0]]
        field = data.draw(st.sampled_from(fields))
        field[data.draw(st.sampled_from(sorted(field)))] = data.draw(JSON)
    with contextlib.suppress(TopologyError):
        assert isinstance(decode(document), Topology)


def test_a_node_id_is_forty_hex_digits_of_the_uid_and_the_name() -> None:
    assert node_id("u", "c-0-0") == node_id("u", "c-0-0") != node_id("u", "c-0-1") != node_id("v", "c-0-1")
    assert len(node_id("u", "c-0-0")) == 40
