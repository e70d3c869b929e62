"""The API server refuses what `ringkeeper up` refuses, and says which field, value and range."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from kubernetes_cluster import Refused, apply, cache_cluster

from ringkeeper_operator.manifest import ManifestError, load

BAD: list[tuple[dict[str, Any], str]] = [
    ({"shards": 0}, "spec.shards"),
    ({"shards": 1001}, "spec.shards"),
    ({"shards": "three"}, "spec.shards"),
    ({"memory": "lots"}, "spec.memory"),
    ({"port": 80}, "spec.port"),
    ({"vnodesPerShard": 0}, "spec.vnodesPerShard"),
    ({"memroy": "1Gi"}, "spec.memroy"),
    ({"auth": {"secretNam": "x"}}, "spec.auth.secretNam"),
    ({"eviction": "lru"}, "spec.eviction"),
    ({"namespaces": [{"prefix": ""}]}, "spec.namespaces[0].prefix"),
    ({"namespaces": [{"prefix": "a"}, {"prefix": "a"}]}, "spec.namespaces[1]"),
    ({"namespaces": [{"prefix": "a", "maxMemory": "lots"}]}, "spec.namespaces[0].maxMemory"),
    ({"namespaces": [{"prefix": "a", "defaultTTL": "2h", "maxTTL": "1h"}]}, "spec.namespaces[0]"),
    ({"persistence": {}}, "size"),
    ({"persistence": {"mode": "snapshots", "size": "1Gi"}}, "spec.persistence.mode"),
    ({"persistence": {"mode": "snapshot", "size": "1Gi", "fsync": "always"}}, "spec.persistence.fsync"),
    ({"persistence": {"mode": "aof", "size": "1Gi", "save": "60 1"}}, "spec.persistence.save"),
    ({"persistence": {"size": "1Gi", "save": "often"}}, "spec.persistence.save"),
    ({"persistence": {"size": "lots"}}, "spec.persistence.size"),
    ({"persistence": {"size": "63Mi"}}, "persistence.size"),
    ({"persistence": {"size": "1Gi", "sav": "60 1"}}, "spec.persistence.sav"),
    ({"weights": [{"shard": 0, "weight": 0}]}, "spec.weights[0].weight"),
    ({"weights": [{"shard": 0, "weight": 2}, {"shard": 0, "weight": 3}]}, "spec.weights[1]"),
    ({"weights": [{"shard": 999, "weight": 2}]}, "spec.weights"),
    ({"rebalance": {"strategy": "laod"}}, "spec.rebalance.strategy"),
    ({"rebalance": {"window": {"start": "02:00"}}}, "spec.rebalance.window.end"),
    ({"rebalance": {"window": {"start": "2:00", "end": "05:00"}}}, "spec.rebalance.window.start"),
    ({"rebalance": {"window": {"start": "02:00", "end": "02:00"}}}, "spec.rebalance.window"),
    ({"rebalance": {"window": {"start": "02:00", "end": "05:00", "timeZone": "Mars/Phobos"}}}, "timeZone"),
    (
        {"rebalance": {"window": {"start": "02:00", "end": "05:00", "days": ["Monday"]}}},
        "spec.rebalance.window.days[0]",
    ),
    ({"memory": "1Mi", "namespaces": [{"prefix": "a", "maxMemory": "2Mi"}]}, "maxMemory"),
]


@pytest.mark.parametrize(("spec", "field"), BAD, ids=[str(spec) for spec, _ in BAD])
def test_a_bad_manifest_is_refused_by_both(namespace: str, spec: dict[str, Any], field: str) -> None:
    document = cache_cluster("bad", **spec)
    with pytest.raises(Refused) as refused:
        apply(document, namespace=namespace)
    assert field in str(refused.value)
    with pytest.raises(ManifestError) as problems:
        load(yaml.safe_dump(document), "bad.yaml")
    assert field in str(problems.value)
