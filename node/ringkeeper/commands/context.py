"""What a command function may see and do. Upper layers are reached through the protocols here, handed in at start.

A command gets one `Context`, its session's. It reads and writes data through `context.keyspace` alone, answers with a
value of `ringkeeper.resp.values`, and raises `ReplyError` to refuse. It never remembers what a write entails: dispatch
does that once, from what the keyspace recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import cython

from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Limits

if not cython.compiled:
    from ringkeeper.store.keyspace import Keyspace
else:
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]

if TYPE_CHECKING:
    from ringkeeper.commands.table import Command


class Client(Protocol):
    """The session's own facts, as the CLIENT, HELLO, AUTH and RESET commands see and set them."""

    id: int
    name: bytes
    library_name: bytes
    library_version: bytes
    protocol: int
    """2 or 3."""
    user: User
    """The default user until another has logged in."""
    authenticated: bool
    read_only: bool
    """READONLY was said: a replica may answer reads."""
    asking: bool
    reply_mode: str
    """`on`, `off` or `skip` (CLIENT REPLY)."""
    no_evict: bool
    no_touch: bool
    replica: Any
    """What is known of a replica whose connection this is; else None."""
    address: str
    """The peer's, as `127.0.0.1:50123` or `[::1]:50123`; `local_address` is this end's."""
    local_address: str
    connected_at: int
    """Unix milliseconds."""

    @property
    def is_subscribed(self) -> bool: ...

    def close_after_reply(self) -> None: ...

    def reset(self) -> None:
        """Everything that RESET undoes, authentication included."""

    def describe(self) -> str:
        """One line of CLIENT LIST, without a line end."""


class Clients(Protocol):
    """All the sessions of this node."""

    def all(self) -> Iterable[Client]: ...

    def find(self, id_: int) -> Client | None: ...

    def kill(self, client: Client) -> None: ...

    def pause(self, until_ms: int, *, writes_only: bool) -> None: ...

    def unpause(self) -> None: ...

    def unblock(self, client: Client, *, with_error: bool) -> bool:
        """End a client's wait for a key; whether it waited."""

    def monitor(self, client: Client) -> bool:
        """Show the client every command from now on (MONITOR); False if it is shown them already.

        Raises `ReplyError` within a transaction.
        """


class Settings(Protocol):
    """The configuration, as CONFIG sees it. Names are redis.conf's directives, values their text."""

    def get(self, patterns: Sequence[str]) -> Mapping[str, str]: ...

    def set(self, changes: Sequence[tuple[str, str]]) -> None:
        """All or nothing; raises `ReplyError` with Redis's text, naming the directive."""

    def rewrite(self) -> None: ...

    def reset_statistics(self) -> None: ...


class User(Protocol):
    """Whom a session acts for."""

    @property
    def name(self) -> bytes: ...


class Access(Protocol):
    """Who may come in, and what they may do then. Users are named; a user without a session is one too."""

    @property
    def password_needed(self) -> bool:
        """Whether a connection starts unauthenticated."""

    @property
    def has_password(self) -> bool:
        """Whether the default user has one, be that user off or on."""

    def log_in(self, client: Client, user: bytes, password: bytes, command: bytes) -> bool:
        """Make the client that user; a failure is logged with the command's name as it was written."""

    def has_user(self, name: bytes) -> bool: ...

    def names(self) -> list[bytes]: ...

    def lines(self) -> list[bytes]:
        """All users as ACL LIST shows them."""

    def fields(self, name: bytes) -> dict[bytes, Any] | None:
        """A user as ACL GETUSER shows them."""

    def set_user(self, name: bytes, words: Sequence[bytes]) -> None:
        """All or nothing; raises `ReplyError`."""

    def delete_users(self, names: Sequence[bytes]) -> int:
        """How many there were; their connections are closed. Raises `ReplyError` for the default user."""

    def load(self) -> None:
        """The users of the ACL file in place of those that are there; raises `ReplyError`."""

    def save(self) -> None: ...

    def try_out(self, name: bytes, command: Command, args: Sequence[bytes]) -> bytes | None:
        """What ACL DRYRUN says against a command by that user; raises `ReplyError`."""

    def may_read_every_key(self, client: Client, command: Command, args: Sequence[bytes]) -> bool:
        """Besides running the command: what SORT asks before it follows a pattern."""

    def new_password(self, digits: int) -> str:
        """So many hexadecimal digits that nobody can guess."""

    def refusals(self, count: int) -> list[dict[bytes, Any]]:
        """As ACL LOG shows them, newest first."""

    def forget_refusals(self) -> None: ...


class Serializer(Protocol):
    """A value as DUMP gives it and RESTORE takes it: Redis's own serialisation, with a checksum."""

    def dump(self, value: Value) -> bytes: ...

    def restore(self, payload: bytes) -> Value:
        """Raises `ReplyError` for a payload of an unknown version, with a wrong checksum, or that holds no value."""

    def read_back(self, value: Value) -> Value:
        """The value that its own payload gives, whatever it takes. O(size of the value)."""


class Transactions(Protocol):
    """MULTI and its relatives, for the session that is named."""

    def begin(self, client: Client) -> Any: ...

    def discard(self, client: Client) -> Any: ...

    def execute(self, client: Client) -> Any: ...

    def watch(self, client: Client, keys: list[bytes]) -> Any: ...

    def unwatch(self, client: Client) -> Any: ...


class PubSub(Protocol):
    """`kind` is `channel`, `pattern` or `shard`. Subscribing answers the confirmations, rendered."""

    def subscribe(self, client: Client, kind: str, names: Sequence[bytes]) -> Any: ...

    def unsubscribe(self, client: Client, kind: str, names: Sequence[bytes]) -> Any:
        """Without names, from all of the kind."""

    def publish(self, channel: bytes, message: bytes) -> int: ...

    def publish_to_shard(self, channel: bytes, message: bytes) -> int: ...

    def receive(self, kind: str, channel: bytes, message: bytes) -> None:
        """A message that was published on another node: for the subscribers here, and no further."""

    def channels(self, kind: str, pattern: bytes | None) -> list[bytes]: ...

    def subscribers(self, kind: str, name: bytes) -> int: ...

    def pattern_count(self) -> int: ...


@dataclass(slots=True)
class TrackingState:
    """What a session has asked for with CLIENT TRACKING."""

    redirect: int = 0
    """The id of the session to tell instead, or 0."""
    broadcast: bool = False
    opt_in: bool = False
    opt_out: bool = False
    no_loop: bool = False
    prefixes: list[bytes] = field(default_factory=list)
    caching: bool | None = None
    """CLIENT CACHING YES or NO: for the next command alone."""
    broken: bool = False
    """The session to redirect to is gone."""


class Tracking(Protocol):
    """CLIENT TRACKING and its relatives, for the session that is named."""

    def enable(self, client: Client, wanted: TrackingState) -> None:
        """Raises `ReplyError` for what does not go together with what is on already."""

    def disable(self, client: Client) -> None: ...

    def state(self, client: Client) -> TrackingState | None: ...


class ClusterServices(Protocol):
    """What the CLUSTER commands ask; rendered replies come ready for the protocol given."""

    enabled: bool

    def slots(self, protocol: int, client: Client) -> Any: ...

    def shards(self, protocol: int) -> Any: ...

    def nodes(self) -> bytes: ...

    def info(self) -> bytes: ...

    def my_id(self) -> str: ...

    def my_shard_id(self) -> str: ...

    def links(self) -> list[Any]: ...

    def own_slots(self) -> list[int]:
        """Those of this node's shard, in their order."""

    def operations(self, slot: int) -> int:
        """How many commands this node ran on keys of a slot."""

    def welcome(self, client: Client, token: bytes, id_: str, name: str) -> None:
        """Take the client's connection for the link of another node; raises `ReplyError` if it does not know how."""

    def replicas(self, node_id: str) -> list[bytes]:
        """Raises `ReplyError` for an unknown node."""


class Replicas(Protocol):
    """What replicas ask, and who waits for them; those that answer something else than what is said answer it later."""

    def synchronise(self, client: Client, id_: str, wanted: int) -> Any:
        """PSYNC: make the client a replica that has all before the byte `wanted` of a history."""

    def welcome(self, client: Client, token: bytes, replica: tuple[str, str], master: tuple[str, str, int]) -> str:
        """Let the client be a replica's connection, if it knows the token and means this master: ids with run ids and
        the master's term. What the master has; raises `ReplyError`."""

    def configure(self, client: Client, options: Sequence[tuple[bytes, bytes]]) -> Any:
        """REPLCONF."""

    @property
    def waits(self) -> ReplicaWaits: ...


class ReplicaWaits(Protocol):
    """Raise `ReplyError` on a replica. A timeout of 0 is none."""

    def wait(self, client: Client, replicas: int, timeout_ms: int) -> Any:
        """WAIT."""

    def wait_for_disks(self, client: Client, local: int, replicas: int, timeout_ms: int) -> Any:
        """WAITAOF."""


class Replication(Protocol):
    """Whom this node follows, and who follows it."""

    def follow(self, host: str, port: int) -> Any:
        """REPLICAOF; raises `ReplyError` in a cluster."""

    def follow_nobody(self) -> Any: ...

    @property
    def replicas(self) -> Replicas: ...


class SlowCommand(Protocol):
    """An entry of SLOWLOG."""

    @property
    def id(self) -> int: ...
    @property
    def unix_seconds(self) -> int: ...
    @property
    def microseconds(self) -> int: ...
    @property
    def args(self) -> list[bytes]: ...
    @property
    def address(self) -> str: ...
    @property
    def client_name(self) -> bytes: ...


class LatencyEvent(Protocol):
    """What LATENCY keeps of one kind of stall."""

    @property
    def samples(self) -> Sequence[tuple[int, int]]:
        """Unix seconds and milliseconds, the oldest first; never empty."""

    @property
    def longest(self) -> int: ...


class Latency(Protocol):
    def all(self) -> Mapping[str, LatencyEvent]: ...

    def reset(self, names: Iterable[str]) -> int:
        """Forget these events, or all; how many there were."""


class Moves(Protocol):
    """Slots on their way to another shard."""

    def feed(self, client: Client, token: bytes, id_: str, move: int, target: tuple[int, str]) -> None:
        """Begin to tell the target's master of a move: its term and run id; raises `ReplyError`."""

    def fed(self, client: Client, offset: int) -> None:
        """It has taken so many bytes of that."""


class Node(Protocol):
    """The process as a whole."""

    run_id: str
    version: str
    cluster_enabled: bool

    @property
    def latency(self) -> Latency: ...

    def durations(self) -> Iterable[tuple[str, Sequence[int]]]:
        """Name and histogram (`commands/durations.py`) of every command that was called."""

    def now_us(self) -> int:
        """Unix time in microseconds."""

    def sleep(self, seconds: float) -> None:
        """Stall the whole node (DEBUG SLEEP)."""

    def set_active_expiry(self, on: bool) -> None: ...

    def pause_rounds(self, on: bool) -> None:
        """End, or resume, what the node does by itself every 100 ms or so (DEBUG PAUSE-CRON)."""

    @property
    def replication(self) -> Replication: ...

    @property
    def moves(self) -> Moves: ...

    def change_replication_id(self) -> None: ...

    def log_for_debugging(self, text: str) -> None: ...

    def slow_commands(self) -> Sequence[SlowCommand]:
        """Newest first."""

    def forget_slow_commands(self) -> None: ...

    def memory(self) -> Mapping[str, Any]:
        """Figures of MEMORY STATS, in bytes."""

    def give_back_memory(self) -> None:
        """Hand free memory back to the system (MEMORY PURGE)."""

    def info(self, sections: Sequence[str]) -> bytes:
        """The text of INFO; no sections means the default ones."""

    def save(self, client: Client) -> None:
        """Answer the client when a snapshot has been taken (SAVE); raises `ReplyError` while one is being taken."""

    def background_save(self, *, schedule: bool) -> bool:
        """Take a snapshot; False if it is only to be taken later. Raises `ReplyError`."""

    def rewrite_log(self) -> bool:
        """Have a new base of the append-only file taken: whether it began now. Raises `ReplyError`."""

    def cancel_save(self) -> str:
        """End the snapshot that is being taken, or is to be; what was ended. Raises `ReplyError` if there is none."""

    def last_save(self) -> int:
        """When the last snapshot was taken, in Unix seconds; the node's start before the first."""

    def shutdown(self, client: Client, *, save: bool | None, force: bool, now: bool) -> None:
        """Stop the process. `save`: whether a snapshot is taken first; None leaves it to the configuration.

        Unless `now`, it waits for who is to have the data first, and the client with it. Raises `ReplyError` if the
        node has to stay.
        """

    def abort_shutdown(self) -> bool:
        """Stay after all; whether a shutdown was waiting."""

    def role(self) -> list[Any]:
        """The reply of ROLE."""


@cython.final
@cython.cclass
class Context:
    """One a session, made with it. Selecting a database replaces `keyspace`."""

    def __init__(
        self,
        *,
        databases: list[Keyspace],
        limits: Limits,
        random: Random,
        client: Client,
        clients: Clients,
        settings: Settings,
        access: Access,
        serializer: Serializer,
        cluster: ClusterServices,
        transactions: Transactions,
        pubsub: PubSub,
        tracking: Tracking,
        node: Node,
    ) -> None:
        self.databases = databases
        self.database = 0
        self.keyspace = databases[0]
        self.limits = limits
        """Up to where a collection counts as compact; new collections are made with it."""
        self.protocol = 2
        """The session's: 2 or 3. It is kept here, where it need not be looked up by its name."""
        self.random = random
        """For the commands that choose at random."""
        self.client = client
        self.clients = clients
        self.settings = settings
        self.access = access
        self.serializer = serializer
        self.cluster = cluster
        self.transactions = transactions
        self.pubsub = pubsub
        self.tracking = tracking
        self.node = node
