"""The running node: its databases, its clients, its ports, and what happens when they start and stop.

`start` brings up the data port first, so that a client waits as little as possible, then the admin port; `stop` closes
them in the same order. Everything that a command reaches upwards through `commands.context` ends here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import importlib
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from ringkeeper import __version__, commands
from ringkeeper.cluster.topology import Topology
from ringkeeper.commands.blocking import Blocked
from ringkeeper.commands.context import Client, Context
from ringkeeper.commands.table import COMMANDS, Arguments, Command
from ringkeeper.persist.payload import Payloads
from ringkeeper.persist.reader import MOST_GROWN
from ringkeeper.persist.snapshot import Work
from ringkeeper.resp.values import OK, ReplyError
from ringkeeper.server import info, logs, namespaces
from ringkeeper.server.access import AccessControl
from ringkeeper.server.announcement import announce
from ringkeeper.server.append_only import AppendOnly
from ringkeeper.server.child import Child
from ringkeeper.server.clients import ClientRegistry, OutputLimits
from ringkeeper.server.config import Config, ConfigError
from ringkeeper.server.cron import Cron
from ringkeeper.server.departure import FOR_GOOD_MS, Departure
from ringkeeper.server.dispatch import ENDLESS, Dispatcher
from ringkeeper.server.effects import Effects
from ringkeeper.server.expiry import Expiry
from ringkeeper.server.fence import Fence
from ringkeeper.server.gates import Gatehouse
from ringkeeper.server.handover import Handover
from ringkeeper.server.latency import LatencyMonitor
from ringkeeper.server.lease_keeper import LeaseKeeper
from ringkeeper.server.loop_delay import LoopDelay
from ringkeeper.server.membership import Membership, read_token
from ringkeeper.server.memory import Memory, give_back
from ringkeeper.server.modes import Modes
from ringkeeper.server.monitors import Monitors
from ringkeeper.server.moves import Moves
from ringkeeper.server.node_time import NodeTime, Reading, read_clocks
from ringkeeper.server.peers import Peers
from ringkeeper.server.pubsub import PubSub
from ringkeeper.server.recovery import Recovery
from ringkeeper.server.replication import Replication
from ringkeeper.server.session import Session
from ringkeeper.server.slot_counts import SlotRates
from ringkeeper.server.slowlog import SlowCommand, SlowLog
from ringkeeper.server.snapshots import Snapshots
from ringkeeper.server.survey import Survey
from ringkeeper.server.tracking import TrackingTable
from ringkeeper.server.transactions import Transactions
from ringkeeper.server.trimming import Trimming
from ringkeeper.server.upkeep import Upkeep
from ringkeeper.server.waiting import DEMOTED, UNBLOCKED, Wait, WaitingRoom
from ringkeeper.store.events import event_classes
from ringkeeper.store.evictor import Evictor
from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.store.namespaces import NO_NAMESPACES
from ringkeeper.store.slot import key_slot
from ringkeeper.types.collection import LIMITS, Limits

log = logging.getLogger(__name__)


ADMIN_OFFSET = 10_000
SNAPSHOTS_FAIL = (
    "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify "
    "the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting "
    "fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
)
TAKEN_SECONDS = 2.0
"""How long a port for datagrams may be taken before that is a fault."""
FAREWELL_SECONDS = 2.0
"""How long a stopping node lets clients take their last replies."""


class Node:
    """Implements `commands.context.Node`."""

    version = __version__

    def __init__(
        self, config: Config, loop: asyncio.AbstractEventLoop, *, clocks: Callable[[], Reading] = read_clocks
    ) -> None:
        self.config = config
        self.loop = loop
        self.run_id = secrets.token_hex(20)
        self.started = time.monotonic()
        self.clocks = clocks
        self.clock = Clock()
        self.time = NodeTime(self.clock, clocks())
        self.started_ms = self.clock.now_ms
        self.cluster_enabled = config.flag("cluster-enabled")
        count = 1 if self.cluster_enabled else config.number("databases")
        self.random = random.Random()
        self.databases = [Keyspace(self.clock, self.random, index) for index in range(count)]
        for keyspace in self.databases:
            keyspace.siblings = self.databases
        self.evictor = Evictor(self.databases)
        self.namespaces = NO_NAMESPACES
        self.limits = Limits()
        self.payloads = Payloads(self.limits, self.room_for_a_value, lambda: self.config.flag("rdbcompression"))
        self.port = config.number("port")
        self.admin_port = 0
        self.peak_bytes = 0
        self.statistics_since = self.clock.now_ms

        self.slow_log = SlowLog()
        self.latency = LatencyMonitor()
        self.commands = table = commands.load()
        self.access = AccessControl(config, COMMANDS, self.clock)
        self.dispatcher = Dispatcher(table)
        self.gatehouse = Gatehouse(self.evictor, self.access.permission, self.dispatcher.slot_counts)
        self.slot_rates = SlotRates(self.dispatcher.slot_counts, self.started)
        self.dispatcher.on_slow = self.took_long
        self.dispatcher.permission = self.access.permission
        self.clients = ClientRegistry(
            dispatcher=self.dispatcher, time=self.time, make_context=self.make_context, loop=loop
        )
        self.connect_effects()
        self.membership = Membership(self)
        if self.cluster_enabled:
            self.gatehouse.routes = self.membership.routes
        self.lease = self.clients.traffic.lease
        self.fence = Fence(self)
        self.handover = Handover(self)
        self.departure = Departure(self)
        token = self.membership.token
        self.lease_keeper = LeaseKeeper(self, token) if self.cluster_enabled and token is not None else None
        """None on a node that runs alone, and where no token tells who may grant a lease."""
        self.upkeep = Upkeep(self.databases, self.evictor, self.effects, loop)
        self.peers = self.make_peers()
        self.survey = Survey(self.clients)
        self.trimming = Trimming()
        self.snapshots = Snapshots(self)
        self.append_only = AppendOnly(self)
        self.recovery = Recovery(self)
        self.replication = Replication(self)
        self.moves = Moves(self)
        self.clients.on_replica_gone = self.replica_gone
        if self.lease_keeper is not None:
            self.lease_keeper.on_pledge = self.replication.pledge
        self.forks = self.latest_fork_us = 0
        """Child processes for snapshots and bases, and what the last fork took."""
        self.lock: IO[str] | None = None
        """Held as long as the process lives."""
        self.running = False
        """The data is there, and everybody is served."""
        self.cron = Cron(self)
        self.expiry = Expiry(self)
        self.loop_delay = LoopDelay(loop)
        self.listeners: list[asyncio.Server] = []
        self.admin: Any = None
        self.stopped = asyncio.Event()
        config.on_change = self.apply
        config.on_reset = self.reset_statistics
        config.user_lines = self.access.lines_for_configuration
        self.apply(frozenset(config.values))
        self.access.load_at_start()
        self.access.sessions, self.access.kill = self.clients.all, self.clients.dismiss
        self.access.on_change = self.apply_access
        self.apply_access()

    def connect_effects(self) -> None:
        """Put together what follows from a change of data, and what it needs of the sessions."""
        clients, dispatcher = self.clients, self.dispatcher
        effects = Effects(self.databases)
        self.transactions = Transactions(self.databases, dispatcher, effects)
        self.transactions.cluster_enabled = self.cluster_enabled
        self.pubsub = PubSub(effects)
        self.tracking = TrackingTable(effects, clients.sessions.get, self.loop.call_soon, self.random)
        self.waiting = WaitingRoom(self.databases, self.clock, self.loop, effects, dispatcher)
        self.effects = effects
        effects.attach([(self.transactions, False), (self.tracking, False), (self.pubsub, True), (self.waiting, False)])
        dispatcher.changes, dispatcher.journal = effects.changes, effects.journal
        self.gatehouse.changes, self.gatehouse.tell = effects.changes, effects.tell
        dispatcher.effects = effects
        dispatcher.waiting = clients.waiting = self.waiting
        clients.modes = Modes(dispatcher, self.tracking)
        self.transactions.run_one = clients.modes.execute
        dispatcher.transactions = self.transactions
        clients.transactions, clients.pubsub, clients.tracking = self.transactions, self.pubsub, self.tracking
        clients.on_monitors = Monitors(dispatcher, clients.monitors).update

    def make_peers(self) -> Peers:
        token = read_token(self.config, "peer-token-file") if self.cluster_enabled else None
        if self.cluster_enabled and token is None:
            log.info("No peer-token-file: what is published here reaches the subscribers of this node alone")
        peers = Peers(
            self.loop, self.random, token=token, my_id=self.membership.id, my_name=self.config.text("node-name"),
            kill=self.clients.kill,
        )  # fmt: skip
        self.clients.on_peer_gone = peers.farewell
        self.pubsub.forward, self.pubsub.forward_to_shard = peers.forward, peers.forward_to_shard
        return peers

    def follow_topology(self, former: Topology | None) -> None:
        """Another topology is in force: bring what hangs on it into line."""
        membership = self.membership
        self.fence.follow()
        # Before the lease process: when it tells the epoch, it must tell a position that has all of before.
        self.replication.follow_topology()
        if self.lease_keeper is not None and membership.topology is not None:
            self.lease_keeper.follow(membership.topology)
        self.peers.update(membership.peers(), membership.standing.shard)
        self.pubsub.drop_shard_channels(lambda channel: not membership.routes.is_ours(key_slot(channel)))
        self.moves.follow()
        if lost := membership.lost:
            keyspace = self.databases[0]
            self.transactions.part(lost)
            self.tracking.part(lost, (key for slot in lost for key in keyspace.slot_keys(slot)))
        self.waiting.refuse(self.refusal_to_wait)
        self.handover.follow()
        if membership.topology is not None:
            announce(self.pubsub, former, membership.topology)

    def replica_gone(self, session: Session) -> None:
        """The session of a replica, or of a move's target, has ended."""
        self.replication.replicas.farewell(session)
        self.moves.farewell(session)

    def refusal_to_wait(self, wait: Wait) -> ReplyError | None:
        """Why a session must wait here no longer: its keys are served elsewhere, or this node became a replica."""
        routes = self.membership.routes
        slot = key_slot(wait.places[0][1])
        if routes.served[slot]:
            return None
        if routes.standing.role == "replica" and routes.is_ours(slot):
            return DEMOTED
        return routes.redirect(slot, wait.session, wait.entry.command)

    def choose_gates(self) -> None:
        self.gatehouse.loading = self.recovery.loading
        self.gatehouse.disk_error = self.disk_error()
        self.replication.look_after(self.gatehouse)
        self.dispatcher.choose_gates(self.gatehouse.choose)

    def disk_error(self) -> str:
        """Why changes are refused at present: the disk does not take them. Empty if it does."""
        if self.append_only.error:
            return f"Errors writing to the AOF file: {self.append_only.error}"
        return SNAPSHOTS_FAIL if self.snapshots.blocks_writes else ""

    def make_context(self, client: Client) -> Context:
        return Context(
            databases=self.databases,
            limits=self.limits,
            random=self.random,
            client=client,
            clients=self.clients,
            settings=self.config,
            access=self.access,
            serializer=self.payloads,
            cluster=self.membership.services,
            transactions=self.transactions,
            pubsub=self.pubsub,
            tracking=self.tracking,
            node=self,
        )

    def apply(self, changed: frozenset[str]) -> None:
        """Put changed directives into force."""
        config = self.config
        clients = self.clients
        if "loglevel" in changed:
            logs.set_level(config.text("loglevel"))
        clients.max_clients = config.number("maxclients")
        clients.idle_seconds = config.number("timeout")
        clients.keepalive_seconds = config.number("tcp-keepalive")
        clients.traffic.query_buffer_limit = config.number("client-query-buffer-limit")
        if changed & {"proto-max-bulk-len", "maxmemory"}:
            clients.limit_words(config.number("proto-max-bulk-len"), config.number("maxmemory"))
        for limit in LIMITS:
            setattr(self.limits, limit, config.number(limit.replace("_", "-")))
        clients.output_limits = limits = output_limits(config.text("client-output-buffer-limit"))
        sizes = [size for limit in limits.values() for size in (limit.hard, limit.soft) if size]
        clients.smallest_output_limit = min(sizes, default=2**62)
        self.peers.limit = config.number("cluster-link-sendbuf-limit")
        self.tracking.max_keys = config.number("tracking-table-max-keys")
        if "notify-keyspace-events" in changed:
            self.pubsub.notify = event_classes(config.text("notify-keyspace-events"))
            self.effects.update()
        self.slow_log.slower_than = config.number("slowlog-log-slower-than")
        self.slow_log.resize(config.number("slowlog-max-len"))
        self.latency.threshold = config.number("latency-monitor-threshold")
        self.dispatcher.slower_than = self.noteworthy_ns()
        self.dispatcher.counts_durations = config.flag("latency-tracking")
        self.access.apply(changed)
        self.apply_memory(changed)
        numbers = list(map(int, config.text("save").split()))
        self.snapshots.rules = list(zip(numbers[::2], numbers[1::2], strict=True))
        self.append_only.apply(changed)
        self.replication.apply()
        self.gatehouse.debug = config.text("enable-debug-command")
        self.membership.routes.stale_reads = config.flag("cluster-allow-reads-when-down")
        self.apply_access()

    def apply_memory(self, changed: frozenset[str]) -> None:
        """Put into force what limits memory, and who goes when it is full."""
        config, evictor = self.config, self.evictor
        if "namespaces" in changed:
            self.namespaces = namespaces.declared(config.text("namespaces"))
            evictor.forget()
        if changed & {"namespaces", "maxmemory-policy"}:
            evictor.set_policy(config.text("maxmemory-policy"))
            namespaces.put_into_force(self.namespaces, evictor, self.databases)
        evictor.max_memory = config.number("maxmemory")
        evictor.samples = config.number("maxmemory-samples")
        for keyspace in self.databases:
            keyspace.largest = evictor.max_memory
            keyspace.lfu_log_factor = config.number("lfu-log-factor")
            keyspace.lfu_decay_minutes = config.number("lfu-decay-time")
        self.gatehouse.memory_limited = evictor.max_memory > 0 or any(item.max_memory for item in self.namespaces.items)
        self.gatehouse.most_evicted = most_evicted(config.number("maxmemory-eviction-tenacity"))

    def apply_access(self) -> None:
        """Put into force what depends on the users."""
        self.clients.only_local = self.config.flag("protected-mode") and not self.access.has_password
        self.gatehouse.password_needed = self.access.password_needed
        self.choose_gates()

    # Starting and stopping

    async def start(self) -> None:
        """Open the ports; raises `ConfigError` with a sentence that says what to do."""
        check_directory(Path(self.config.text("dir")))
        await self.membership.load()
        hosts = self.config.text("bind").split()
        backlog = self.config.number("tcp-backlog")
        sockets = open_sockets(hosts, self.port, backlog)
        self.port = sockets[0].getsockname()[1]
        self.admin_port = self.config.number("admin-port") or self.port + ADMIN_OFFSET
        if self.admin_port > 65535:
            raise ConfigError(f"admin-port: port + {ADMIN_OFFSET} is {self.admin_port}; choose one with --admin-port")
        admin_sockets = open_sockets(hosts, self.admin_port, backlog, option="--admin-port")
        self.lock_folder()
        if self.lease_keeper is not None:
            self.lease_keeper.start(await open_datagram_sockets(hosts, self.port))
        self.recovery.loading = self.recovery.needed
        if not self.recovery.loading:  # before the first client, whose REPLICAOF comes after that
            self.begin()
        self.choose_gates()
        for sock in sockets:
            self.listeners.append(await self.loop.create_server(self.clients.new_session, sock=sock))
        self.cron.start()
        self.loop_delay.start()
        await self.start_admin(admin_sockets)
        if self.recovery.loading:
            await self.recover()
        for sock in sockets:
            host = sock.getsockname()[0]
            log.info("Ready to accept connections on %s:%d", f"[{host}]" if ":" in host else host, self.port)

    def lock_folder(self) -> None:
        """Keep other processes out of `dir` as soon as files in it are this node's data; raises `ConfigError`."""
        keeps = self.append_only.wanted or self.snapshots.rules or self.cluster_enabled
        if keeps and self.lock is None:
            self.lock = lock(Path(self.config.text("dir")) / "ringkeeper.lock")

    async def recover(self) -> None:
        """Load what is on the disk; raises `ConfigError`."""
        await self.recovery.run()
        if self.recovery.stopped:
            return
        self.recovery.loading = False
        self.begin()
        self.choose_gates()

    def begin(self) -> None:
        """Be what the configuration says: all that was kept is here."""
        self.running = True
        self.replication.begin()

    async def start_admin(self, sockets: list[socket.socket]) -> None:
        """Its libraries are heavy: they are loaded in a thread, while the data port serves already."""
        admin = await asyncio.to_thread(importlib.import_module, "ringkeeper.server.admin")
        self.admin = await admin.start(self, sockets)
        self.membership.start_exchange()

    async def stop(self) -> None:
        """Take no more connections, hand out what was answered, close."""
        for listener in self.listeners:
            listener.close()
        self.cron.stop()
        # What is changed from now on would be answered and not be kept.
        self.clients.pause(self.clock.now_ms + FOR_GOOD_MS, writes_only=True)
        await self.append_only.stop()
        await self.replication.stop()
        self.loop_delay.stop()
        self.upkeep.stop()
        self.expiry.stop()
        self.peers.stop()
        await self.membership.stop()
        for session in self.clients.all():
            session.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.clients.emptied(), FAREWELL_SECONDS)
        for session in self.clients.all():
            session.transport.abort()
        if self.admin is not None:
            await self.admin.cleanup()
        if self.lease_keeper is not None:
            await self.lease_keeper.stop()
        if self.lock is not None:
            self.lock.close()

    # What commands reach

    @property
    def used_bytes(self) -> int:
        """What counts to `maxmemory`."""
        return self.evictor.used_bytes

    def room_for_a_value(self) -> int:
        """Bytes that a payload of RESTORE may grow to while it is read."""
        return self.config.number("maxmemory") or MOST_GROWN

    def info(self, sections: Sequence[str]) -> bytes:
        return info.render(self, sections)

    def save(self, client: Client) -> None:
        session: Any = client
        wait = Wait(session, self.dispatcher.commands[b"save"], [], Blocked((), type(None), 0, on_timeout=UNBLOCKED))

        def answer(error: str) -> None:
            if session.wait is wait:
                session.wait = None
                session.answer(ReplyError(f"ERR Cannot save: {error}") if error else OK)

        self.snapshots.start(answer)
        session.wait = wait

    def background_save(self, *, schedule: bool) -> bool:
        if schedule and self.snapshots.running is not None:
            self.snapshots.scheduled = True
            return False
        self.snapshots.start()
        return True

    def fork(self, work: Work, ended: Callable[[Child], None]) -> Child:
        """Have a child do some work; raises `OSError`."""
        child = Child(self.loop, work, ended)
        self.forks += 1
        self.latest_fork_us = child.fork_us
        self.latency.add("fork", self.clock.now_ms, child.fork_us * 1000)
        return child

    def rewrite_log(self) -> bool:
        return self.append_only.rewrite()

    def cancel_save(self) -> str:
        return self.snapshots.cancel()

    def last_save(self) -> int:
        return self.snapshots.saved_ms // 1000

    def persistence_error(self) -> str:
        """Why what is changed now would not be kept, although it is to be; empty while all is well."""
        snapshots = self.snapshots
        return self.append_only.error or (snapshots.error if snapshots.rules and not snapshots.succeeded else "")

    def shutdown(self, client: Client, *, save: bool | None, force: bool, now: bool) -> None:
        self.departure.ask(cast(Session, client), save=save, force=force, now=now)

    def abort_shutdown(self) -> bool:
        return self.departure.abort()

    def end(self, *, save: bool | None, force: bool) -> None:
        """Stop, after a snapshot if there are rules for such or if one is asked for.

        If that fails the node stays, unless forced to go: what it holds would be lost. `departure` is told then.
        """
        self.snapshots.abort()
        if self.recovery.loading:
            # What is there so far must not take the place of the whole.
            self.recovery.stopped = True
            self.stopped.set()
            return
        lacking = self.append_only.lacking
        if lacking and not force and self.replication.role != "replica":  # else its master has it all
            log.error("The append-only file lacks data, so this node does not stop: %s. SHUTDOWN FORCE stops it",
                      lacking)  # fmt: skip
            self.departure.failed()
            return
        if save is False or not (save or self.snapshots.rules):
            self.stopped.set()
            return
        self.departure.hold_writes()

        def saved(error: str) -> None:
            if not error or force:
                self.stopped.set()
                return
            log.error("The data could not be saved, so this node does not stop: %s. SHUTDOWN NOSAVE stops it", error)
            self.departure.failed()

        self.snapshots.last(saved)

    def role(self) -> list[Any]:
        """As ROLE shows it. A node without a role calls itself master of nothing, as a lone Redis does."""
        return self.replication.describe()

    def now_us(self) -> int:
        return int(self.time.at(time.monotonic_ns())) // 1000

    def look_at_clocks(self) -> None:
        """Follow the wall clock, and tell people if somebody has set it."""
        step = self.time.look(self.clocks())
        if step:
            log.warning(
                "The wall clock was set %s by %.1f s. This node's time follows it gradually: for %.1f s to come "
                "times to live run up to 10 %% too %s.",
                *("forward", step / 1e9) if step > 0 else ("back", -step / 1e9),
                abs(self.time.difference) / 1e8,
                "fast" if self.time.difference > 0 else "slow",
            )

    def sleep(self, seconds: float) -> None:
        """DEBUG SLEEP: stall the whole node, which is its purpose."""
        time.sleep(seconds)

    def set_active_expiry(self, on: bool) -> None:
        self.expiry.active = on

    def pause_rounds(self, on: bool) -> None:
        self.cron.paused = on

    def change_replication_id(self) -> None:
        self.replication.change_id()

    def log_for_debugging(self, text: str) -> None:
        log.warning("%s", text)

    def noteworthy_ns(self) -> int:
        """How long a command must take before SLOWLOG or LATENCY may want to know of it."""
        thresholds = [self.slow_log.slower_than * 1000, self.latency.threshold * 1_000_000 or -1]
        return min((each for each in thresholds if each >= 0), default=ENDLESS)

    def took_long(self, session: Session, command: Command, args: Arguments, nanoseconds: int) -> None:
        self.slow_log.add(session, command, args, nanoseconds // 1000)
        event = "fast-command" if "fast" in command.flags else "command"
        self.latency.add(event, self.clock.now_ms, nanoseconds)

    def durations(self) -> Iterable[tuple[str, Sequence[int]]]:
        return ((entry.command.name, counts) for entry in self.dispatcher.all() if (counts := entry.histogram()))

    def slow_commands(self) -> Sequence[SlowCommand]:
        return list(self.slow_log.entries)

    def forget_slow_commands(self) -> None:
        self.slow_log.entries.clear()

    def memory(self) -> Mapping[str, Any]:
        return Memory(self).statistics()

    def give_back_memory(self) -> None:
        give_back()

    def totals(self) -> dict[str, int]:
        """What `rates` follows."""
        traffic = self.clients.traffic
        return {"commands": self.dispatcher.processed, "input": traffic.bytes_in, "output": traffic.bytes_out}

    def reset_statistics(self) -> None:
        self.dispatcher.reset_statistics()
        self.slot_rates.reset(time.monotonic())
        clients = self.clients
        clients.connections_received = clients.rejected_connections = clients.output_limit_disconnections = 0
        clients.traffic.reset_statistics()
        self.expiry.spent_ns = self.expiry.timeouts = 0
        self.expiry.stale_fraction = 0.0
        for keyspace in self.databases:
            keyspace.reset_statistics()
        self.peak_bytes = self.used_bytes


def lock(path: Path) -> IO[str]:
    """A file that no other process has locked; raises `ConfigError`."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        other = file.read(20).strip() or "unknown"
        file.close()
        raise ConfigError(
            f"dir {path.parent.resolve()}: another node uses this folder, process {other}. Stop that, or name another "
            "folder with --dir"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def most_evicted(tenacity: int) -> int:
    """Keys that may be removed before a command, by `maxmemory-eviction-tenacity`: 50 for each of the first ten steps,
    an eighth more for each further one, and no limit at 100. With Redis these are 50 µs each."""
    if tenacity >= 100:
        return 2**62
    return max(1, 50 * tenacity) if tenacity <= 10 else int(500 * 1.15 ** (tenacity - 10))


def check_directory(path: Path) -> None:
    if not path.is_dir():
        raise ConfigError(f"dir {path}: there is no such directory; create it, or name another with --dir")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"dir {path.resolve()}: no write access; change its owner, or name another with --dir")


def open_sockets(
    addresses: list[str], port: int, backlog: int = 0, option: str = "--port", kind: int = socket.SOCK_STREAM
) -> list[socket.socket]:
    """A socket for each address of `bind`, all on one port; those of streams listen. Raises `ConfigError`.

    `*` and `::*` are all interfaces; a `-` before an address allows it to be missing.
    """
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for word in addresses:
            host = word.removeprefix("-")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                sock = open_socket(family, kind, {"*": "0.0.0.0", "::*": "::"}.get(host, host), port, backlog)
            except OSError as error:
                if word.startswith("-") and error.errno != errno.EADDRINUSE:
                    continue
                raise ConfigError(bind_failure(host, port, error, option, kind)) from None
            undo.callback(sock.close)
            sockets.append(sock)
            port = sock.getsockname()[1]
        undo.pop_all()
    if not sockets:
        raise ConfigError("bind: none of its addresses can be listened on; --bind 127.0.0.1 always can")
    return sockets


async def open_datagram_sockets(addresses: list[str], port: int) -> list[socket.socket]:
    """As `open_sockets`. The lease process of a node that was killed may hold them for some milliseconds more."""
    deadline = time.monotonic() + TAKEN_SECONDS
    while True:
        try:
            return open_sockets(addresses, port, kind=socket.SOCK_DGRAM)
        except ConfigError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.02)


def open_socket(family: socket.AddressFamily, kind: int, host: str, port: int, backlog: int) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def bind_failure(host: str, port: int, error: OSError, option: str, kind: int) -> str:
    if error.errno == errno.EADDRINUSE:
        what = "UDP port" if kind == socket.SOCK_DGRAM else "port"
        return f"{what} {port} is taken on {host}: stop what listens there, or choose another with {option}"
    if error.errno == errno.EACCES:
        return f"no permission to listen on port {port}: those below 1024 need privileges, choose another with {option}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"bind {host}: this machine has no such address; --bind 127.0.0.1 serves this machine only"
    return f"cannot listen on {host}:{port}: {error.strerror}; choose others with --bind and {option}"


def output_limits(text: str) -> dict[str, OutputLimits]:
    """`client-output-buffer-limit`, by class of client."""
    words = text.split()
    return {words[i]: OutputLimits(*map(int, words[i + 1 : i + 4])) for i in range(0, len(words), 4)}
