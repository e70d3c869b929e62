"""The `CacheCluster` resource: fields, defaults, ranges, rules and what people are told about them.

The single source: `crds/cacheclusters.ringkeeper.dev.yaml` and `docs/manifest.md` are generated from it
(`python -m ringkeeper_operator.schema [crd|docs]`), `manifest.py` validates with it where there is no API server.
Every text, list and map is bounded, since the API server weighs CEL rules by the largest object that the schema allows.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ringkeeper import __version__
from ringkeeper.store.namespaces import LONGEST_PREFIX, MOST_NAMESPACES
from ringkeeper.store.policies import NAMESPACE_DEFAULT, NODE_DEFAULT, POLICIES
from ringkeeper.store.units import DURATION, LONGEST_TEXT

GROUP = "ringkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "CacheCluster"
PLURAL = "cacheclusters"

DEFAULT_IMAGE = f"ringkeeper-node:{__version__}"
"""The node's image when neither the manifest nor the operator's installation names one."""
LARGEST = 2**53 - 1
"""An API server compares a maximum as a double: 2**63 - 1 would overflow and refuse everything."""

NAME_LENGTH = 40
"""Room for `-SHARD` and the hash that a StatefulSet appends, in the 63 characters of a label."""
DEFAULT_MEMORY = "256Mi"
MINIMUM_MEMORY = "1Mi"
MAXIMUM_MEMORY = "16Ti"
MINIMUM_NAMESPACE = "1Ki"
SHORTEST_TTL, LONGEST_TTL = "1ms", "87600h"

Schema: TypeAlias = dict[str, Any]

DNS_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
MEMORY = "^[0-9]+([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
IMAGE = r"^[^\s]+$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

PATTERN_MEANINGS = {
    DNS_LABEL: "lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
    DNS_NAME: "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    QUANTITY: "a quantity such as 500m, 2 or 512Mi",
    IMAGE: "an image such as registry.example.com/ringkeeper-node:1.0, without spaces",
    LABEL_VALUE: "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
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
SHARDS_RULE = {
    "rule": "self == oldSelf",
    "message": "shards can't be changed while moving slots is not supported; create a new cluster, or keep the number",
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
LIMIT_RULE = {
    "rule": "!has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits) || "
    "!isQuantity(string(self.memory)) || "
    "quantity(string(self.resources.limits['memory'])).isGreaterThan(quantity(string(self.memory)))",
    "message": "resources.limits.memory must be greater than memory, or the node is killed before it is full; "
    "leave it out to get 1.5 × memory + 128Mi",
}


REQUEST_RULE = {
    "rule": "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
    "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
    "message": "resources.requests must not exceed resources.limits; lower the request or raise the limit",
}


def text(description: str, *, longest: int = 253, pattern: str | None = None, **more: Any) -> Schema:
    schema: Schema = {"type": "string", "description": description, "maxLength": longest}
    if pattern is not None:
        schema["pattern"] = pattern
    return schema | more


def integer(description: str, minimum: int, maximum: int, **more: Any) -> Schema:
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum, **more}


def quantity(description: str, **more: Any) -> Schema:
    return {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "description": description,
        "maxLength": 20,
        **more,
    }


def fields(description: str, properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "description": description, "properties": properties, **more}


def mapping(description: str, values: Schema, most: int = 64) -> Schema:
    return {"type": "object", "description": description, "additionalProperties": values, "maxProperties": most}


def items(description: str, item: Schema, most: int = 32) -> Schema:
    return {"type": "array", "description": description, "items": item, "maxItems": most}


def anything(description: str) -> Schema:
    """An object whose fields the API server checks where it is used."""
    return {"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": True}


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

SPEC = fields(
    "What is wanted. Every field has a default; `spec: {}` is a cluster of three shards.",
    {
        "shards": integer("Number of shards, each a master with its part of the slots. Can't be changed yet.", 1, 1000,
                          default=3, format="int32", **{"x-kubernetes-validations": [SHARDS_RULE]}),
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
                            "1.5 × `memory` + 128Mi is the limit, and CPU is not limited.", {
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
    **{"x-kubernetes-validations": [LIMIT_RULE, NAMESPACES_RULE]},
)  # fmt: skip

CONDITION = fields(
    "One aspect of the state.",
    {
        "type": text("The aspect.", longest=316),
        "status": text("Whether it holds.", longest=10, enum=["True", "False", "Unknown"]),
        "reason": text("Why, in one CamelCase word.", longest=1024),
        "message": text("Why, for people.", longest=32768),
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when."},
        "observedGeneration": integer("Of the spec that it speaks of.", 0, LARGEST, format="int64"),
    },
    required=["type", "status", "reason", "message", "lastTransitionTime"],
)

SHARD_STATUS = fields(
    "One shard.",
    {
        "index": integer("Its number.", 0, 999, format="int32"),
        "master": text("The name of its master."),
        "term": integer("How many masters were appointed to it.", 0, LARGEST, format="int64"),
        "slots": integer("Slots that it owns.", 0, 16384, format="int32"),
        "keys": integer("Keys that its master holds.", 0, LARGEST, format="int64"),
        "state": text("`online` when its slots are served; else what its master does instead.", longest=64),
    },
)

STATUS = fields(
    "What is there, as the operator saw it last.",
    {
        "observedGeneration": integer("Of the spec that was last acted on.", 0, LARGEST, format="int64"),
        "conditions": items("`Ready`, `Progressing`, `Degraded`, `ConfigurationWarning`.", CONDITION, 16)
        | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        "epoch": integer("Version of the committed topology.", 0, LARGEST, format="int64"),
        "shards": integer("Number of shards in the topology.", 0, 1000, format="int32"),
        "readyNodes": text("Nodes that serve, of those that should.", longest=16),
        "slotsServed": integer("Slots whose master serves them; 16384 when all is well.", 0, 16384, format="int32"),
        "shardStatuses": items("Every shard of the topology.", SHARD_STATUS, 1000),
        "selector": text("Label selector of the cluster's pods.", longest=512),
        "reason": text("What is being done or waited for, in one word.", longest=1024),
        "message": text("The same for people.", longest=32768),
    },
)

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
    "x-kubernetes-validations": [NAME_RULE, NAME_FORM_RULE],
}


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, format_: str | None = None) -> Schema:
    column: Schema = {"name": name, "jsonPath": path, "type": kind}
    if wide:
        column["priority"] = 1
    if format_:
        column["format"] = format_
    return column


READY = '.status.conditions[?(@.type=="Ready")]'

COLUMNS = [
    _column("Ready", f"{READY}.status"),
    _column("Shards", ".spec.shards", "integer"),
    _column("Nodes", ".status.readyNodes"),
    _column("Slots", ".status.slotsServed", "integer"),
    _column("Epoch", ".status.epoch", "integer"),
    _column("Memory", ".spec.memory", wide=True),
    _column("Reason", f"{READY}.reason", wide=True),
    _column("Message", ".status.message", wide=True),
    _column("Age", ".metadata.creationTimestamp", "date"),
]


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
                    "subresources": {"status": {}},
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
