"""Which topologies a node takes, and what it then is: two tables."""

from dataclasses import replace

import pytest

from ringkeeper.cluster.member import UNASSIGNED, Standing, refusal, standing
from ringkeeper.cluster.topology import UNOWNED, Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS


def node(shard: int, ordinal: int, role: str) -> Node:
    name = f"c-{shard}-{ordinal}"
    return Node(node_id("u", name), name, shard, "", "10.0.0.1", 6379, 16379, role, f"run-{name}")


MASTER, REPLICA, OTHER = node(0, 0, "master"), node(0, 1, "replica"), node(1, 0, "master")
HELD = Topology(
    cluster="c", uid="u", epoch=5, leader=2, vnodes_per_shard=1000, nodes=(MASTER, REPLICA, OTHER),
    shards=(Shard(0, 3, MASTER.id), Shard(1, 7, OTHER.id)), owners=(0,) * (SLOTS - 1) + (UNOWNED,),
)  # fmt: skip


def with_(**changes: object) -> Topology:
    return replace(HELD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "offered", "uid", "why"),
    [
        # The first one: any of its own cluster, or any at all when it was not told which is its own.
        (None, HELD, "u", None),
        (None, HELD, None, None),
        (None, with_(uid="v"), "u", "the topology of another cluster (v, not u)"),
        (None, with_(uid="v"), None, None),
        # Later ones: of the same cluster even when it was never told.
        (HELD, with_(uid="v", epoch=6), None, "the topology of another cluster (v, not u)"),
        (HELD, HELD, "u", None),
        (HELD, with_(epoch=6), "u", None),
        (HELD, with_(epoch=2**62), "u", None),
        (HELD, with_(epoch=6, leader=3), "u", None),
        (HELD, with_(epoch=6, leader=1), "u", "leader number 1 is lower than 2"),
        (HELD, with_(epoch=4), "u", "epoch 4 is older than 5"),
        (HELD, with_(epoch=4, leader=9), "u", "epoch 4 is older than 5"),
        # One epoch has one content.
        (HELD, with_(leader=3), "u", "differs from the epoch 5"),
        (HELD, with_(owners=(1,) * SLOTS), "u", "differs from the epoch 5"),
    ],
)
def test_a_node_takes_only_newer_topologies_of_its_cluster(
    held: Topology | None, offered: Topology, uid: str | None, why: str | None
) -> None:
    reason = refusal(held, offered, cluster_uid=uid)
    assert (reason is None) if why is None else (reason is not None and why in reason)


@pytest.mark.parametrize(
    ("topology", "who", "run_id", "expected"),
    [
        (HELD, MASTER, MASTER.run_id, Standing("master", 0, 3, serves=True)),
        (HELD, REPLICA, REPLICA.run_id, Standing("replica", 0, 3, serves=False)),
        (HELD, OTHER, OTHER.run_id, Standing("master", 1, 7, serves=True)),
        # With a voter, a master serves under a lease.
        (with_(shards=(Shard(0, 3, MASTER.id, (REPLICA.id,)), HELD.shards[1])), MASTER, MASTER.run_id,
         Standing("master", 0, 3, serves=True, needs_lease=True)),
        (with_(shards=(Shard(0, 3, MASTER.id, (REPLICA.id,)), HELD.shards[1])), REPLICA, REPLICA.run_id,
         Standing("replica", 0, 3, serves=False)),
        # Another start of the same node has no role, whatever the node was.
        (HELD, MASTER, "another", Standing("unassigned", 0, 0, serves=False)),
        (HELD, REPLICA, "another", Standing("unassigned", 0, 0, serves=False)),
        (HELD, MASTER, "", Standing("unassigned", 0, 0, serves=False)),
        # A node that is not listed, and a node without a topology.
        (HELD, node(5, 0, "master"), "run-c-5-0", UNASSIGNED),
        (None, MASTER, MASTER.run_id, UNASSIGNED),
        # Called master, while the shard names another: never two masters.
        (with_(shards=(Shard(0, 4, REPLICA.id), HELD.shards[1])), MASTER, MASTER.run_id,
         Standing("replica", 0, 4, serves=False)),
        # Named by the shard, but still called a replica.
        (with_(shards=(Shard(0, 4, REPLICA.id), HELD.shards[1])), REPLICA, REPLICA.run_id,
         Standing("replica", 0, 4, serves=False)),
    ],
)  # fmt: skip
def test_only_the_run_that_the_topology_names_has_a_role(
    topology: Topology | None, who: Node, run_id: str, expected: Standing
) -> None:
    assert standing(topology, id_=who.id, run_id=run_id) == expected
