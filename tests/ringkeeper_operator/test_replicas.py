"""Replicas: from the manifest to the objects that carry them, and what the operator makes of what they tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.settings import Settings, digest_of
from ringkeeper.cluster.topology import FEEDING, SETTLED, Move, Topology
from ringkeeper.server.config import read_arguments
from ringkeeper_operator import manifest
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import (
    AskHandover,
    CommitTopology,
    DropHandover,
    Failover,
    FailoverRules,
    Handover,
    LabelRoles,
    NodeReport,
    Observed,
    ObservedNode,
    RemovePieces,
    Spec,
    Wait,
)
from ringkeeper_operator.plan.failover import fail_over
from ringkeeper_operator.plan.room import as_it_fits
from ringkeeper_operator.plan.size import leaving
from ringkeeper_operator.plan.surplus import drop_surplus, vacate
from ringkeeper_operator.resources import build_all
from ringkeeper_operator.resources.stateful_set import build_statefulset
from ringkeeper_operator.runtime.failover_log import UNSEEN, FailoverLog
from ringkeeper_operator.runtime.heartbeats import Timing
from ringkeeper_operator.runtime.kubernetes_objects import obsolete_pieces
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_spec import directives_of
from ringkeeper_operator.runtime.node_admin import report_from
from ringkeeper_operator.status import FAILOVERS_TOLD, build_status

GOLDEN = Path(__file__).parent / "golden"
UID = "3d5e2c0a-0000-4000-8000-000000000001"


def cluster(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ringkeeper.dev/v1alpha1",
        "kind": "CacheCluster",
        "metadata": {"name": "c"},
        "spec": {"shards": 1, "replicasPerShard": 0, "memory": "256Mi", "image": "node:1"} | spec,
    }


def read(**spec: Any) -> Spec:
    return manifest.spec_of(cluster(**spec), uid=UID)


# The manifest


def test_every_field_is_read() -> None:
    spec = read(
        replicasPerShard=2,
        replication={"minAcks": 1, "staleReads": True, "backlog": "8Mi"},
        failover={
            "heartbeatInterval": "250ms",
            "misses": 4,
            "recoveryTimeout": "2m",
            "recoveryPolicy": "startEmpty",
        },
    )
    assert (spec.replicas_per_shard, spec.nodes_per_shard, spec.min_acks) == (2, 3, 1)
    assert spec.settings == Settings(backlog=8 * 2**20, stale_reads=True)
    assert spec.failover == FailoverRules(250, 4, 120.0, "startEmpty")
    assert list(spec.positions()) == [(0, 0), (0, 1), (0, 2)]


def test_what_is_left_out_has_its_default() -> None:
    assert read().failover == read(failover={}).failover == FailoverRules(500, 3, 60.0, "mostRecent")
    assert read(persistence={"size": "1Gi"}).failover.recovery_policy == "waitForAll"
    assert read(replication={}).settings == Settings()


@pytest.mark.parametrize(
    ("spec", "acks"),
    [
        ({"replicasPerShard": 1}, 0),
        ({"replicasPerShard": 1, "persistence": {"size": "1Gi"}}, 0),
        ({"replicasPerShard": 1, "persistence": {"size": "1Gi", "fsync": "always"}}, 1),
        ({"replicasPerShard": 0, "persistence": {"size": "1Gi", "fsync": "always"}}, 0),
        (
            {
                "replicasPerShard": 1,
                "persistence": {"size": "1Gi", "fsync": "always"},
                "replication": {"minAcks": 0},
            },
            0,
        ),
    ],
)
def test_who_wants_a_write_on_the_disk_before_its_reply_wants_it_on_a_replica_too(
    spec: dict[str, Any], acks: int
) -> None:
    assert read(**spec).min_acks == acks


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"replicasPerShard": 6}, "spec.replicasPerShard: 6 is not allowed; must be 0 to 5"),
    ({"replicasPerShard": "1"}, "spec.replicasPerShard: 1 is not allowed; must be 0 to 5"),
    ({"replicasPerShard": 1, "replication": {"minAcks": 2}}, "spec.replication.minAcks: 2 is not allowed; must not "
     "exceed spec.replicasPerShard, which is 1"),
    ({"replication": {"minAck": 1}}, "spec.replication.minAck: unknown field; did you mean minAcks?"),
    ({"replication": {"backlog": "1Ki"}}, "spec.replication.backlog: 1Ki is not allowed; must be bytes, or a quantity "
     "such as 16Mi or 1Gi, from 16Ki to 64Gi"),
    ({"failover": {"heartbeatInterval": "10ms"}}, "spec.failover.heartbeatInterval: 10ms is not allowed; must be a "
     "duration such as 250ms, 3s, 5m or 1h30m, from 50ms to 10s"),
    ({"failover": {"heartbeatInterval": 500}}, "spec.failover.heartbeatInterval: 500 is not allowed; must be a text; "
     "put it in quotes"),
    ({"failover": {"misses": 1}}, "spec.failover.misses: 1 is not allowed; must be 2 to 20"),
    ({"failover": {"recoveryTimeout": "2d"}}, "spec.failover.recoveryTimeout: 2d is not allowed; must be a duration"),
    ({"failover": {"recoveryPolicy": "latest"}}, "spec.failover.recoveryPolicy: latest is not allowed; must be "
     "waitForAll, mostRecent or startEmpty"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "complaint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_field_value_and_range(spec: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ManifestError) as raised:
        manifest.load(yaml.safe_dump(cluster(**spec)), "f")
    (problem,) = raised.value.problems
    assert problem.startswith(f"f: {complaint}")


# Kubernetes


def test_a_statefulset_with_replicas_is_this_one() -> None:
    rendered = yaml.safe_dump(build_statefulset(read(replicasPerShard=1), 0), sort_keys=False)
    assert rendered == (GOLDEN / "stateful_set_with_replicas.yaml").read_text()


def test_what_a_manifest_says_of_pods_to_be_far_from_counts() -> None:
    own = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}
    pod = build_statefulset(read(replicasPerShard=1, affinity=own), 0)["spec"]["template"]["spec"]
    assert pod["affinity"] == own
    near = {"nodeAffinity": {"x": 1}}
    pod = build_statefulset(read(replicasPerShard=1, affinity=near), 0)["spec"]["template"]["spec"]
    assert pod["affinity"].keys() == {"nodeAffinity", "podAntiAffinity"}


def test_with_replicas_each_shard_has_a_budget_and_each_role_a_service() -> None:
    def names(spec: Spec) -> set[str]:
        return {piece for piece in build_all(spec) if piece.startswith(("Pod", "Service/"))}

    without = {"PodDisruptionBudget/c", "Service/c", "Service/c-nodes"}
    assert names(read(shards=2)) == without
    assert names(read(shards=2, replicasPerShard=1)) == {
        "PodDisruptionBudget/c-0", "PodDisruptionBudget/c-1", "Service/c", "Service/c-nodes", "Service/c-master",
        "Service/c-replica",
    }  # fmt: skip
    masters = build_all(read(replicasPerShard=1))["Service/c-master"]
    assert masters["spec"]["selector"] == {"ringkeeper.dev/cluster": "c", "ringkeeper.dev/role": "master"}


def test_heartbeats_come_from_the_operator_and_the_clusters_own_nodes_alone() -> None:
    policy = build_all(read())["NetworkPolicy/c"]
    (guarded,) = [
        rule for rule in policy["spec"]["ingress"] if {"port": "heartbeat", "protocol": "UDP"} in rule["ports"]
    ]
    assert len(guarded["from"]) == 2


def test_a_budget_that_is_asked_for_no_more_is_removed_if_it_is_ours() -> None:
    ours = {"ownerReferences": [{"uid": UID, "controller": True}]}
    found = {
        "PodDisruptionBudget/c": ours,
        "PodDisruptionBudget/c-0": ours,
        "PodDisruptionBudget/other": {"ownerReferences": []},
        "Service/old": ours,
    }
    assert obsolete_pieces(["PodDisruptionBudget/c-0"], found, UID) == ("PodDisruptionBudget/c",)
    world, operator = running()
    action = decide(world.spec, replace(world.observe(operator), obsolete=("PodDisruptionBudget/c",)), 0.0)
    assert isinstance(action, RemovePieces)
    assert action.message == "PodDisruptionBudget/c: no longer asked for"


def test_on_a_laptop_the_nodes_of_a_shard_stand_side_by_side(tmp_path: Path) -> None:
    spec = read(shards=2, replicasPerShard=2)
    folder = ClusterFolder("c", tmp_path)
    ports = [directives_of(folder, spec, position, 7000, None)["port"] for position in spec.positions()]
    assert ports == ["7000", "7001", "7002", "7003", "7004", "7005"]


def test_a_node_starts_with_what_the_manifest_says(tmp_path: Path) -> None:
    spec = read(replication={"backlog": "2Mi"})
    if "repl-backlog-size" not in read_arguments([]).values:
        pytest.skip("nodes of this release know no backlog")
    file = tmp_path / "node.conf"
    file.write_text(build_all(spec)["ConfigMap/c-config"]["data"]["node.conf"])
    assert digest_of(read_arguments([str(file)]).values) == spec.settings.digest


# Decisions


def running(replicas: int = 1, **changes: object) -> tuple[World, Operator]:
    world = World(make_spec(**{"shards": 2, "replicas_per_shard": replicas} | changes))
    operator = Operator("only")
    world.work(operator)
    return world, operator


def roles(world: World) -> dict[str, str]:
    assert world.committed
    return {node.name: node.role for node in world.committed.nodes}


def test_the_first_node_of_a_shard_becomes_master_and_the_others_replicas() -> None:
    world, _ = running()
    assert roles(world) == {
        "ring-0-0": "master", "ring-0-1": "replica", "ring-1-0": "master", "ring-1-1": "replica",
    }  # fmt: skip
    assert world.is_served()
    assert {node.role_label for node in world.nodes.values()} == {"master", "replica"}


def test_a_first_topology_makes_who_has_data_of_a_former_cluster_master() -> None:
    world = World(make_spec(shards=1, replicas_per_shard=1))
    operator = Operator("only")
    world.apply(operator, decide(world.spec, world.observe(operator), 0.0))  # type: ignore[arg-type]
    world.nodes["ring-0-1"].position = Position(3, 100)
    world.work(operator)
    assert roles(world) == {"ring-0-0": "replica", "ring-0-1": "master"}


def test_a_replica_that_restarts_is_named_again_without_a_new_term() -> None:
    world, operator = running()
    world.write(0)
    world.restart(0, 1)
    world.settle()
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, CommitTopology)
    assert action.message == f"ring-0-1: restarted; a replica again as epoch {action.topology.epoch}"
    assert [shard.term for shard in action.topology.shards] == [1, 1]
    world.work(operator)
    assert world.nodes["ring-0-1"].keys == 1


def test_a_master_that_comes_back_empty_does_not_empty_a_replica_that_has_seen_more() -> None:
    world, operator = running()
    world.write(0)
    world.restart(0, 0)
    world.settle()
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, CommitTopology)
    assert (action.reason, action.warning, action.at_once) == ("FailedOver", True, True)
    told = "shard 0: ring-0-1 takes the place of ring-0-0 in term 2 (its process ended)"
    assert action.message == f"{told}; as epoch {action.topology.epoch}"
    assert [(told.shard, told.term, told.former, told.master) for told in action.failovers] == [
        (0, 2, "ring-0-0", "ring-0-1")
    ]
    world.work(operator)
    assert roles(world)["ring-0-1"] == "master"
    assert [shard.term for shard in world.committed.shards] == [2, 1]  # type: ignore[union-attr]
    assert {world.nodes[name].keys for name in ("ring-0-0", "ring-0-1")} == {1}
    assert {name: node.role_label for name, node in world.nodes.items()} == roles(world)


def test_what_arbiters_propose_for_several_shards_is_one_commit() -> None:
    world, operator = running()
    world.restart(0, 0)
    world.restart(1, 0)
    world.settle()
    before = world.committed
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, CommitTopology)
    assert before
    assert action.topology.epoch == before.epoch + 1
    assert [shard.term for shard in action.topology.shards] == [2, 2]
    assert len(action.failovers) == 2


def test_a_proposal_that_rests_on_what_is_no_more_is_left_out() -> None:
    world, operator = running()
    world.restart(0, 0)
    world.settle()
    observed = world.observe(operator)
    assert observed.topology
    later = replace(
        observed.topology, epoch=99, shards=tuple(replace(s, term=s.term + 1) for s in observed.topology.shards)
    )
    assert fail_over(world.spec, replace(observed, topology=later)) is None


def test_the_rules_of_the_manifest_are_those_of_the_topology() -> None:
    world, operator = running()
    world.spec = replace(world.spec, min_acks=1, failover=FailoverRules(250, 4))
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, CommitTopology)
    assert action.message.startswith("a heartbeat every 250 ms, a lease of 1000 ms; shard 0: minAcks 1; shard 1: min")
    assert action.topology.shards[0].former is not None, "until the masters have acknowledged it"
    world.work(operator)
    assert world.committed
    assert (world.committed.lease_ms, [shard.min_acks for shard in world.committed.shards]) == (1000, [1, 1])
    assert not any(shard.former for shard in world.committed.shards)


def test_a_label_that_says_master_is_taken_away_before_another_gets_it() -> None:
    world, operator = running()
    observed = world.observe(operator)
    swapped = [
        replace(node, role_label={"master": "replica", "replica": "master"}[str(node.role_label)])
        for node in observed.nodes
    ]
    action = decide(world.spec, replace(observed, nodes=tuple(swapped)), 0.0)
    assert isinstance(action, LabelRoles)
    assert list(action.roles.values()) == ["replica", "replica", "master", "master"]


def test_replicas_that_are_asked_for_later_are_added() -> None:
    world, operator = running(replicas=0)
    before = world.committed
    world.spec = replace(world.spec, replicas_per_shard=2)
    world.work(operator)
    assert before
    assert [shard.term for shard in world.committed.shards] == [1, 1]  # type: ignore[union-attr]
    assert list(roles(world).values()) == ["master", "replica", "replica"] * 2
    assert set(world.nodes) == set(roles(world))


def lowering(replicas: int, to: int, **changes: object) -> tuple[World, Operator]:
    world, operator = running(replicas, **changes)
    world.spec = replace(world.spec, replicas_per_shard=to)
    return world, operator


def without_votes(world: World) -> None:
    """As the arbiters have it when nobody needs the last replica of a shard any more."""
    assert world.committed
    last = {f"ring-{shard.index}-{len(shard.voters)}" for shard in world.committed.shards}
    gone = {node.id for node in world.committed.nodes if node.name in last}
    shards = tuple(
        replace(shard, voters=tuple(id_ for id_ in shard.voters if id_ not in gone)) for shard in world.committed.shards
    )
    world.committed = replace(world.committed, shards=shards)


def test_surplus_replicas_leave_the_topology_when_they_vote_no_more_and_their_pods_go_after_that() -> None:
    world, operator = lowering(2, 1)
    waiting = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(waiting, Wait)
    assert waiting.message.startswith("ring-0-2, ring-1-2: to be removed, since replicasPerShard is 1")
    without_votes(world)
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, CommitTopology)
    assert action.message.startswith("ring-0-2, ring-1-2: no longer in the topology as of epoch")
    assert len(world.nodes) == 6, "they end when the topology knows them no more"
    world.apply(operator, action)
    world.work(operator)
    assert sorted(world.nodes) == ["ring-0-0", "ring-0-1", "ring-1-0", "ring-1-1"]
    assert world.is_served()
    assert decide(world.spec, world.observe(operator), 0.0) is None


def test_a_master_that_is_one_too_many_hands_over_first() -> None:
    world, operator = running(1)
    world.write(0)
    world.restart(0, 0)
    world.work(operator)
    assert roles(world)["ring-0-1"] == "master"
    world.spec = replace(world.spec, replicas_per_shard=0)
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, AskHandover)
    told = "shard 0: ring-0-1 is asked to make room for ring-0-0: replicasPerShard is 0, and ring-0-1 one too many"
    assert action.message == told
    assert action.target == world.nodes["ring-0-0"].id


def with_move(topology: Topology | None, source: int, target: int, phase: str) -> Topology:
    """As if one slot of `source` were on its way, or had come to `target` a moment ago."""
    assert topology
    slot = topology.owners.index(source)
    ends = [topology.shards[index] for index in (source, target)]
    runs = [topology.master_of(shard).run_id for shard in ends]
    move = Move(topology.epoch, source, target, (slot,), ends[0].term, runs[0], ends[1].term, runs[1], phase)
    owners = (*topology.owners[:slot], move.owner, *topology.owners[slot + 1 :])
    return replace(topology, owners=owners, moves=(move,))


def running_with_one_too_many() -> tuple[World, Operator]:
    """Of three shards, each with a replica that votes no more."""
    world, operator = lowering(2, 1, shards=3)
    without_votes(world)
    return world, operator


@pytest.mark.parametrize("phase", [FEEDING, SETTLED])
@pytest.mark.parametrize(("source", "target", "goes"), [(0, 1, 2), (2, 0, 1)])
def test_a_replica_stays_while_slots_move_to_or_from_its_shard(source: int, target: int, goes: int, phase: str) -> None:
    world, operator = running_with_one_too_many()
    world.committed = with_move(world.committed, source, target, phase)
    seen = world.observe(operator)
    action = drop_surplus(as_it_fits(world.spec, seen), seen)
    assert action is not None
    assert {node.name for node in world.committed.nodes} - {node.name for node in action.topology.nodes} == {
        f"ring-{goes}-2"
    }


@pytest.mark.parametrize("phase", [FEEDING, SETTLED])
@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0), (1, 2)])
def test_a_master_that_is_one_too_many_stays_while_slots_move_to_or_from_its_shard(
    source: int, target: int, phase: str
) -> None:
    world, operator = running(1, shards=3)
    world.write(0)
    world.restart(0, 0)
    world.work(operator)
    assert roles(world)["ring-0-1"] == "master"
    world.spec = replace(world.spec, replicas_per_shard=0)
    world.committed = with_move(world.committed, source, target, phase)
    seen = world.observe(operator)
    action = vacate(as_it_fits(world.spec, seen), seen)
    assert (action is None) == (0 in (source, target))


def test_replicas_that_are_one_too_many_go_when_the_slots_have_moved() -> None:
    world, operator = running_with_one_too_many()
    world.committed = with_move(world.committed, 0, 1, FEEDING)
    world.work(operator, rounds=100)
    assert not world.committed.moves
    assert len(world.nodes) == 6
    assert world.is_served()


def test_nobody_votes_less_before_who_stays_has_caught_up() -> None:
    world, _ = running(2)
    assert world.committed
    assert leaving(world.committed, 2) == {world.nodes[name].id for name in ("ring-0-2", "ring-1-2")}
    assert leaving(world.committed, 1) == {
        world.nodes[name].id for name in ("ring-0-1", "ring-0-2", "ring-1-1", "ring-1-2")
    }
    assert leaving(world.committed, 3) == frozenset()
    first, second = world.committed.shards
    behind = replace(first, voters=(world.nodes["ring-0-2"].id,))
    assert leaving(replace(world.committed, shards=(behind, second)), 2) == {world.nodes["ring-1-2"].id}
    strict = replace(world.committed, shards=(replace(first, min_acks=1), replace(second, min_acks=2)))
    assert leaving(strict, 2) == {world.nodes["ring-0-2"].id}, "none may vote less than a write waits for"
    elsewhere = replace(first, master=world.nodes["ring-0-2"].id, voters=(world.nodes["ring-0-1"].id,))
    assert leaving(replace(world.committed, shards=(elsewhere, second)), 2) == {world.nodes["ring-1-2"].id}


# The status


def report(**replication: Any) -> NodeReport:
    plain = {
        "id": "x", "runId": "r", "epoch": 1, "leader": 1, "role": "replica", "state": "online", "term": 1, "keys": 0,
        "slotsServed": 0, "usedMemory": 0, "version": "1",
    }  # fmt: skip
    return report_from(plain | ({"replication": replication} if replication else {}))


def test_what_a_node_tells_of_its_replication_is_read() -> None:
    told = report(term=3, offset=77, link="connected", lagBytes=5, lagMs=20, candidate=False, replicas=[])
    assert (told.position, told.link, told.lag_bytes, told.lag_ms, told.candidate) == (
        Position(3, 77), "connected", 5, 20, False,
    )  # fmt: skip
    assert report().position == NOTHING, "a node of an older release says nothing"


def test_the_status_has_a_row_for_each_replica_and_degraded_says_which_one_lacks() -> None:
    world, operator = running()
    observed = world.observe(operator)

    def told(seen: Observed) -> dict[str, Any]:
        return build_status(world.spec, seen, None, None, 0.0)

    row = told(observed)["shardStatuses"][0]
    assert row["replicas"] == [
        {"name": "ring-0-1", "state": "online", "link": "connected", "voter": True, "lagBytes": 0, "lagSeconds": 0}
    ]
    assert told(observed)["readyNodes"] == "4/4"
    lagging = [
        replace(node, report=replace(node.report, link="sync", lag_bytes=3 * 2**20)) if node.ordinal else node  # type: ignore[type-var]
        for node in observed.nodes
    ]
    status = told(replace(observed, nodes=tuple(lagging)))
    assert status["shardStatuses"][1]["replicas"][0]["lagBytes"] == 2 * 2**20
    assert status["readyNodes"] == "2/4"
    conditions = {entry["type"]: entry for entry in status["conditions"]}
    assert conditions["Ready"]["status"] == "True", "every slot is served"
    assert conditions["Degraded"]["reason"] == "ReplicasLacking"
    assert "ring-0-1 (syncing), ring-1-1 (syncing)" in conditions["Degraded"]["message"]


def test_an_always_synced_cluster_that_waits_for_no_replica_is_warned_of() -> None:
    settings = Settings(append_only=True, fsync="always")
    world, operator = running(settings=settings)

    def warning(acks: int) -> dict[str, Any]:
        spec = replace(world.spec, min_acks=acks)
        conditions = build_status(spec, world.observe(operator), None, None, 0.0)["conditions"]
        return next(entry for entry in conditions if entry["type"] == "ConfigurationWarning")

    assert (warning(0)["status"], warning(0)["reason"]) == ("True", "WritesMayBeLost")
    assert warning(1)["status"] == "False"


# Handovers


def asked(world: World, operator: Operator, *requests: Handover) -> object:
    spec = replace(world.spec, handovers=requests)
    return decide(spec, world.observe(operator), 0.0)


def test_who_is_asked_for_is_put_to_the_arbiter_once() -> None:
    world, operator = running()
    action = asked(world, operator, Handover(0), Handover(1, "ring-1-1"))
    assert isinstance(action, AskHandover)
    assert action.message == "shard 0: ring-0-0 is asked to make room for ring-0-1"
    assert action.target == world.nodes["ring-0-1"].id
    spec = replace(world.spec, handovers=(Handover(0),))
    assert decide(spec, replace(world.observe(operator), handovers={0: action.target}), 0.0) is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Handover(7), "shard 7 was not handed over: there is no shard 7; there are 0, 1"),
        (Handover(-1, "what"), "shard -1 was not handed over: there is no shard -1; there are 0, 1"),
        (
            Handover(0, "ring-1-1"),
            "shard 0 was not handed over: ring-1-1 is no replica of it; its replicas are ring-0-1",
        ),
        (Handover(0, "ring-0-0"), "shard 0 is handed over: ring-0-0 is its master already"),
        (Handover(0, "ring-0-1", 0), "shard 0 is handed over: ring-0-0 is its master in term 1"),
    ],
)
def test_what_cannot_be_or_is_done_is_dropped_with_the_reason(request_: Handover, message: str) -> None:
    world, operator = running()
    action = asked(world, operator, request_)
    assert isinstance(action, DropHandover)
    assert (action.message, action.shard) == (message, request_.shard)


def test_a_replica_that_has_not_caught_up_takes_over_from_nobody() -> None:
    world, operator = running()
    observed = world.observe(operator)
    nodes = tuple(
        replace(node, report=replace(node.report, link="sync")) if node.name == "ring-0-1" else node  # type: ignore[type-var]
        for node in observed.nodes
    )
    action = decide(replace(world.spec, handovers=(Handover(0),)), replace(observed, nodes=nodes), 0.0)
    assert isinstance(action, DropHandover)
    assert action.message == "shard 0 was not handed over: ring-0-1 has not caught up"
    insisting = replace(world.spec, handovers=(Handover(0, "ring-0-1", insists=True),))
    forced = decide(insisting, replace(observed, nodes=nodes), 0.0)
    assert isinstance(forced, AskHandover)
    assert forced.insists, "a person takes what is lost upon themselves"


def told_to_end(observed: Observed, *gone: str) -> Observed:
    return replace(
        observed,
        nodes=tuple(
            replace(node, report=replace(node.report, leaving=True)) if node.report and node.name in gone else node
            for node in observed.nodes
        ),
    )


def test_who_was_told_to_end_takes_over_from_nobody() -> None:
    world, operator = running()
    observed = told_to_end(world.observe(operator), "ring-0-1")
    action = decide(replace(world.spec, handovers=(Handover(0),)), observed, 0.0)
    assert isinstance(action, DropHandover)
    assert action.message == "shard 0 was not handed over: ring-0-1 is about to end"


def test_a_start_that_was_told_to_end_is_not_appointed() -> None:
    world, operator = running(replicas=0)
    world.restart(1, 0)
    world.settle()
    observed = world.observe(operator)
    assert isinstance(decide(world.spec, observed, 0.0), CommitTopology)
    assert not isinstance(decide(world.spec, told_to_end(observed, "ring-1-0"), 0.0), CommitTopology)


def test_a_first_topology_waits_for_who_stays() -> None:
    world = World(make_spec(shards=1, replicas_per_shard=1))
    operator = Operator("only")
    world.apply(operator, decide(world.spec, world.observe(operator), 0.0))  # type: ignore[arg-type]
    world.settle()
    observed = world.observe(operator)
    assert isinstance(decide(world.spec, observed, 0.0), CommitTopology)
    assert isinstance(decide(world.spec, told_to_end(observed, "ring-0-1"), 0.0), Wait)


def test_who_was_told_to_end_does_not_count_as_ready() -> None:
    world, operator = running()
    observed = told_to_end(world.observe(operator), "ring-0-0", "ring-1-1")
    status = build_status(world.spec, observed, None, None, 0.0)
    assert status["readyNodes"] == "2/4"
    assert status["shardStatuses"][1]["replicas"][0]["state"] == "leaving"
    conditions = {entry["type"]: entry for entry in status["conditions"]}
    assert conditions["Ready"]["status"] == "True", "a master serves until it has handed over"
    assert conditions["Degraded"]["reason"] == "ReplicasLacking"


def test_an_annotation_asks_for_handovers() -> None:
    annotated = cluster() | {"metadata": {"name": "c", "annotations": {"ringkeeper.dev/failover": "0, 2=c-2-1,x"}}}
    assert manifest.spec_of(annotated, uid=UID).handovers == (Handover(0), Handover(2, "c-2-1"), Handover(-1))


# What was lost


def with_loss(node: ObservedNode, *, term: int, size: int, writes: int) -> ObservedNode:
    told = report_from(
        {
            "id": "x", "runId": "r", "epoch": 1, "leader": 1, "role": "replica", "state": "online", "term": term + 1,
            "keys": 0, "slotsServed": 0, "usedMemory": 0, "version": "1",
            "replication": {"lost": {"term": term, "bytes": size, "writes": writes, "keys": ["a", "b"]}},
        }
    )  # fmt: skip
    return replace(node, report=told)


def test_another_operator_tells_what_was_lost_before_its_time_and_does_not_tell_it_again() -> None:
    world, operator = running()
    observed = world.observe(operator)
    assert observed.topology is not None
    shards = tuple(replace(shard, term=4) for shard in observed.topology.shards)
    topology = replace(observed.topology, shards=shards)
    nodes = [with_loss(observed.nodes[1], term=2, size=77, writes=2)]
    log = FailoverLog({})
    (news,) = log.hear(nodes, topology)
    assert "ring-0-1 had 2 writes" in news.message
    (entry,) = log.entries
    assert (entry.shard, entry.term, entry.former, entry.cause) == (0, 3, "ring-0-1", UNSEEN)
    status = build_status(world.spec, replace(observed, failovers=tuple(log.entries)), None, None, 0.0)
    another = FailoverLog(status)
    assert [replace(each, time=0.0) for each in another.entries] == [replace(entry, time=0.0)]
    assert another.hear(nodes, topology) == []
    assert another.entries[0].time == pytest.approx(entry.time, abs=1)


def test_of_failovers_within_a_second_the_later_one_is_told_first() -> None:
    world, operator = running()
    observed = world.observe(operator)
    done = [
        Failover(shard=shard, term=term, time=1000.0 + term / 10, cause="not heard", former="a", master="b")
        for shard, term in ((0, 2), (0, 3), (1, 4))
    ]
    status = build_status(world.spec, replace(observed, failovers=tuple(done)), None, None, 0.0)
    assert [row["term"] for row in status["failovers"]] == [4, 3, 2]
    assert [entry.term for entry in FailoverLog(status).entries] == [2, 3, 4]
    again = build_status(world.spec, replace(observed, failovers=tuple(FailoverLog(status).entries)), None, status, 0.0)
    assert again["failovers"] == status["failovers"]


def test_losses_that_are_no_news_are_not_told() -> None:
    world, operator = running()
    observed = world.observe(operator)
    (first, second, *_) = observed.nodes
    done = Failover(shard=0, term=2, time=0.0, cause="not heard", former="ring-0-0", master="ring-0-1")
    log = FailoverLog()
    log.add([done], {}, 0, 0)
    assert log.hear([with_loss(first, term=1, size=14, writes=0)], observed.topology) == [], "a PING is no write"
    assert log.entries[0].lost_writes == 0
    assert len(log.hear([with_loss(second, term=1, size=50, writes=1)], observed.topology)) == 1
    assert log.hear([with_loss(first, term=1, size=40, writes=1)], observed.topology) == [], "part of that"
    log.add([replace(done, term=term) for term in range(3, 13)], {}, 0, 0)
    log.entries = log.entries[-FAILOVERS_TOLD:]
    assert log.hear([with_loss(first, term=1, size=50, writes=1)], observed.topology) == [], "forgotten, but old"


def test_what_a_former_master_lost_is_told_once() -> None:
    log = FailoverLog()
    done = Failover(shard=0, term=2, time=0.0, cause="not heard", former="ring-0-0", master="ring-0-1")
    log.add([done], {0: Timing(heard=1_000_000_000, suspected=2_500_000_000)}, 2_700_000_000, 2_710_000_000)
    assert [(e.detection_ms, e.election_ms, e.total_ms, e.lost_writes) for e in log.entries] == [
        (1500, 200, 1710, None)
    ]
    world, operator = running()
    (first, *_) = world.observe(operator).nodes
    assert first.report
    nodes = [with_loss(first, term=1, size=77, writes=2)]
    (news,) = log.hear(nodes, None)
    assert news.warning
    assert news.message == (
        "shard 0: ring-0-0 had 2 writes (77 bytes) of term 1 that ring-0-1 never got; they are lost, "
        "to keys such as a, b"
    )
    assert log.hear(nodes, None) == []
    assert (log.entries[0].lost_bytes, log.entries[0].lost_writes) == (77, 2)
    observed = replace(world.observe(operator), failovers=tuple(log.entries))
    (row,) = build_status(world.spec, observed, None, None, 0.0)["failovers"]
    assert (row["from"], row["to"], row["totalMilliseconds"], row["lostWrites"]) == ("ring-0-0", "ring-0-1", 1710, 2)
    again = build_status(world.spec, replace(observed, failovers=()), None, {"failovers": [row]}, 0.0)
    assert again["failovers"] == [row], "another operator keeps what was told"
