"""`spec.namespaces` and `spec.eviction`: from the manifest to what nodes start with, and what is said of mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringkeeper.cluster.settings import Settings, digest_of
from ringkeeper.server.config import read_arguments
from ringkeeper.store.namespace_text import LEAST_MEMORY, LONGEST_TTL_MS, MOST_MEMORY
from ringkeeper.store.namespaces import Namespace
from ringkeeper.store.units import parse_bytes, parse_duration
from ringkeeper_operator import manifest, schema
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.resources import build_all
from ringkeeper_operator.resources.stateful_set import build_statefulset

GOLDEN = Path(__file__).parent / "golden"


def cluster(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ringkeeper.dev/v1alpha1",
        "kind": "CacheCluster",
        "metadata": {"name": "c"},
        "spec": {"shards": 1, "replicasPerShard": 0, "memory": "256Mi", "image": "node:1"} | spec,
    }


def problems(**spec: Any) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        manifest.load(yaml.safe_dump(cluster(**spec)), "f")
    return list(raised.value.problems)


def test_every_field_is_read_and_what_is_left_out_has_its_default() -> None:
    spec = manifest.spec_of(
        cluster(
            eviction="allkeys-w-tinylfu",
            namespaces=[
                {
                    "prefix": "s:",
                    "maxMemory": "1.5Mi",
                    "eviction": "noeviction",
                    "defaultTTL": "90s",
                    "maxTTL": "1h",
                },
                {"prefix": "é", "maxMemory": 4096},
            ],
        ),
        uid="u",
    )
    assert spec.settings == Settings(
        "allkeys-w-tinylfu",
        (
            Namespace(b"s:", 3 * 2**19, "noeviction", 90_000, 3_600_000),
            Namespace("é".encode(), 4096, "allkeys-lru"),
        ),
    )
    assert manifest.spec_of(cluster(), uid="u").settings == Settings()


MISTAKES: list[tuple[Any, str]] = [
    ({"eviction": "lru"}, "spec.eviction: lru is not allowed; must be noeviction, allkeys-lru"),
    ({"namespaces": {}}, "spec.namespaces: an object is not allowed; must be a list"),
    ([{}], "spec.namespaces[0].prefix: missing"),
    ([{"prefix": ""}], "spec.namespaces[0].prefix: '' has 0 characters; must have 1 to 128"),
    ([{"prefix": "é" * 65}], "must have at most 128 bytes as UTF-8"),
    ([{"prefix": "a"}, {"prefix": "b"}, {"prefix": "a"}],
     "spec.namespaces[2].prefix: a stands twice, at spec.namespaces[0] before; keep one"),
    ([{"prefix": "a", "maxmemory": 1}], "spec.namespaces[0].maxmemory: unknown field; did you mean maxMemory?"),
    ([{"prefix": "a", "maxMemory": "lots"}], "spec.namespaces[0].maxMemory: lots is not allowed; must be bytes, or a "
     "quantity such as 64Mi or 2G, from 1Ki to 16Ti"),
    ([{"prefix": "a", "maxMemory": 1023}], "spec.namespaces[0].maxMemory: 1023 is not allowed"),
    ([{"prefix": "b"}, {"prefix": "a", "maxMemory": "257Mi"}],
     "spec.namespaces[1].maxMemory: 257Mi is not allowed; must not exceed spec.memory, which is 256Mi"),
    ([{"prefix": "a", "eviction": "allkeys-lur"}], "spec.namespaces[0].eviction: allkeys-lur is not allowed; must be"),
    ([{"prefix": "a", "defaultTTL": "soon"}], "spec.namespaces[0].defaultTTL: soon is not allowed; must be a duration "
     "such as 250ms, 300s, 5m or 1h30m, from 1ms to 87600h"),
    ([{"prefix": "a", "maxTTL": 5}], "spec.namespaces[0].maxTTL: 5 is not allowed; must be a text; put it in quotes"),
    ([{"prefix": "a", "maxTTL": "0s"}], "spec.namespaces[0].maxTTL: 0s is not allowed"),
    ([{"prefix": "a", "maxTTL": "87601h"}], "spec.namespaces[0].maxTTL: 87601h is not allowed"),
    ([{"prefix": "a", "defaultTTL": "2h", "maxTTL": "1h"}],
     "spec.namespaces[0].maxTTL: 1h is not allowed; must be at least defaultTTL, which is 2h"),
    ([{"prefix": str(number)} for number in range(10_001)], "spec.namespaces: 10001 entries; must be at most 10000"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "complaint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_field_value_and_range(spec: Any, complaint: str) -> None:
    (problem,) = problems(**(spec if isinstance(spec, dict) else {"namespaces": spec}))
    assert complaint in problem


def test_all_mistakes_are_told_at_once() -> None:
    assert (
        len(problems(eviction="x", namespaces=[{"prefix": "a", "maxTTL": "x"}, {"prefix": "b", "maxMemory": "x"}])) == 3
    )


def test_namespaces_may_overlap_and_together_have_more_than_a_node() -> None:
    declared = [{"prefix": prefix, "maxMemory": "200Mi"} for prefix in ("a", "ab", "abc", "b")]
    assert len(manifest.spec_of(cluster(namespaces=declared), uid="u").settings.namespaces) == 4


def test_ten_thousand_are_taken_unless_they_are_more_than_a_configmap_holds() -> None:
    declared = [{"prefix": f"tenant:{number}:", "maxMemory": "64Mi", "maxTTL": "1h"} for number in range(10_000)]
    spec = manifest.spec_of(cluster(namespaces=declared), uid="u")
    assert len(spec.settings.namespaces) == 10_000
    config = build_all(spec)["ConfigMap/c-config"]["data"]["node.conf"]
    assert len(config.encode()) < 2**20
    (problem,) = problems(namespaces=[{"prefix": f"{number:0128}"} for number in range(10_000)])
    assert "spec.namespaces: 1" in problem
    assert "must be at most 1000000, which a ConfigMap holds" in problem


def test_the_ranges_are_those_of_the_directive() -> None:
    assert (parse_bytes(schema.MINIMUM_NAMESPACE), parse_bytes(schema.MAXIMUM_MEMORY)) == (LEAST_MEMORY, MOST_MEMORY)
    assert (parse_duration(schema.SHORTEST_TTL), parse_duration(schema.LONGEST_TTL)) == (1, LONGEST_TTL_MS)


@pytest.mark.parametrize("prefix", ["plain:", "it's", 'quote"', "back\\slash\\", "é\u2028\x85", "new\nline", "\0", "#"])
def test_a_node_starts_with_what_the_manifest_says(prefix: str, tmp_path: Path) -> None:
    spec = manifest.spec_of(
        cluster(eviction="allkeys-lfu", namespaces=[{"prefix": prefix, "defaultTTL": "5m"}, {"prefix": "b"}]), uid="u"
    )
    file = tmp_path / "node.conf"
    file.write_text(build_all(spec)["ConfigMap/c-config"]["data"]["node.conf"], newline="")
    config = read_arguments([str(file)])
    assert config.text("maxmemory-policy") == "allkeys-lfu"
    assert json.loads(config.text("namespaces"))[0]["prefix"] == prefix
    assert digest_of(config.values) == spec.settings.digest


def test_a_node_of_an_older_release_is_told_nothing_that_it_need_not_know() -> None:
    config = build_all(manifest.spec_of(cluster(), uid="u"))["ConfigMap/c-config"]["data"]["node.conf"]
    assert "namespaces" not in config


def test_no_pod_template_is_changed_by_settings() -> None:
    spec = manifest.spec_of(cluster(), uid="3d5e2c0a-0000-4000-8000-000000000001")
    rendered = yaml.safe_dump(build_statefulset(spec, 0), sort_keys=False)
    assert rendered == (GOLDEN / "stateful_set.yaml").read_text()
    changed = replace(spec, settings=Settings("allkeys-lfu", (Namespace(b"a"),)))
    before, after = build_all(spec, generate=lambda: "x"), build_all(changed, generate=lambda: "x")
    assert [piece for piece in before if before[piece] != after[piece]] == ["ConfigMap/c-config"]
