"""What the operator knows and what it may do, as plain data.

`Spec` is what the user asked for, `Observed` what is there now, an `Action` the single next thing to do. `decide` maps
the first two to the third; a runtime (Kubernetes or this machine) observes and applies. Nothing here does I/O.

A *piece* is anything that a runtime makes and can compare with what the manifest asks for: a Service, a Secret, a
StatefulSet; on a laptop a node's process. `decide` sees pieces by name and state only, so that both runtimes share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.topology import Topology

ADMIN_PORT_OFFSET = 10000
"""A node's admin HTTP listens on its port plus this."""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Where pods may run; meaningless on a laptop. Kubernetes' own shapes."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    affinity: Mapping[str, Any] | None = None
    topology_spread_constraints: tuple[Mapping[str, Any], ...] | None = None
    """None means the default spread over zones and hosts."""
    priority_class_name: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A `CacheCluster`, valid and with its defaults filled in."""

    name: str
    namespace: str
    uid: str
    """The object's UID; on a laptop derived from the path of its data folder."""
    generation: int
    shards: int
    vnodes_per_shard: int
    memory: int
    """Bytes: `maxmemory` of each node."""
    port: int
    image: str
    settings: Settings = field(default_factory=Settings)
    """What nodes take while they run."""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    auth_secret: str | None = None
    """Name of the Secret whose key `password` is the clients' password; None: one is generated on Kubernetes."""
    resources: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    scheduling: Scheduling = Scheduling()
    deleting: bool = False


def node_name(cluster: str, shard: int, ordinal: int) -> str:
    """The pod's name: StatefulSet `CLUSTER-SHARD`, ordinal behind it."""
    return f"{cluster}-{shard}-{ordinal}"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node says of itself at `/control/state`."""

    id: str
    run_id: str
    epoch: int
    """Of the topology that it holds; 0 for none."""
    leader: int
    role: str
    state: str
    """`starting`, `loading`, `online` or `fenced`."""
    term: int
    keys: int
    slots_served: int
    used_memory: int
    version: str
    settings: str = ""
    """The digest of those that it holds; empty if it knows of none."""


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """One node that should exist or does exist."""

    name: str
    shard: int
    ordinal: int
    phase: str
    """`absent`, `starting` (a pod or process without an answering node), `running`, `terminating`, `failed`."""
    address: str = ""
    hostname: str = ""
    port: int = 0
    admin_port: int = 0
    pid: int | None = None
    restarts: int = 0
    trouble: str = ""
    """Why it does not run, in the runtime's words (`ImagePullBackOff: …`, `exited with code 1: …`)."""
    routed: bool = True
    """Whether clients that know no node are sent here: Kubernetes calls the pod ready, so that its Service names it."""
    report: NodeReport | None = None
    """None when it does not answer."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there now. Truth comes from the nodes and the runtime, never from the status."""

    pieces: Mapping[str, str]
    """Every desired piece in the order of making, as `Kind/name` -> `absent`, `drifted` or `current`."""
    nodes: tuple[ObservedNode, ...]
    """Every node of the spec, and any other that exists, by shard and ordinal."""
    topology: Topology | None = None
    """The committed one."""
    topology_version: str | None = None
    """The token that a compare-and-set must name; None when nothing is committed."""
    newest_held: Topology | None = None
    """The topology of the highest (leader, epoch) that a node holds; looked up when none is committed, or an older."""
    leader_number: int | None = None
    """The number that this operator process committed, or None before its first act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The next thing to do. `reason` is CamelCase, for Events and conditions; `message` is for people."""

    reason: str
    message: str
    warning: bool = False
    """Whether the Event is a Warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPieces(Action):
    """Make or mend these pieces, in this order."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTopology(Action):
    """Compare-and-set the committed topology; `expected` is the version seen, None when there was none."""

    topology: Topology
    expected: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTopology(Action):
    """Hand the committed topology to these nodes (names), whose epoch is older."""

    topology: Topology
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings(Action):
    """Hand these settings to these nodes (names), which hold others."""

    settings: Settings
    topology: Topology
    """The committed one: which leader hands them out, and where the nodes are."""
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Action):
    """Nothing can be done until something changes; look again at the latest after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Action):
    """The spec asks for what cannot be done; what runs is left alone. A `ConfigurationWarning`."""
