"""The `CacheCluster` resource: fields, defaults, ranges, rules and what people are told about them.

The single source: `crds/cacheclusters.ringkeeper.dev.yaml` and `docs/manifest.md` are generated from it
(`python -m ringkeeper_operator.schema [crd|docs]`), `manifest.py` validates with it where there is no API server.
Every text, list and map is bounded, since the API server weighs CEL rules by the largest object that the schema allows.
"""

from __future__ import annotations

from ringkeeper import __version__
from ringkeeper.cluster.settings import SYNCS
from ringkeeper.store.namespaces import LONGEST_PREFIX, MOST_NAMESPACES
from ringkeeper.store.policies import NAMESPACE_DEFAULT, NODE_DEFAULT, POLICIES
from ringkeeper.store.units import DURATION, LONGEST_TEXT
from ringkeeper_operator.model import SLOTS_EVEN, STRATEGIES
from ringkeeper_operator.schema_parts import (
    Schema,
    anything,
    boolean,
    fields,
    integer,
    items,
    mapping,
    number,
    quantity,
    text,
)
from ringkeeper_operator.schema_status import STATUS
from ringkeeper_operator.schema_window import WINDOW, WINDOW_PATTERN_MEANINGS

GROUP = "ringkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "CacheCluster"
PLURAL = "cacheclusters"
FAILOVER_ANNOTATION = f"{GROUP}/failover"
"""On a CacheCluster: shards that are to have another master, as `SHARD` or `SHARD=NODE`, with commas between."""

DEFAULT_IMAGE = f"ringkeeper-node:{__version__}"
"""The node's image when neither the manifest nor the operator's installation names one."""
NAME_LENGTH = 40
"""Room for `-SHARD` and the hash that a StatefulSet appends, in the 63 characters of a label."""
DEFAULT_MEMORY = "256Mi"
MINIMUM_MEMORY = "1Mi"
MAXIMUM_MEMORY = "16Ti"
MINIMUM_NAMESPACE = "1Ki"
SHORTEST_TTL, LONGEST_TTL = "1ms", "87600h"
MINIMUM_VOLUME, MAXIMUM_VOLUME = "1Mi", "64Ti"
PERSISTENCE_MODES = ("none", "snapshot", "aof", "hybrid")
DEFAULT_MODE = "hybrid"
DEFAULT_SAVE = "300 1"
DEFAULT_REPLICAS = 1
MOST_REPLICAS = 5
SMALLEST_BACKLOG, LARGEST_BACKLOG, DEFAULT_BACKLOG = "16Ki", "64Gi", "16Mi"
SLOWEST_RATE, FASTEST_RATE = "64Ki", "64Gi"
DEFAULT_SHARDS, MOST_SHARDS = 3, 1000
LIGHTEST, HEAVIEST = 0.01, 100
"""Weights of a shard."""
SHORTEST_INTERVAL, LONGEST_INTERVAL, DEFAULT_INTERVAL = "50ms", "10s", "500ms"
SHORTEST_RECOVERY, LONGEST_RECOVERY, DEFAULT_RECOVERY = "1s", "24h", "60s"
RECOVERY_POLICIES = ("waitForAll", "mostRecent", "startEmpty")

DNS_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
MEMORY = "^[0-9]+([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
IMAGE = r"^[^\s]+$"
CLASS_NAME = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
SAVE = "^[1-9][0-9]{0,8} [1-9][0-9]{0,8}( [1-9][0-9]{0,8} [1-9][0-9]{0,8})*$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

PATTERN_MEANINGS = {
    DNS_LABEL: "lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
    DNS_NAME: "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    CLASS_NAME: "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, or empty",
    QUANTITY: "a quantity such as 500m, 2 or 512Mi",
    IMAGE: "an image such as registry.example.com/ringkeeper-node:1.0, without spaces",
    LABEL_VALUE: "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
    **WINDOW_PATTERN_MEANINGS,
}
"""What a person is told instead of the pattern."""

NAME_RULE = {
    "rule": f"size(self.metadata.name) <= {NAME_LENGTH}",
    "message": f"metadata.name must have at most {NAME_LENGTH} characters, since the names of pods are made from it",
}
NAME_FORM_RULE = {
    "rule": f"self.metadata.name.matches('{DNS_LABEL}')",
    "message": f"metadata.name must be {PATTERN_MEANINGS[DNS_LABEL]}, since the names of Services are made from it",
}
ACKS_RULE = {
    "rule": "!has(self.replication) || !has(self.replication.minAcks) || "
    f"self.replication.minAcks <= (has(self.replicasPerShard) ? self.replicasPerShard : {DEFAULT_REPLICAS})",
    "message": "replication.minAcks must not exceed replicasPerShard, or no write would ever be answered",
    "fieldPath": ".replication.minAcks",
}
PORT_RULE = {
    "rule": "self == oldSelf",
    "message": "port can't be changed while a cluster runs; create a new cluster, or keep the port",
}
_MEMORY_RANGE = f"bytes, or a quantity such as 512Mi or 2Gi, from {MINIMUM_MEMORY} to {MAXIMUM_MEMORY}"
MEMORY_RULE = {
    "rule": "type(self) == int ? self >= 1048576 && self <= 17592186044416 : "
    f"self.matches('{MEMORY}') && "
    f"quantity(self).compareTo(quantity('{MINIMUM_MEMORY}')) >= 0 && "
    f"quantity(self).compareTo(quantity('{MAXIMUM_MEMORY}')) <= 0",
    "message": f"must be {_MEMORY_RANGE}",
    "messageExpression": f"string(self) + ' is not allowed; must be {_MEMORY_RANGE}'",
}
"""Holds the form as well, since a person cannot read a pattern."""
_NAMESPACE_RANGE = f"bytes, or a quantity such as 64Mi or 2G, from {MINIMUM_NAMESPACE} to {MAXIMUM_MEMORY}"
NAMESPACE_MEMORY_RULE = {
    "rule": "type(self) == int ? self >= 1024 && self <= 17592186044416 : "
    f"self.matches('{MEMORY}') && "
    f"quantity(self).compareTo(quantity('{MINIMUM_NAMESPACE}')) >= 0 && "
    f"quantity(self).compareTo(quantity('{MAXIMUM_MEMORY}')) <= 0",
    "message": f"must be {_NAMESPACE_RANGE}",
    "messageExpression": f"string(self) + ' is not allowed; must be {_NAMESPACE_RANGE}'",
}
_TTL_RANGE = f"a duration such as 250ms, 300s, 5m or 1h30m, from {SHORTEST_TTL} to {LONGEST_TTL}"
TTL_RULE = {
    "rule": f"self.matches('{DURATION}') && duration(self) >= duration('{SHORTEST_TTL}') && "
    f"duration(self) <= duration('{LONGEST_TTL}')",
    "message": f"must be {_TTL_RANGE}",
    "messageExpression": f"self + ' is not allowed; must be {_TTL_RANGE}'",
}


def _duration_rule(shortest: str, longest: str) -> dict[str, str]:
    wanted = f"a duration such as 250ms, 3s, 5m or 1h30m, from {shortest} to {longest}"
    return {
        "rule": f"self.matches('{DURATION}') && duration(self) >= duration('{shortest}') && "
        f"duration(self) <= duration('{longest}')",
        "message": f"must be {wanted}",
        "messageExpression": f"self + ' is not allowed; must be {wanted}'",
    }


INTERVAL_RULE = _duration_rule(SHORTEST_INTERVAL, LONGEST_INTERVAL)
RECOVERY_RULE = _duration_rule(SHORTEST_RECOVERY, LONGEST_RECOVERY)
TTLS_RULE = {
    "rule": "!has(self.defaultTTL) || !has(self.maxTTL) || "
    f"!self.defaultTTL.matches('{DURATION}') || !self.maxTTL.matches('{DURATION}') || "
    "duration(self.maxTTL) >= duration(self.defaultTTL)",
    "message": "maxTTL must be at least defaultTTL; raise maxTTL or lower defaultTTL",
    "messageExpression": "'maxTTL is ' + self.maxTTL + '; must be at least defaultTTL, which is ' + self.defaultTTL",
}
PREFIX_RULE = {
    "rule": f"size(bytes(self)) <= {LONGEST_PREFIX}",
    "message": f"must have at most {LONGEST_PREFIX} bytes as UTF-8",
}
_EXCEEDS = (
    "has(each.maxMemory) && isQuantity(string(each.maxMemory)) && "
    "quantity(string(each.maxMemory)).isGreaterThan(quantity(string(self.memory)))"
)
NAMESPACES_RULE = {
    "rule": f"!has(self.namespaces) || !isQuantity(string(self.memory)) || !self.namespaces.exists(each, {_EXCEEDS})",
    "message": "maxMemory of a namespace must not exceed memory, or it could never be reached",
    "messageExpression": "'maxMemory of a namespace must not exceed memory, which is ' + string(self.memory)",
}
"""To name the namespace would cost an API server more than it allows; `validation.py` does."""
_VOLUME_RANGE = f"bytes, or a quantity such as 1Gi or 50G, from {MINIMUM_VOLUME} to {MAXIMUM_VOLUME}"
VOLUME_RULE = {
    "rule": "type(self) == int ? self >= 1048576 && self <= 70368744177664 : "
    f"self.matches('{MEMORY}') && "
    f"quantity(self).compareTo(quantity('{MINIMUM_VOLUME}')) >= 0 && "
    f"quantity(self).compareTo(quantity('{MAXIMUM_VOLUME}')) <= 0",
    "message": f"must be {_VOLUME_RANGE}",
    "messageExpression": f"string(self) + ' is not allowed; must be {_VOLUME_RANGE}'",
}
_BACKLOG_RANGE = f"bytes, or a quantity such as 16Mi or 1Gi, from {SMALLEST_BACKLOG} to {LARGEST_BACKLOG}"
BACKLOG_RULE = {
    "rule": "type(self) == int ? self >= 16384 && self <= 68719476736 : "
    f"self.matches('{MEMORY}') && "
    f"quantity(self).compareTo(quantity('{SMALLEST_BACKLOG}')) >= 0 && "
    f"quantity(self).compareTo(quantity('{LARGEST_BACKLOG}')) <= 0",
    "message": f"must be {_BACKLOG_RANGE}",
    "messageExpression": f"string(self) + ' is not allowed; must be {_BACKLOG_RANGE}'",
}
_RATE_RANGE = f"bytes, or a quantity such as 512Ki or 50M, from {SLOWEST_RATE} to {FASTEST_RATE}"
RATE_RULE = {
    "rule": "type(self) == int ? self >= 65536 && self <= 68719476736 : "
    f"self.matches('{MEMORY}') && "
    f"quantity(self).compareTo(quantity('{SLOWEST_RATE}')) >= 0 && "
    f"quantity(self).compareTo(quantity('{FASTEST_RATE}')) <= 0",
    "message": f"must be {_RATE_RANGE}",
    "messageExpression": f"string(self) + ' is not allowed; must be {_RATE_RANGE}'",
}
WEIGHT_RULE = {
    "rule": f"self >= {float(LIGHTEST)} && self <= {float(HEAVIEST)}",
    "message": f"must be {LIGHTEST} to {HEAVIEST}",
}
"""Of a whole number an API server compares whole numbers only: 0 were not less than 0.01."""
WEIGHTS_RULE = {
    "rule": "!has(self.weights) || "
    f"self.weights.all(each, each.shard < (has(self.shards) ? self.shards : {DEFAULT_SHARDS}))",
    "message": "weights must name shards that there are, 0 to shards - 1; leave out the others, or raise shards",
    "fieldPath": ".weights",
}
_SAVE_FORM = (
    "pairs of SECONDS CHANGES such as 300 1 or 3600 1 60 10000, each number from 1 to 999999999, with one space between"
)
SAVE_RULE = {
    "rule": f"self.matches('{SAVE}')",
    "message": f"must be {_SAVE_FORM}",
    "messageExpression": f"self + ' is not allowed; must be {_SAVE_FORM}'",
}
_MODE = f"(has(self.mode) ? self.mode : '{DEFAULT_MODE}')"
SIZE_RULE = {
    "rule": f"{_MODE} == 'none' || has(self.size)",
    "message": f"size of persistence must be there unless mode is none: what each node's volume holds, from "
    f"{MINIMUM_VOLUME} to {MAXIMUM_VOLUME}, such as 1Gi",
}
FSYNC_RULE = {
    "rule": f"!has(self.fsync) || {_MODE} in ['aof', 'hybrid']",
    "message": "fsync speaks of the append-only file, which only the modes aof and hybrid have; leave it out, or "
    "choose one of these",
    "fieldPath": ".fsync",
}
RULES_RULE = {
    "rule": f"!has(self.save) || {_MODE} in ['snapshot', 'hybrid']",
    "message": "save speaks of snapshots, which only the modes snapshot and hybrid take; leave it out, or choose "
    "one of these",
    "fieldPath": ".save",
}
CLASS_RULE = {
    "rule": "has(self.storageClassName) == has(oldSelf.storageClassName) && "
    "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
    "message": "storageClassName can't be changed while a cluster runs: its volumes are there; create a new cluster, "
    "or keep the class",
    "fieldPath": ".storageClassName",
}
_HAS_VOLUME = "(has({0}.persistence) && has({0}.persistence.size))"
VOLUMES_RULE = {
    "rule": f"{_HAS_VOLUME.format('self')} == {_HAS_VOLUME.format('oldSelf')}",
    "message": "persistence.size can be neither added nor removed while a cluster runs, since Kubernetes gives no pod "
    "another volume: create a new cluster. Where there are volumes, mode may be changed, to none as well",
}
ROOM_RULE = {
    "rule": f"!{_HAS_VOLUME.format('self')} || !isQuantity(string(self.persistence.size)) || "
    "!isQuantity(string(self.memory)) || "
    "quantity(string(self.persistence.size)).compareTo(quantity(string(self.memory))) >= 0",
    "message": "persistence.size must be at least memory, or what a full node holds would have no room; three times as "
    "much has room for a file that takes the place of another, too",
    "messageExpression": "'persistence.size is ' + string(self.persistence.size) + '; must be at least memory, which "
    "is ' + string(self.memory) + '; three times as much has room for a file that takes the place of another, too'",
}
_SMALLER = "quantity(string(self.spec.persistence.size)).isLessThan(quantity({0}))"
SHRINK_RULE = {
    "rule": f"!{_HAS_VOLUME.format('self.spec')} || !{_HAS_VOLUME.format('oldSelf.spec')} || !has(self.status) || "
    "!has(self.status.volumeSize) || !isQuantity(self.status.volumeSize) || "
    "!isQuantity(string(self.spec.persistence.size)) || !isQuantity(string(oldSelf.spec.persistence.size)) || "
    f"!({_SMALLER.format('string(oldSelf.spec.persistence.size)')} && {_SMALLER.format('self.status.volumeSize')})",
    "message": "spec.persistence.size can't be made smaller than the volumes are, since no volume shrinks",
    "messageExpression": "'spec.persistence.size: ' + string(self.spec.persistence.size) + ' is not allowed; must be "
    "at least ' + self.status.volumeSize + ', which the volumes have: no volume shrinks'",
}
"""What was never granted may be taken back."""
LIMIT_RULE = {
    "rule": "!has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits) || "
    "!isQuantity(string(self.memory)) || "
    "quantity(string(self.resources.limits['memory'])).isGreaterThan(quantity(string(self.memory)))",
    "message": "resources.limits.memory must be greater than memory, or the node is killed before it is full; "
    "leave it out to get 1.5 × memory + 128Mi, or 2 × with a volume",
}


REQUEST_RULE = {
    "rule": "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
    "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
    "message": "resources.requests must not exceed resources.limits; lower the request or raise the limit",
}


LABEL = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}
AMOUNT = quantity("An amount.", pattern=QUANTITY)

TOLERATION = fields(
    "A taint that nodes of the cache tolerate.",
    {
        "key": text("The taint's key; all keys if left out with `operator: Exists`.", longest=316),
        "operator": text("How `value` is compared.", longest=10, enum=["Equal", "Exists"]),
        "value": text("The taint's value.", longest=63),
        "effect": text("The taint's effect; all if left out.", longest=20,
                       enum=["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        "tolerationSeconds": integer("How long NoExecute is tolerated.", 0, 2**31 - 1),
    },
)  # fmt: skip

SPREAD_CONSTRAINT = fields(
    "How evenly pods are spread. Without a `labelSelector`, this cluster's pods are meant.",
    {
        "maxSkew": integer("The greatest difference in the number of pods.", 1, 1000),
        "topologyKey": text("The label of Kubernetes nodes that names the domain.", longest=316),
        "whenUnsatisfiable": text("What to do when it is impossible.", longest=20,
                                  enum=["DoNotSchedule", "ScheduleAnyway"]),
        "labelSelector": anything("Which pods are counted."),
        "matchLabelKeys": items("Pod labels whose values must agree.", {"type": "string", "maxLength": 316}, 16),
        "minDomains": integer("The least number of domains.", 1, 1000),
        "nodeAffinityPolicy": text("Whether node affinity counts.", longest=10, enum=["Honor", "Ignore"]),
        "nodeTaintsPolicy": text("Whether taints count.", longest=10, enum=["Honor", "Ignore"]),
    },
    required=["maxSkew", "topologyKey", "whenUnsatisfiable"],
)  # fmt: skip


def _ruled(rule: dict[str, str]) -> Schema:
    return {"x-kubernetes-validations": [rule]}


NAMESPACE = fields(
    "The keys that begin with a prefix.",
    {
        "prefix": text("What the keys begin with. Of several prefixes the longest one counts.", longest=LONGEST_PREFIX,
                       minLength=1) | _ruled(PREFIX_RULE),
        "maxMemory": quantity("What its keys and values may take on each node; above it, keys of this namespace are "
                              "evicted, of no other. All of them together may have more than `memory`.",
                              **{"x-kubernetes-validations": [NAMESPACE_MEMORY_RULE]}),
        "eviction": text("Which of its keys go first.", longest=20, enum=list(POLICIES), default=NAMESPACE_DEFAULT),
        "defaultTTL": text("What a key that is written without an expiry gets.", longest=LONGEST_TEXT)
        | _ruled(TTL_RULE),
        "maxTTL": text("The longest time to live that a key may have; a longer one is shortened.",
                       longest=LONGEST_TEXT) | _ruled(TTL_RULE),
    },
    required=["prefix"],
    **{"x-kubernetes-validations": [TTLS_RULE]},
)  # fmt: skip

PERSISTENCE = fields(
    "Whether nodes keep their data on a disk, and how. Without it they hold it in memory only.",
    {
        "mode": text("`snapshot`: all data now and then, by `save`; `aof`: every change, appended to a file; `hybrid`: "
                     "both; `none`: nothing is written. Nodes take a change while they run.", longest=20,
                     enum=list(PERSISTENCE_MODES), default=DEFAULT_MODE),
        "fsync": text("When the append-only file is synced to the disk: before a reply (`always`), every second "
                      "(`everysec`, the default), or when the system likes (`no`, which YAML wants in quotes). Only "
                      "with `aof` and `hybrid`. Nodes take a change while they run.", longest=20, enum=list(SYNCS)),
        "save": text("When snapshots are taken: `SECONDS CHANGES` and more such pairs, each after so long if so much "
                     f"was changed; `{DEFAULT_SAVE}` by default. Only with `snapshot` and `hybrid`. Nodes take a "
                     "change while they run.", longest=200) | _ruled(SAVE_RULE),
        "size": quantity("Of each node's volume. May grow where its StorageClass allows that, never shrink. Not "
                         "enforced on a laptop.", **_ruled(VOLUME_RULE)),
        "storageClassName": text("The StorageClass of the volumes; by default the Kubernetes cluster's own. Empty: "
                                 "volumes that were made beforehand. Can't be changed.", pattern=CLASS_NAME),
        "retain": boolean("Whether the data stays when the cluster, or a node of it, is removed. A cluster of the same "
                          "name and number of shards then begins with it.", default=True),
    },
    **{"x-kubernetes-validations": [SIZE_RULE, FSYNC_RULE, RULES_RULE, CLASS_RULE]},
)  # fmt: skip

REPLICATION = fields(
    "How writes reach replicas.",
    {
        "minAcks": integer("How many replicas must have a write before it is answered. With 0 a write that was just "
                           "answered can be lost with its master. 1 where `persistence.fsync` is `always` and there "
                           "are replicas, else 0, if left out.", 0, MOST_REPLICAS, format="int32"),
        "staleReads": boolean("Whether a master that lost its lease goes on answering reads, which may then be old. "
                              "Nodes take a change while they run.", default=False),
        "backlog": quantity("How much of what was written last a node keeps, for replicas that come back to go on "
                            "where they were. Nodes take a change while they run.", default=DEFAULT_BACKLOG,
                            **_ruled(BACKLOG_RULE)),
    },
)  # fmt: skip

FAILOVER = fields(
    "When a replica takes the place of its master.",
    {
        "heartbeatInterval": text("How often nodes and the operator hear of each other.", longest=LONGEST_TEXT,
                                  default=DEFAULT_INTERVAL) | _ruled(INTERVAL_RULE),
        "misses": integer("After so many intervals without a heartbeat a master is suspected; so long it may serve "
                          "without hearing from anybody.", 2, 20, default=3, format="int32"),
        "recoveryTimeout": text("When all nodes of a shard were down, how long its members are waited for before "
                                "`recoveryPolicy` decides.", longest=LONGEST_TEXT,
                                default=DEFAULT_RECOVERY) | _ruled(RECOVERY_RULE),
        "recoveryPolicy": text("Who becomes master when all nodes of a shard were down: the one with the latest data "
                               "once all are back (`waitForAll`, the default with volumes); that of those that are "
                               "back in time (`mostRecent`, the default without); or the first one, without data if "
                               "it must be (`startEmpty`).", longest=20, enum=list(RECOVERY_POLICIES)),
    },
)  # fmt: skip

REBALANCE_RULES = fields(
    "How slots move when `shards` or `weights` was changed. Takes effect at once.",
    {
        "dryRun": boolean("Whether the plan is only shown, in `status.rebalance`. What has moved stays where it is.",
                          default=False),
        "paused": boolean("Whether nothing moves for now. What has moved stays where it is.", default=False),
        "maxBytesPerSecond": quantity("How fast the keys of one shard may leave it. As fast as it can without taking "
                                      "more than a part of a node's time, if left out.", **_ruled(RATE_RULE)),
        "window": WINDOW,
        "mayEvict": boolean("Whether there may be fewer `shards`, or other `weights`, than have room for the data. "
                            "Nodes then evict what does not fit; with `eviction: noeviction` it is refused all the "
                            "same.", default=False),
        "strategy": text("What shares are even in: `slots` that shards own, or `load`, the commands that they run; a "
                         "few slots then move when a shard is much busier than others for long.", longest=20,
                         enum=list(STRATEGIES), default=SLOTS_EVEN),
    },
)  # fmt: skip

WEIGHT = fields(
    "A shard that is to have a larger or a smaller share.",
    {
        "shard": integer("Its number, from 0.", 0, MOST_SHARDS - 1, format="int32"),
        "weight": number("Its share, against the 1 of a shard that is not named: with 2 it owns twice as many slots.",
                         LIGHTEST, HEAVIEST) | _ruled(WEIGHT_RULE),
    },
    required=["shard", "weight"],
)  # fmt: skip

SPEC = fields(
    "What is wanted. Every field has a default; `spec: {}` is a cluster of three shards.",
    {
        "shards": integer("Number of shards, each a master with its part of the slots. A change moves slots while the "
                          "cluster serves them; fewer must have room for the data.", 1, MOST_SHARDS,
                          default=DEFAULT_SHARDS, format="int32"),
        "weights": items("Shards that are to own more slots than others, or fewer. A change moves slots while the "
                         "cluster serves them; each shard must have room for its share.", WEIGHT, MOST_SHARDS)
        | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["shard"]},
        "rebalance": REBALANCE_RULES,
        "replicasPerShard": integer("Replicas of each master, one of which takes its place when it fails. Each needs "
                                    "as much memory as a master. May be raised and lowered while a cluster runs.", 0,
                                    MOST_REPLICAS, default=DEFAULT_REPLICAS, format="int32"),
        "replication": REPLICATION,
        "failover": FAILOVER,
        "vnodesPerShard": integer("Points that each shard has on the ring; more spread the slots more evenly and make "
                                  "the slot table longer. In use are at most 4096 ÷ shards. A change affects later "
                                  "moves of slots only.", 1, 4096, default=1000, format="int32"),
        "memory": quantity("What the keys and values of one node may take (`maxmemory`), from "
                           f"{MINIMUM_MEMORY} to {MAXIMUM_MEMORY}. Takes effect when a node restarts.",
                           default=DEFAULT_MEMORY, **{"x-kubernetes-validations": [MEMORY_RULE]}),
        "eviction": text("What a node evicts when its keys and values reach `memory` (`maxmemory-policy`). Nodes take "
                         "a change while they run.", longest=20, enum=list(POLICIES), default=NODE_DEFAULT),
        "namespaces": items("Keys with limits of their own, by prefix. Nodes take a change while they run.", NAMESPACE,
                            MOST_NAMESPACES) | {"x-kubernetes-list-type": "map",
                                                "x-kubernetes-list-map-keys": ["prefix"]},
        "persistence": PERSISTENCE,
        "port": integer("The port for clients; the admin port is 10000 above. Can't be changed. On a laptop "
                        "`--base-port` decides.", 1024, 55535, default=6379, format="int32",
                        **{"x-kubernetes-validations": [PORT_RULE]}),
        "image": text("The node's container image; by default the one of the operator's release. Takes effect when a "
                      "pod is made anew.", longest=512, pattern=IMAGE, minLength=1),
        "imagePullPolicy": text("When the image is pulled.", longest=20, enum=["Always", "IfNotPresent", "Never"]),
        "imagePullSecrets": items("Secrets with credentials for the image's registry.", fields(
            "A Secret in the cluster's namespace.", {"name": text("Its name.", pattern=DNS_NAME, minLength=1)},
            required=["name"]), 16),
        "auth": fields("Who may connect.", {
            "secretName": text("The Secret whose key `password` is the clients' password. If left out, one is "
                               "generated in the Secret `NAME-auth`; on a laptop there is no password then.",
                               pattern=DNS_NAME, minLength=1),
        }),
        "resources": fields("CPU and memory of a node's container. By default as much memory as `memory` is requested, "
                            "1.5 × `memory` + 128Mi is the limit (2 × with a volume, since what changes during a "
                            "snapshot is there twice), and CPU is not limited.", {
            "requests": mapping("What is reserved, such as `cpu: 500m`.", AMOUNT, 16),
            "limits": mapping("What must not be exceeded; `memory` must be greater than the cluster's `memory`.",
                              AMOUNT, 16),
        }, **{"x-kubernetes-validations": [REQUEST_RULE]}),
        "podLabels": mapping("Labels for the pods, beside the operator's own.", LABEL),
        "podAnnotations": mapping("Annotations for the pods.", {"type": "string", "maxLength": 16384}),
        "nodeSelector": mapping("Labels that a Kubernetes node must have.", LABEL),
        "tolerations": items("Taints that are tolerated.", TOLERATION),
        "affinity": fields("Rules that attract or repel pods, as in a pod.", {
            "nodeAffinity": anything("Rules about Kubernetes nodes."),
            "podAffinity": anything("Pods to be near to."),
            "podAntiAffinity": anything("Pods to be far from."),
        }),
        "topologySpreadConstraints": items("How pods are spread. By default evenly over zones and over hosts, as far "
                                           "as possible.", SPREAD_CONSTRAINT, 16),
        "priorityClassName": text("The pods' priority class.", pattern=DNS_NAME),
    },
    default={},
    **{"x-kubernetes-validations": [LIMIT_RULE, NAMESPACES_RULE, VOLUMES_RULE, ROOM_RULE, ACKS_RULE, WEIGHTS_RULE]},
)  # fmt: skip

ROOT = {
    "type": "object",
    "description": "A cache cluster that every Redis Cluster client can use.",
    "properties": {
        "apiVersion": {"type": "string", "description": f"`{API_VERSION}`"},
        "kind": {"type": "string", "description": f"`{KIND}`"},
        "metadata": {"type": "object"},
        "spec": SPEC,
        "status": STATUS,
    },
    "x-kubernetes-validations": [NAME_RULE, NAME_FORM_RULE, SHRINK_RULE],
}


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, format_: str | None = None) -> Schema:
    column: Schema = {"name": name, "jsonPath": path, "type": kind}
    if wide:
        column["priority"] = 1
    if format_:
        column["format"] = format_
    return column


REBALANCING = '.status.conditions[?(@.type=="Rebalancing")].status'
READY = '.status.conditions[?(@.type=="Ready")]'

COLUMNS = [
    _column("Ready", f"{READY}.status"),
    _column("Shards", ".spec.shards", "integer"),
    _column("Replicas", ".spec.replicasPerShard", "integer", wide=True),
    _column("Nodes", ".status.readyNodes"),
    _column("Slots", ".status.slotsServed", "integer"),
    _column("Epoch", ".status.epoch", "integer"),
    _column("Memory", ".spec.memory", wide=True),
    _column("Persisting", '.status.conditions[?(@.type=="Persisting")].status', wide=True),
    _column("Rebalancing", REBALANCING, wide=True),
    _column("Reason", f"{READY}.reason", wide=True),
    _column("Message", ".status.message", wide=True),
    _column("Age", ".metadata.creationTimestamp", "date"),
]


SCALE = {
    "specReplicasPath": ".spec.shards",
    "statusReplicasPath": ".status.shards",
    "labelSelectorPath": ".status.selector",
}


def custom_resource_definition() -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app.kubernetes.io/name": "ringkeeper", "app.kubernetes.io/part-of": "ringkeeper"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["cc"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, "scale": SCALE},
                    "additionalPrinterColumns": COLUMNS,
                    "schema": {"openAPIV3Schema": ROOT},
                }
            ],
        },
    }


def render_crd() -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
            return True

    head = "# Generated by `make generate` from operator/ringkeeper_operator/schema.py; edit that instead.\n"
    return head + yaml.dump(custom_resource_definition(), Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    print(render_crd(), end="")
