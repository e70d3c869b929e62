"""What clients are shown of a topology."""

from dataclasses import replace

from ringkeeper.cluster.ring import place
from ringkeeper.cluster.topology import UNOWNED, Node, Shard, Topology, node_id
from ringkeeper.cluster.view import ClusterView, Condition, changed_masters, slot_ranges
from ringkeeper.resp.reader import ReplyReader

OWNERS = (0,) * 100 + (1,) * 200 + (0,) * (16384 - 300)


def topology(hostname: str = "", owners: tuple[int, ...] = OWNERS) -> Topology:
    nodes = [
        Node(node_id("u", f"c-{i}-{j}"), f"c-{i}-{j}", i, hostname, f"10.0.{i}.{j}", 6379, 16379,
             "replica" if j == 0 else "master", "run")
        for i in range(2) for j in range(2)
    ]  # fmt: skip
    return Topology("c", "u", 7, 1, 10, tuple(nodes), (Shard(0, 3, nodes[1].id), Shard(1, 1, nodes[3].id)), owners)


def parsed(reply: bytes) -> object:
    reader = ReplyReader()
    reader.feed(reply)
    return reader.next()


def test_ranges_join_neighbours_and_leave_out_what_nobody_owns() -> None:
    owners = (0,) * 10 + (UNOWNED,) * 5 + (1,) * (16384 - 15)
    found = [(run.first, run.last, run.shard) for run in slot_ranges(topology(owners=owners))]
    assert found == [(0, 9, 0), (15, 16383, 1)]


def test_cluster_slots_names_the_master_first_and_the_hostname_as_metadata() -> None:
    shown = topology("pod.svc")
    view = ClusterView(shown, my_id=shown.nodes[0].id)
    first = parsed(view.slots(2))[0]
    master, replica = shown.nodes[1], shown.nodes[0]
    assert first[:2] == [0, 99]
    assert first[2] == [b"10.0.0.1", 6379, master.id.encode(), [b"hostname", b"pod.svc"]]
    assert first[3][2] == replica.id.encode()
    assert parsed(view.slots(3))[0][2][3] == {b"hostname": b"pod.svc"}
    assert parsed(ClusterView(topology(), my_id="").slots(2))[0][2][3] == []
    assert parsed(ClusterView(topology(), my_id="").slots(3))[0][2][3] == {}


def test_cluster_shards_lists_each_shard_with_its_slots_and_nodes() -> None:
    shown = topology()
    shards = parsed(ClusterView(shown, my_id="").shards(3, {}))
    assert shards[0][b"slots"] == [0, 99, 300, 16383]
    assert shards[1][b"slots"] == [100, 299]
    assert [node[b"role"] for node in shards[0][b"nodes"]] == [b"master", b"replica"]


def test_cluster_shards_tells_offset_and_health_of_those_of_whom_something_is_known() -> None:
    shown = topology()
    view = ClusterView(shown, my_id="")
    for offset in (5, 6):
        known = {shown.nodes[1].id: Condition(offset), shown.nodes[2].id: Condition(0, "fail")}
        told = {
            node[b"id"].decode(): (node[b"replication-offset"], node[b"health"])
            for shard in parsed(view.shards(3, known)) for node in shard[b"nodes"]
        }  # fmt: skip
        assert told == {
            shown.nodes[0].id: (0, b"online"), shown.nodes[1].id: (offset, b"online"),
            shown.nodes[2].id: (0, b"fail"), shown.nodes[3].id: (0, b"online"),
        }  # fmt: skip


def test_cluster_nodes_marks_this_node_and_gives_masters_their_slots() -> None:
    shown = topology("pod.svc")
    lines = ClusterView(shown, my_id=shown.nodes[0].id).nodes().decode().splitlines()
    assert len(lines) == 4
    mine = next(line for line in lines if "myself" in line).split()
    assert mine[:4] == [shown.nodes[0].id, "10.0.0.0:6379@16379,pod.svc", "myself,slave", shown.nodes[1].id]
    assert lines[0].split()[2:] == ["master", "-", "0", "0", "3", "connected", "0-99", "300-16383"]


def test_without_a_topology_a_node_knows_itself_and_the_cluster_is_down() -> None:
    view = ClusterView(None, my_id="a" * 40, my_address="127.0.0.1", my_port=7000)
    assert view.slots(2) == b"*0\r\n"
    assert view.nodes().split()[:3] == [b"a" * 40, b"127.0.0.1:7000@17000", b"myself,master"]
    assert b"cluster_state:fail" in view.info(assigned=False)


def test_the_cluster_is_ok_only_with_every_slot_owned_and_a_role_for_this_node() -> None:
    view = ClusterView(topology(), my_id="")
    assert b"cluster_state:ok" in view.info(assigned=True)
    assert b"cluster_state:fail" in view.info(assigned=False)
    holes = ClusterView(replace(topology(), owners=(UNOWNED, *OWNERS[1:])), my_id="")
    assert b"cluster_state:fail" in holes.info(assigned=True)


def test_a_reply_is_rendered_once_an_epoch() -> None:
    view = ClusterView(topology("pod.svc", owners=place(2, 1000)), my_id="")
    assert view.slots(2) is view.slots(2)
    assert view.slots(2) != view.slots(3), "the metadata is an array there and a map here"


def test_clients_are_told_every_slot_with_its_owner() -> None:
    shown = topology(owners=place(2, 1000))
    told = [
        master[2].decode() for first, last, master, _ in parsed(ClusterView(shown, my_id="").slots(2))
        for _ in range(first, last + 1)
    ]  # fmt: skip
    assert told == [shown.shards[owner].master for owner in shown.owners]


def test_a_shards_id_outlives_its_masters() -> None:
    before = topology()
    promoted = replace(before, shards=(replace(before.shards[0], master=before.nodes[0].id), before.shards[1]))
    ids = {ClusterView(shown, my_id=node.id).shard_id() for shown in (before, promoted) for node in before.nodes[:2]}
    assert len(ids) == 1
    assert len(ids.pop()) == 40
    assert ClusterView(before, my_id=before.nodes[2].id).shard_id() not in ids
    assert ClusterView(None, my_id="a" * 40).shard_id() == "a" * 40


def test_replicas_are_told_of_masters_only() -> None:
    shown = topology()
    view = ClusterView(shown, my_id="")
    (line,) = view.replicas(shown.nodes[1].id)
    assert line.decode().split()[:4] == [shown.nodes[0].id, "10.0.0.0:6379@16379", "slave", shown.nodes[1].id]
    assert view.replicas(shown.nodes[0].id) is None
    assert view.replicas("0" * 40) is None


def test_what_is_served_by_another_node_is_told_by_ranges() -> None:
    former = topology()
    zero, one = former.nodes[1], former.nodes[3]
    assert changed_masters(None, former) == [(0, 99, zero), (100, 299, one), (300, 16383, zero)]
    assert changed_masters(former, former) == []
    moved = replace(former, owners=(1,) * 50 + former.owners[50:])
    assert changed_masters(former, moved) == [(0, 49, one)]
    appointed = replace(moved, shards=(replace(former.shards[0], master=former.nodes[0].id), former.shards[1]))
    assert changed_masters(moved, appointed) == [(50, 99, former.nodes[0]), (300, 16383, former.nodes[0])]
    assert changed_masters(former, appointed)[0] == (0, 49, one)
    restarted = replace(former, nodes=tuple(replace(node, run_id="later") for node in former.nodes))
    assert changed_masters(former, restarted) == []


def test_neighbours_that_came_from_different_nodes_are_one_range() -> None:
    alone = topology(owners=(1,) * 16384)
    assert changed_masters(topology(owners=(0,) * 100 + (UNOWNED,) * 16284), alone) == [(0, 16383, alone.nodes[3])]
