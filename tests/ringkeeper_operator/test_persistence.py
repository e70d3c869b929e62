"""`spec.persistence`: from the manifest to volumes and nodes, and what is said of mistakes and of disks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.settings import Settings, digest_of
from ringkeeper.server import departure
from ringkeeper.server.config import read_arguments
from ringkeeper_operator import manifest
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import GrowVolumes, Observed, ObservedClaim, Spec, Volume, stop_seconds
from ringkeeper_operator.quantity import stored_bytes
from ringkeeper_operator.resources import build_all
from ringkeeper_operator.resources.stateful_set import build_statefulset, claim_name
from ringkeeper_operator.runtime import local_process
from ringkeeper_operator.status import build_status

GOLDEN = Path(__file__).parent / "golden"
GIBIBYTE = 2**30
UID = "3d5e2c0a-0000-4000-8000-000000000001"


def cluster(persistence: Any = None, **spec: Any) -> dict[str, Any]:
    given = {} if persistence is None else {"persistence": persistence}
    return {
        "apiVersion": "ringkeeper.dev/v1alpha1",
        "kind": "CacheCluster",
        "metadata": {"name": "c"},
        "spec": {"shards": 1, "replicasPerShard": 0, "memory": "256Mi", "image": "node:1"} | given | spec,
    }


def read(persistence: Any = None, **spec: Any) -> Spec:
    return manifest.spec_of(cluster(persistence, **spec), uid=UID)


def problems(persistence: Any, **spec: Any) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        manifest.load(yaml.safe_dump(cluster(persistence, **spec)), "f")
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("persistence", "settings"),
    [
        (None, Settings()),
        ({"mode": "none"}, Settings()),
        ({"size": "1Gi"}, Settings(save="300 1", append_only=True)),
        ({"mode": "hybrid", "size": "1Gi", "fsync": "no", "save": "60 1 9 100"},
         Settings(save="60 1 9 100", append_only=True, fsync="no")),
        ({"mode": "snapshot", "size": "1Gi"}, Settings(save="300 1")),
        ({"mode": "aof", "size": "1Gi", "fsync": "always"}, Settings(append_only=True, fsync="always")),
        ({"mode": "none", "size": "1Gi"}, Settings()),
    ],
)  # fmt: skip
def test_a_mode_becomes_what_nodes_call_it(persistence: Any, settings: Settings) -> None:
    spec = read(persistence)
    assert spec.settings == settings
    assert (spec.volume is not None) == ("size" in (persistence or {}))


def test_every_field_of_the_volume_is_read() -> None:
    assert read({"size": "1Gi"}).volume == Volume(GIBIBYTE, None, True)
    given = {"size": 2 * GIBIBYTE, "storageClassName": "fast.ssd", "retain": False}
    assert read(given).volume == Volume(2 * GIBIBYTE, "fast.ssd", False)
    assert read({"size": "1Gi", "storageClassName": ""}).volume == Volume(GIBIBYTE, "", True)


MISTAKES: list[tuple[Any, str]] = [
    ({}, "spec.persistence.size: missing; must be bytes, or a quantity such as 1Gi or 50G, from 1Mi to 64Ti: what each "
     "node's volume holds (mode is hybrid; with mode none it may be left out)"),
    ({"mode": "snapshot"}, "spec.persistence.size: missing"),
    ({"mode": "snapshots", "size": "1Gi"}, "spec.persistence.mode: snapshots is not allowed; must be none, snapshot, "
     "aof or hybrid; did you mean snapshot?"),
    ({"size": "1Gi", "fsync": "sometimes"}, "spec.persistence.fsync: sometimes is not allowed; must be always, "
     "everysec or no"),
    ({"size": "1Gi", "fsync": False}, "spec.persistence.fsync: false is not allowed; must be always, everysec or no; "
     "put it in quotes"),
    ({"mode": "snapshot", "size": "1Gi", "fsync": "always"}, "spec.persistence.fsync: always is not allowed with mode "
     "snapshot, which has no append-only file; leave it out, or set mode to aof or hybrid"),
    ({"mode": "none", "fsync": "always"}, "spec.persistence.fsync: always is not allowed with mode none"),
    ({"mode": "aof", "size": "1Gi", "save": "60 1"}, "spec.persistence.save: 60 1 is not allowed with mode aof, which "
     "takes no snapshots; leave it out, or set mode to snapshot or hybrid"),
    ({"size": "1Gi", "save": "often"}, "spec.persistence.save: often is not allowed; must be pairs of SECONDS CHANGES "
     "such as 300 1 or 3600 1 60 10000"),
    ({"size": "1Gi", "save": "300"}, "spec.persistence.save: 300 is not allowed"),
    ({"size": "1Gi", "save": "0 1"}, "spec.persistence.save: 0 1 is not allowed"),
    ({"size": "1Gi", "save": ""}, "spec.persistence.save: '' is not allowed"),
    ({"size": "lots"}, "spec.persistence.size: lots is not allowed; must be bytes, or a quantity such as 1Gi or 50G, "
     "from 1Mi to 64Ti"),
    ({"size": "65Ti"}, "spec.persistence.size: 65Ti is not allowed"),
    ({"size": "255Mi"}, "spec.persistence.size: 255Mi is not allowed; must be at least spec.memory, which is 256Mi"),
    ({"size": "1Gi", "storageClassName": "Fast"}, "spec.persistence.storageClassName: Fast is not allowed; must be "
     "lower-case"),
    ({"size": "1Gi", "retain": "yes"}, "spec.persistence.retain: yes is not allowed; must be true or false"),
    ({"sise": "1Gi"}, "spec.persistence.sise: unknown field; did you mean size?"),
    ("hybrid", "spec.persistence: hybrid is not allowed; must be fields with values"),
]  # fmt: skip


@pytest.mark.parametrize(("persistence", "complaint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_field_value_and_range(persistence: Any, complaint: str) -> None:
    (problem,) = problems(persistence)
    assert problem.startswith(f"f: {complaint}")


def test_a_node_starts_with_what_the_manifest_says(tmp_path: Path) -> None:
    spec = read({"mode": "snapshot", "size": "1Gi", "save": "3600 1 60 10000"})
    file = tmp_path / "node.conf"
    file.write_text(build_all(spec)["ConfigMap/c-config"]["data"]["node.conf"])
    config = read_arguments([str(file)])
    assert config.text("save") == "3600 1 60 10000"
    assert digest_of(config.values) == spec.settings.digest


def test_a_statefulset_with_volumes_is_this_one() -> None:
    spec = read({"mode": "hybrid", "size": "1Gi", "storageClassName": "fast", "retain": False})
    rendered = yaml.safe_dump(build_statefulset(spec, 0), sort_keys=False)
    assert rendered == (GOLDEN / "stateful_set_with_volume.yaml").read_text()
    assert claim_name(spec, 0, 0) == "data-c-0-0"


def test_what_nodes_take_live_changes_no_pod_template_and_neither_does_another_size() -> None:
    spec = read({"size": "1Gi"})
    before = build_all(spec, generate=lambda: "x")

    def changed(**persistence: Any) -> list[str]:
        after = build_all(read({"size": "1Gi"} | persistence), generate=lambda: "x")
        hashes = [(piece, after[piece]["metadata"]["annotations"]) for piece in before]
        return [piece for piece, annotations in hashes if annotations != before[piece]["metadata"]["annotations"]]

    assert changed(mode="none") == changed(fsync="always") == changed(save="60 1") == ["ConfigMap/c-config"]
    assert changed(size="2Gi") == changed(storageClassName="fast") == []
    assert changed(retain=False) == ["StatefulSet/c-0"]


@pytest.mark.parametrize(("memory", "seconds"), [("256Mi", 46), ("1Gi", 94), ("16Gi", 1054), ("1Ti", 3600)])
def test_a_node_with_a_volume_is_given_time_for_a_last_snapshot(memory: str, seconds: int) -> None:
    assert stop_seconds(read({"size": "2Ti"}, memory=memory)) == seconds
    assert stop_seconds(read(memory=memory)) == 30


def test_a_master_that_is_told_to_end_has_handed_over_long_before_it_would_be_killed() -> None:
    assert departure.LONGEST_SECONDS < 30 / 5
    assert departure.LONGEST_SECONDS < local_process.STOP_SECONDS


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1Gi", GIBIBYTE),
        ("1073741824", GIBIBYTE),
        ("1.5Mi", 3 * 2**19),
        ("5e9", 5 * 10**9),
        ("1Pi", 2**50),
        ("1500m", 2),
    ],
)
def test_what_a_claim_asks_for_is_read_in_every_form(text: str, size: int) -> None:
    assert stored_bytes(text) == size
    assert stored_bytes("what") > 2**62, "what cannot be read is not grown"


def claims(*sizes: int) -> tuple[ObservedClaim, ...]:
    return tuple(ObservedClaim(f"data-ring-{index}-0", size) for index, size in enumerate(sizes))


def running(volume: Volume | None, settings: Settings) -> tuple[World, Observed]:
    world = World(make_spec(volume=volume, settings=settings), configured=settings)
    operator = Operator("only")
    world.work(operator)
    return world, world.observe(operator)


def test_volumes_that_are_smaller_than_asked_for_are_grown_when_all_is_well() -> None:
    world, observed = running(Volume(2 * GIBIBYTE), Settings(save="300 1"))
    observed = replace(observed, claims=claims(2 * GIBIBYTE, GIBIBYTE, 3 * GIBIBYTE))
    assert decide(world.spec, observed, 0.0) == GrowVolumes(
        reason="VolumesGrowing", message="data-ring-1-0: asked to grow to 2Gi", size=2 * GIBIBYTE,
        claims=("data-ring-1-0",),
    )  # fmt: skip
    assert decide(world.spec, replace(observed, claims=claims(2 * GIBIBYTE, 3 * GIBIBYTE)), 0.0) is None
    assert decide(replace(world.spec, volume=None), replace(observed, claims=claims(1)), 0.0) is None


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str] | None:
    found = [entry for entry in status["conditions"] if entry["type"] == kind]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def test_the_status_says_whether_data_is_kept() -> None:
    world, observed = running(Volume(GIBIBYTE), Settings(save="300 1"))

    def status(seen: Observed) -> dict[str, Any]:
        return build_status(world.spec, seen, None, None, 0.0)

    well = status(replace(observed, claims=claims(GIBIBYTE, 2 * GIBIBYTE)))
    told = "every node keeps its data: persistence snapshot, save 300 1"
    assert condition(well, "Persisting") == ("True", "AsAsked", told)
    assert well["volumeSize"] == "1Gi"
    first, *others = observed.nodes
    assert first.report
    error = "open temp-1.rdb: No space left on device"
    ill = status(
        replace(observed, nodes=(replace(first, report=replace(first.report, persistence_error=error)), *others))
    )
    told = f"1 of 3 nodes cannot keep their data and refuse to change it (MISCONF): ring-0-0 ({error})"
    assert condition(ill, "Persisting") == ("False", "DiskFailing", told)
    assert condition(ill, "Degraded") == ("True", "DiskFailing", told)
    assert condition(ill, "Ready") == condition(well, "Ready"), "it serves"
    silent = status(replace(observed, nodes=(replace(first, report=None), *others)))
    assert condition(silent, "Persisting") == ("Unknown", "NodesSilent", "not heard of: ring-0-0")


def test_without_persistence_nothing_is_said_of_it() -> None:
    world, observed = running(None, Settings())
    status = build_status(world.spec, observed, None, None, 0.0)
    assert condition(status, "Persisting") is None
    assert "volumeSize" not in status


def test_a_node_that_loads_is_shown_with_how_far_it_is() -> None:
    world, observed = running(Volume(GIBIBYTE), Settings(save="300 1"))
    first, *others = observed.nodes
    assert first.report
    report = replace(first.report, state="loading", run_id="new", loaded=0.4711)
    status = build_status(
        world.spec, replace(observed, nodes=(replace(first, report=report), *others)), None, None, 0.0
    )
    assert (status["shardStatuses"][0]["state"], status["shardStatuses"][0]["loadedPercent"]) == ("loading", 45)
    assert "loadedPercent" not in status["shardStatuses"][1]


def test_a_class_of_volumes_has_no_meaning_on_a_laptop() -> None:
    assert manifest.ignored_on_laptop(cluster({"size": "1Gi", "storageClassName": "fast"})) == [
        "spec.image", "spec.persistence.storageClassName",
    ]  # fmt: skip
