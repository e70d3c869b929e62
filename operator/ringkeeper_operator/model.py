"""What the operator knows and what it may do, as plain data.

`Spec` is what the user asked for, `Observed` what is there now, an `Action` the single next thing to do. `decide` maps
the first two to the third; a runtime (Kubernetes or this machine) observes and applies. Nothing here does I/O.

A *piece* is anything that a runtime makes and can compare with what the manifest asks for: a Service, a Secret, a
StatefulSet; on a laptop a node's process. `decide` sees pieces by name and state only, so that both runtimes share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.migration import Confirmation
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.topology import Topology
from ringkeeper.store.policies import NODE_DEFAULT

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
class Volume:
    """What each node keeps its data on; on a laptop its folder, whose size nobody limits."""

    size: int
    """Bytes."""
    storage_class: str | None = None
    """None: the Kubernetes cluster's default."""
    retain: bool = True
    """Whether the data outlives the cluster."""


@dataclass(frozen=True, slots=True)
class FailoverRules:
    """When a master counts as gone, and who becomes master when all were."""

    heartbeat_ms: int = 500
    """Between two heartbeats."""
    misses: int = 3
    """Heartbeats without a word before a master is suspected; so many intervals are a lease."""
    recovery_seconds: float = 60.0
    """How long the members of a shard are waited for after all of them were down."""
    recovery_policy: str = "mostRecent"
    """`waitForAll`, `mostRecent` or `startEmpty`."""


@dataclass(frozen=True, slots=True)
class Window:
    """The hours in which slots begin to move, by the clock of a time zone."""

    start: int
    """Minutes after midnight."""
    end: int
    """The same, up to 24 hours; on the next day, if that is not after `start`."""
    days: tuple[int, ...]
    """On which it opens; Monday is 0."""
    zone: str
    """Its IANA name."""


SLOTS_EVEN, LOAD_EVEN = STRATEGIES = ("slots", "load")


@dataclass(frozen=True, slots=True)
class RebalanceRules:
    """How slots move, and when."""

    dry_run: bool = False
    """The plan is shown and nothing moves."""
    paused: bool = False
    """Nothing moves; what had begun is taken back."""
    max_bytes_per_second: int = 0
    """Of each move; 0: as fast as the nodes' own limits let it go."""
    window: Window | None = None
    """None: at any time."""
    strategy: str = SLOTS_EVEN
    """What is made even: `slots`, or `load`."""
    opens: float | None = None
    """While the window is closed: when it opens next, in seconds since the epoch."""
    may_evict: bool = False
    """What would not fit where it is to be may be evicted there."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A person wants a shard to have another master."""

    shard: int
    to: str = ""
    """The node's name; empty: whichever is best."""
    term: int | None = None
    """The one that is to end, if it was said: in a later one this is done."""
    insists: bool = False
    """Even if writes are lost that were acknowledged: the master is gone, and so is who has them."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A `CacheCluster`, valid and with its defaults filled in."""

    name: str
    namespace: str
    uid: str
    """The object's UID; on a laptop derived from the path of its data folder."""
    generation: int
    shards: int
    """That are kept up."""
    vnodes_per_shard: int
    memory: int
    """Bytes: `maxmemory` of each node."""
    port: int
    image: str
    replicas_per_shard: int = 0
    min_acks: int = 0
    """How many replicas must have a write before it is answered."""
    failover: FailoverRules = FailoverRules()
    rebalance: RebalanceRules = RebalanceRules()
    weights: Mapping[int, float] = field(default_factory=dict)
    """Shard -> its share of the slots, against the 1 of those that are not named."""
    settings: Settings = field(default_factory=Settings)
    """What nodes take while they run."""
    volume: Volume | None = None
    """None: data that is not in memory is gone with the pod."""
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    auth_secret: str | None = None
    """Name of the Secret whose key `password` is the clients' password; None: one is generated on Kubernetes."""
    resources: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    scheduling: Scheduling = Scheduling()
    deleting: bool = False
    handovers: tuple[Handover, ...] = ()
    """What somebody asked for, until it is carried out."""
    staying: int | None = None
    """How many of the shards are to stay, if not all: those above are emptied, then removed."""
    staying_replicas: int | None = None
    """How many replicas of a shard are to stay, if not all: those above it are let go."""
    overweight: str = ""
    """Why a shard would have no room for its share, for people: no slot begins to move. Empty while all have."""

    @property
    def evicts(self) -> bool:
        """Whether nodes whose memory is full make room for what comes."""
        return self.settings.eviction != NODE_DEFAULT

    def may_evict_from(self, report: NodeReport) -> bool:
        """Whether a node has anything that its policy would let go."""
        return self.evicts and (not self.settings.eviction.startswith("volatile-") or report.volatile_keys > 0)

    @property
    def lasting_shards(self) -> int:
        """How many shards are to own the slots in the end."""
        return self.shards if self.staying is None else self.staying

    @property
    def nodes_per_shard(self) -> int:
        return 1 + self.replicas_per_shard

    @property
    def lasting_nodes(self) -> int:
        """How many nodes a shard is to have in the end: those of the lowest ordinals."""
        return 1 + (self.replicas_per_shard if self.staying_replicas is None else self.staying_replicas)

    def positions(self) -> Iterator[tuple[int, int]]:
        """Shard and ordinal of every node, in order."""
        return ((shard, ordinal) for shard in range(self.shards) for ordinal in range(self.nodes_per_shard))


STOP_SECONDS = 30
WRITTEN_PER_SECOND = 16 * 1024 * 1024
LONGEST_STOP_SECONDS = 3600


def stop_seconds(spec: Spec) -> int:
    """How long a node that is told to stop may take before it is killed.

    With a volume there must be time for a last snapshot of a node that is full, on a disk that writes only 16 MiB a
    second. A node that is done earlier ends earlier, so that generosity costs nothing.
    """
    if spec.volume is None:
        return STOP_SECONDS
    return min(STOP_SECONDS + -(-spec.memory // WRITTEN_PER_SECOND), LONGEST_STOP_SECONDS)


def node_name(cluster: str, shard: int, ordinal: int) -> str:
    """The pod's name: StatefulSet `CLUSTER-SHARD`, ordinal behind it."""
    return f"{cluster}-{shard}-{ordinal}"


def position_of(name: str) -> tuple[int, int]:
    """Shard and ordinal of a node's name."""
    _, shard, ordinal = name.rsplit("-", 2)
    return int(shard), int(ordinal)


@dataclass(frozen=True, slots=True)
class Lost:
    """What a former master had and gave up to follow another."""

    term: int
    """In which it was written."""
    bytes: int
    writes: int = -1
    """-1: nobody could count them any more."""
    keys: tuple[str, ...] = ()
    """Some of those that were written."""


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What a node says of a move of slots that its shard takes part in."""

    said: Confirmation
    """How far it is."""
    keys: int = 0
    """Sent or received so far, as `bytes`."""
    bytes: int = 0
    lag_bytes: int = 0
    """Of a source: what it has told and its target has not confirmed."""
    written: int = 0
    """Of a source: bytes a second that clients would write to the slots, while writes are held back for the target to
    catch up; else 0."""
    let_through: int = 0
    """Those of them that are not held back."""
    behind_ms: int = 0
    """Of a target: how far its voters are behind what comes, milliseconds, as far as that is known."""


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
    leaving: bool = False
    """Whether it was told to end and does not stay."""
    persistence_error: str = ""
    """Why what is changed now would not be kept, although it is to be; empty while all is well."""
    loaded: float | None = None
    """The part of its data, 0 to 1, that a node in the state `loading` has loaded."""
    position: Position = NOTHING
    link: str = "none"
    """To its master: `none`, `connecting`, `sync`, `connected` or `down`."""
    lag_bytes: int = 0
    lag_ms: int = 0
    candidate: bool = True
    """Whether its data is whole, so that it may become master."""
    lost: Lost | None = None
    """What it gave up last."""
    moves: tuple[MoveReport, ...] = ()
    volatile_keys: int = 0
    """Those that expire."""


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
    process: str = ""
    """What names the process that runs, never another one; empty if that is not known."""
    ended: tuple[str, ...] = ()
    """Such names of its processes that are over for certain."""
    restarts: int = 0
    trouble: str = ""
    """Why it does not run, in the runtime's words (`ImagePullBackOff: …`, `exited with code 1: …`)."""
    routed: bool = True
    """Whether clients that know no node are sent here: Kubernetes calls the pod ready, so that its Service names it."""
    host: str = ""
    """The machine that it is on, and that one's zone; empty if that is not known, or there is but one."""
    zone: str = ""
    role_label: str | None = None
    """What Services by role know it as, empty for nothing; None where there are no labels."""
    report: NodeReport | None = None
    """None when it does not answer."""


@dataclass(frozen=True, slots=True)
class ObservedClaim:
    """The claim of one node's volume. There are none on a laptop."""

    name: str
    requested: int
    """Bytes that it asks for."""


HANDOVER = "handover"
"""The cause of a change of masters that somebody asked for."""


@dataclass(frozen=True, slots=True)
class Failover:
    """A master that took another's place, and how long that took, as far as it is known."""

    shard: int
    term: int
    """The new master's."""
    time: float
    """Of the appointment, seconds since the epoch."""
    cause: str
    former: str
    """Names of nodes."""
    master: str
    detection_ms: int | None = None
    """From the last heartbeat to the suspicion."""
    election_ms: int | None = None
    """From the suspicion to the commit."""
    total_ms: int | None = None
    """From the last heartbeat until the new master had its appointment."""
    lost_bytes: int | None = None
    lost_writes: int | None = None
    """What the former master had and the new one does not; None until it has come back and told."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What is there now. Truth comes from the nodes and the runtime, never from the status.

    Each is equal to itself only, so that what follows from one is worked out once (`plan/nodes.py`).
    """

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
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    """What is known of each shard's master by heartbeats."""
    is_glance: bool = False
    """Whether the nodes were not asked anew: only what cannot wait is decided by that."""
    leader_number: int | None = None
    """The number that this operator process committed, or None before its first act."""
    claims: tuple[ObservedClaim, ...] = ()
    """Of this cluster's nodes, by name."""
    failovers: tuple[Failover, ...] = ()
    """Those that this operator process has seen to."""
    calm_seconds: float = 0.0
    """For how long no master has changed, as far as this operator process has seen."""
    handovers: Mapping[int, str] = field(default_factory=dict)
    """Shards whose master was asked to make room, and for which node (id)."""
    obsolete: tuple[str, ...] = ()
    """Pieces of this cluster, `Kind/name`, that are asked for no more and stand in the way."""
    slot_bytes: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    """Shard -> slot -> bytes: of those shards whose masters were asked lately; a slot without keys may be left out."""
    slot_operations: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    """Shard -> slot -> commands a second, over the last half to whole minute, from the same answers; a slot on which
    none ran is left out, and an older node tells of none."""
    still_seconds: float = 0.0
    """For how long no slot has changed hands, as far as this operator process has seen."""
    failed_moves: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Source and target of moves that failed a moment ago, and why: not to be tried again yet."""


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """What a master tells of its shard's slots. One left out has nothing."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    """Slot -> bytes."""
    operations: Mapping[int, float] = field(default_factory=dict)
    """Slot -> commands a second."""
    is_answer: bool = True
    """False: the master was asked in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The next thing to do. `reason` is CamelCase, for Events and conditions; `message` is for people."""

    reason: str
    message: str
    warning: bool = False
    """Whether the Event is a Warning."""
    quiet: bool = False
    """One of very many steps: it is logged, and nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPieces(Action):
    """Make or mend these pieces, in this order."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTopology(Action):
    """Compare-and-set the committed topology; `expected` is the version seen, None when there was none."""

    topology: Topology
    expected: str | None
    at_once: bool = False
    """Handed to the nodes before anything else is looked at: until they have it a shard is not served, or nobody takes
    the place of a master."""
    failovers: tuple[Failover, ...] = ()
    """What it does, for people; without the times that only whoever carries it out knows."""
    taking: tuple[str, ...] = ()
    giving: tuple[str, ...] = ()
    """The masters to and from which it moves slots."""

    @property
    def awaited(self) -> tuple[frozenset[str], frozenset[str]]:
        """The nodes for whom clients wait until they have it: those that serve by it, then those that send clients
        there. A client that is sent to a node which does not know yet is sent back, and gives up after some rounds.
        """
        serving = frozenset((*(failover.master for failover in self.failovers), *self.taking))
        sending = frozenset((*(failover.former for failover in self.failovers), *self.giving))
        return serving, sending - serving


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
class LabelRoles(Action):
    """Let Services by role find these nodes: name -> role, in this order."""

    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePieces(Action):
    """Delete these pieces."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHandover(Action):
    """Have the master of a shard make room for a node."""

    shard: int
    term: int
    """The one that is to end; in another one nobody is asked."""
    target: str
    """Node id."""
    insists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSlots(Action):
    """Ask the masters of these shards what each of their slots holds, and how much is asked of it."""

    topology: Topology
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRelease(Action):
    """Have the sources of these moves (ids) give up their slots as soon as their targets have everything."""

    topology: Topology
    moves: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropHandover(Action):
    """Forget what somebody asked for a shard."""

    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowVolumes(Action):
    """Ask for so many bytes in these claims (names), which ask for less."""

    size: int
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Action):
    """Nothing can be done until something changes; look again at the latest after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchMoves(Wait):
    """Wait until the masters of these moves (ids) say anything new of them."""

    seconds: float = 0.0
    topology: Topology
    moves: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Action):
    """The spec asks for what cannot be done; what runs is left alone. A `ConfigurationWarning`."""
