"""From a manifest's text to a `Spec`; for a bad one, every problem at once, each with what is allowed instead.

`load` is for `ringkeeper up`, where no API server stands in between. `spec_of` serves both runtimes.
"""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringkeeper.cluster.settings import Settings
from ringkeeper.store.namespaces import Namespace
from ringkeeper.store.units import parse_duration
from ringkeeper_operator.model import (
    SLOTS_EVEN,
    FailoverRules,
    Handover,
    RebalanceRules,
    Scheduling,
    Spec,
    Volume,
    Window,
)
from ringkeeper_operator.node_conf import rendered
from ringkeeper_operator.quantity import parse_quantity
from ringkeeper_operator.schema import (
    API_VERSION,
    DEFAULT_BACKLOG,
    DEFAULT_IMAGE,
    DEFAULT_SAVE,
    DNS_LABEL,
    FAILOVER,
    FAILOVER_ANNOTATION,
    KIND,
    PATTERN_MEANINGS,
    ROOT,
)
from ringkeeper_operator.schema_window import DAYS
from ringkeeper_operator.validation import fill_defaults, problems_of
from ringkeeper_operator.yaml_reader import YamlProblem, read_documents

__all__ = ["Manifest", "ManifestError", "ignored_on_laptop", "load", "parse_quantity", "spec_of"]

KINDS = (KIND, "Secret")
MOST_SETTINGS = 1_000_000
"""Bytes: a little less than a ConfigMap may have."""
METADATA = ("name", "namespace", "labels", "annotations")
SET_BY_SERVER = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName", "generation",
    "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
)  # fmt: skip

FOR_PODS_ONLY = (
    "port", "image", "imagePullPolicy", "imagePullSecrets", "resources", "podLabels", "podAnnotations", "nodeSelector",
    "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName",
)  # fmt: skip
"""Fields of the spec without meaning where nodes are processes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest."""

    cluster: dict[str, Any]
    """The CacheCluster as it was written, without defaults."""
    secrets: Mapping[str, Mapping[str, bytes]]
    """The Secrets of the same file: name -> key -> value."""


class ManifestError(ValueError):
    """A manifest that cannot be used. `problems` are complete lines for people."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(text: str, source: str) -> Manifest:
    """Read and check the documents of a manifest; `source` is what its problems call it. Raises `ManifestError`."""
    try:
        documents = read_documents(text)
    except YamlProblem as problem:
        raise ManifestError((f"{source}:{problem}" if str(problem)[0].isdigit() else f"{source}: {problem}",)) from None
    problems: list[str] = []
    clusters: list[dict[str, Any]] = []
    secrets: dict[str, dict[str, bytes]] = {}
    for number, document in enumerate(documents, 1):
        kind = document.get("kind") if isinstance(document, dict) else None
        if kind == KIND:
            clusters.append(document)
            problems += _cluster_problems(document)
        elif kind == "Secret":
            problems += _take_secret(document, secrets)
        else:
            problems.append(_unknown_document(document, number))
    if not problems and len(clusters) != 1:
        problems.append(f"{len(clusters)} {KIND} documents; must be exactly one")
    if not problems:
        problems += _password_problems(clusters[0], secrets)
    if problems:
        raise ManifestError(tuple(f"{source}: {problem}" for problem in problems))
    return Manifest(cluster=clusters[0], secrets=secrets)


def spec_of(
    cluster: Mapping[str, Any],
    *,
    uid: str,
    generation: int = 1,
    namespace: str = "default",
    default_image: str = DEFAULT_IMAGE,
) -> Spec:
    """The spec of a valid CacheCluster, with defaults; raises `ManifestError` for one that is not valid."""
    problems = tuple(_cluster_problems(cluster))
    if problems:
        raise ManifestError(problems)
    filled = fill_defaults(dict(cluster), ROOT)
    metadata, spec = filled["metadata"], filled["spec"]
    return Spec(
        name=metadata["name"],
        namespace=metadata.get("namespace") or namespace,
        uid=uid,
        generation=generation,
        shards=spec["shards"],
        vnodes_per_shard=spec["vnodesPerShard"],
        memory=parse_quantity(spec["memory"]),
        port=spec["port"],
        image=spec.get("image") or default_image,
        replicas_per_shard=spec["replicasPerShard"],
        min_acks=_min_acks(spec),
        failover=_failover(spec),
        rebalance=_rebalance(spec),
        weights=_weights(spec),
        settings=_settings(spec),
        volume=_volume(spec),
        image_pull_policy=spec.get("imagePullPolicy"),
        image_pull_secrets=tuple(secret["name"] for secret in spec.get("imagePullSecrets", ())),
        auth_secret=spec.get("auth", {}).get("secretName"),
        resources=spec.get("resources"),
        labels=spec.get("podLabels", {}),
        annotations=spec.get("podAnnotations", {}),
        scheduling=Scheduling(
            node_selector=spec.get("nodeSelector", {}),
            tolerations=tuple(spec.get("tolerations", ())),
            affinity=spec.get("affinity"),
            topology_spread_constraints=_spread(spec),
            priority_class_name=spec.get("priorityClassName"),
        ),
        deleting=metadata.get("deletionTimestamp") is not None,
        handovers=_handovers(metadata),
    )


def _handovers(metadata: Mapping[str, Any]) -> tuple[Handover, ...]:
    words = str((metadata.get("annotations") or {}).get(FAILOVER_ANNOTATION) or "")
    return tuple(handover_from(word) for word in words.split(",") if word)


def handover_from(word: str) -> Handover:
    """What is no number is no shard: -1, which the planner tells."""
    shard, _, node = word.strip().partition("=")
    return Handover(int(shard) if shard.isascii() and shard.isdecimal() and len(shard) < 5 else -1, node)


def ignored_on_laptop(cluster: Mapping[str, Any]) -> list[str]:
    """The fields that this manifest sets and that mean nothing on a laptop, as paths."""
    given = cluster.get("spec") or {}
    found = [f"spec.{name}" for name in FOR_PODS_ONLY if given.get(name) is not None]
    if (given.get("persistence") or {}).get("storageClassName") is not None:
        found.append("spec.persistence.storageClassName")
    return (["metadata.namespace"] if (cluster.get("metadata") or {}).get("namespace") else []) + found


def _settings(spec: Mapping[str, Any]) -> Settings:
    """Of a valid spec with its defaults."""
    persistence = spec.get("persistence") or {"mode": "none"}
    mode = persistence["mode"]
    replication = spec.get("replication") or {}
    return Settings(
        spec["eviction"],
        tuple(_namespace(fields) for fields in spec.get("namespaces") or ()),
        save=persistence.get("save") or DEFAULT_SAVE if mode in ("snapshot", "hybrid") else "",
        append_only=mode in ("aof", "hybrid"),
        fsync=persistence.get("fsync") or Settings().fsync,
        backlog=parse_quantity(replication.get("backlog") or DEFAULT_BACKLOG),
        stale_reads=bool(replication.get("staleReads")),
    )


def _min_acks(spec: Mapping[str, Any]) -> int:
    """Without a word on it, a write that is synced before its reply is to survive its master's disk, too."""
    given = (spec.get("replication") or {}).get("minAcks")
    if given is not None:
        return int(given)
    return min(1, spec["replicasPerShard"]) if _settings(spec).synced else 0


def _failover(spec: Mapping[str, Any]) -> FailoverRules:
    given = spec.get("failover") or fill_defaults({}, FAILOVER)
    return FailoverRules(
        heartbeat_ms=parse_duration(given["heartbeatInterval"]),
        misses=given["misses"],
        recovery_seconds=parse_duration(given["recoveryTimeout"]) / 1000,
        recovery_policy=given.get("recoveryPolicy") or ("mostRecent" if _volume(spec) is None else "waitForAll"),
    )


def _rebalance(spec: Mapping[str, Any]) -> RebalanceRules:
    given = spec.get("rebalance") or {}
    rate = given.get("maxBytesPerSecond")
    return RebalanceRules(
        dry_run=bool(given.get("dryRun")),
        paused=bool(given.get("paused")),
        max_bytes_per_second=parse_quantity(rate) if rate is not None else 0,
        window=_window(given),
        may_evict=bool(given.get("mayEvict")),
        strategy=given.get("strategy") or SLOTS_EVEN,
    )


def _window(rebalance: Mapping[str, Any]) -> Window | None:
    given = rebalance.get("window")
    if given is None:
        return None
    days = given.get("days") or DAYS
    start, end = (60 * int(text[:2]) + int(text[3:]) for text in (given["start"], given["end"]))
    return Window(start, end, tuple(number for number, day in enumerate(DAYS) if day in days), given["timeZone"])


def _weights(spec: Mapping[str, Any]) -> dict[int, float]:
    given = {row["shard"]: float(row["weight"]) for row in spec.get("weights") or ()}
    return {shard: weight for shard, weight in given.items() if weight != 1}


def _volume(spec: Mapping[str, Any]) -> Volume | None:
    persistence = spec.get("persistence") or {}
    if persistence.get("size") is None:
        return None
    size = parse_quantity(persistence["size"])
    return Volume(size, persistence.get("storageClassName"), persistence["retain"])


def _namespace(fields: Mapping[str, Any]) -> Namespace:
    size, shorter, longer = (fields.get(name) for name in ("maxMemory", "defaultTTL", "maxTTL"))
    return Namespace(
        prefix=fields["prefix"].encode(),
        max_memory=parse_quantity(size) if size is not None else 0,
        policy=fields["eviction"],
        default_ttl_ms=parse_duration(shorter) if shorter is not None else 0,
        max_ttl_ms=parse_duration(longer) if longer is not None else 0,
    )


def _spread(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    constraints = spec.get("topologySpreadConstraints")
    return None if constraints is None else tuple(constraints)


def _cluster_problems(cluster: Mapping[str, Any]) -> list[str]:
    problems = []
    if cluster.get("apiVersion") != API_VERSION:
        problems.append(_wrong_version(cluster.get("apiVersion"), API_VERSION))
    problems += _metadata_problems(cluster)
    problems += problems_of(dict(cluster), ROOT if not problems else _without_rules())
    return problems or _size_problems(fill_defaults(dict(cluster), ROOT)["spec"])


def _size_problems(spec: Mapping[str, Any]) -> list[str]:
    """Of a spec that has no other: whether the settings fit the ConfigMap from which nodes start."""
    size = len("".join(rendered(_settings(spec).directives())).encode())
    if size <= MOST_SETTINGS:
        return []
    return [
        f"spec.namespaces: {size} bytes as nodes are told them; must be at most {MOST_SETTINGS}, which a ConfigMap "
        "holds: declare fewer, or shorter prefixes"
    ]


def _without_rules() -> dict[str, Any]:
    """The rules of the root look at metadata, which has a problem already."""
    return {name: value for name, value in ROOT.items() if name != "x-kubernetes-validations"}


def _wrong_version(given: object, wanted: str) -> str:
    return f"apiVersion: {'missing' if given is None else f'{given} is not allowed'}; must be {wanted}"


def _metadata_problems(document: Mapping[str, Any]) -> list[str]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return ["metadata.name: missing; must be " + PATTERN_MEANINGS[DNS_LABEL]]
    problems = []
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        shown = "missing" if name is None else f"{name!r} is not allowed"
        problems.append(f"metadata.name: {shown}; must be {PATTERN_MEANINGS[DNS_LABEL]}")
    for key, value in metadata.items():
        if key in ("labels", "annotations"):
            texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
            if value is not None and not texts:
                problems.append(f"metadata.{key}: must be names with texts; quote numbers and true or false")
        elif key not in METADATA + SET_BY_SERVER:
            close = difflib.get_close_matches(key, METADATA, n=1)
            problems.append(f"metadata.{key}: unknown field; did you mean {close[0]}?" if close else
                            f"metadata.{key}: unknown field; known are {', '.join(METADATA)}")  # fmt: skip
    return problems


def _unknown_document(document: object, number: int) -> str:
    if not isinstance(document, dict):
        return f"document {number}: must be fields with values, beginning with apiVersion: and kind:"
    kind = document.get("kind")
    if kind is None:
        return f"document {number}: kind: missing; must be {' or '.join(KINDS)}"
    close = difflib.get_close_matches(str(kind), KINDS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"document {number}: kind: {kind} is not allowed; must be {' or '.join(KINDS)}{hint}"


def _take_secret(document: Mapping[str, Any], secrets: dict[str, dict[str, bytes]]) -> list[str]:
    """Add a Secret document to `secrets`; the problems of one that cannot be used."""
    problems = _metadata_problems(document)
    if document.get("apiVersion") != "v1":
        problems.append(_wrong_version(document.get("apiVersion"), "v1"))
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    values: dict[str, bytes] = {}
    for part in ("data", "stringData"):
        entries = document.get(part) or {}
        if not isinstance(entries, dict):
            problems.append(f"Secret {name}: {part}: must be names with texts")
            continue
        for key, value in entries.items():
            try:
                values[key] = _secret_value(part, value)
            except ValueError as error:
                problems.append(f"Secret {name}: {part}.{key}: {error}")
    if isinstance(name, str) and name in secrets:
        problems.append(f"Secret {name}: stands twice; keep one of them")
    if not problems:
        secrets[str(name)] = values
    return problems


def _secret_value(part: str, value: object) -> bytes:
    """The value itself never goes into a message."""
    if not isinstance(value, str):
        raise ValueError("must be a text; put it in quotes")
    if part == "stringData":
        return value.encode()
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64; use stringData for plain text") from None


def _password_problems(cluster: Mapping[str, Any], secrets: Mapping[str, Mapping[str, bytes]]) -> list[str]:
    """Here no other Secrets are than those of the file."""
    name = ((cluster.get("spec") or {}).get("auth") or {}).get("secretName")
    if name is None:
        return []
    if name not in secrets:
        return [
            f"spec.auth.secretName: {name} is no Secret of this file; add it as a document with stringData.password"
        ]
    if not secrets[name].get("password"):
        return [f"Secret {name}: has no key password, which spec.auth.secretName needs; add stringData.password"]
    return []
