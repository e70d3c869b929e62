"""The loop of the lease process: datagrams, ticks and the node's words in; datagrams and words of memory out."""

from __future__ import annotations

import _socket
import ctypes
import json
import mmap
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from ringkeeper.cluster.lease import OPERATOR, NodeLease, Pledge, Sent, VoterState
from ringkeeper.cluster.messages import (
    AskPromise,
    AskRelease,
    Grant,
    Hello,
    Message,
    MessageError,
    Refusal,
    decode,
    encode,
)
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.seal import Sealer
from ringkeeper.cluster.topology import HEARTBEAT_MS
from ringkeeper.cluster.topology import decode as decode_topology
from ringkeeper.server import lease_layout as layout
from ringkeeper.server import voter_file

PR_SET_PDEATHSIG: Final = 1
LONGEST_PACKET = 128 * 1024
LONGEST_DATAGRAM = 2048
AT_ONCE = 64
"""Datagrams of one socket between two looks at everything else: a flood must not hold up the heartbeats."""
TRIES = 1000
"""To read a position while the node writes it: that takes a microsecond, unless the node is stopped just then."""
MOST_WAITED = 1000
"""Milliseconds: the node wants to see that this process goes round."""
EAGER = 10
"""How much more often a master asks its voters that has no lease, since they may have heard later of its appointment,
or whose command loop stands still: what it is granted ends soon, and must be renewed as soon as the loop goes on."""
OPERATOR_BEATS = 10
"""Heartbeats' time after the operator's last word during which it is worth a datagram."""

Address = tuple[Any, ...]
FromOperator = Hello | Grant | AskPromise | AskRelease


def boot_clock() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def die_with(parent: int) -> None:
    """Be killed when the thread that started this process ends; the end of the socket comes on top of that."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the node, which may take its time
        signal.signal(number, signal.SIG_IGN)


class Memory:
    """The shared words."""

    def __init__(self, descriptor: int) -> None:
        self.words = memoryview(mmap.mmap(descriptor, layout.SIZE)).cast("q")

    def count(self, word: int) -> None:
        self.words[word] += 1

    def position(self) -> Position | None:
        """None if the node is stopped in the middle of writing it."""
        words = self.words
        for _ in range(TRIES):
            changes = words[layout.POSITION_CHANGES]
            position = Position(words[layout.STREAM_TERM], words[layout.OFFSET])
            if changes % 2 == 0 and changes == words[layout.POSITION_CHANGES]:
                return position
        return None

    def set_lease(self, term: int, until: int) -> None:
        """The deadline of one term is never seen with another: the node reads the term first."""
        words = self.words
        if words[layout.LEASE_TERM] != term:
            words[layout.DEADLINE] = 0
            words[layout.LEASE_TERM] = term
        words[layout.DEADLINE] = until


class LeaseLoop:
    """One a process."""

    def __init__(self, control: _socket.socket, memory: Memory, sockets: list[_socket.socket]) -> None:
        self.control = control
        self.memory = memory
        self.sockets = sockets
        self.poller = select.poll()
        self.handlers: dict[int, Callable[[], None]] = {control.fileno(): self.read_control}
        for each in sockets:
            each.setblocking(False)
            self.handlers[each.fileno()] = lambda each=each: self.read_datagrams(each)  # type: ignore[misc]
        for descriptor in self.handlers:
            self.poller.register(descriptor, select.POLLIN)
        self.folder = ""
        self.sealer = Sealer(b"")
        self.rules: NodeLease = NodeLease("", "")
        self.heartbeat_ns = HEARTBEAT_MS * 1_000_000
        self.tick_at = boot_clock()
        self.addresses: dict[str, Address] = {}
        """Of the shard's nodes, by id."""
        self.operator: tuple[_socket.socket, Address] | None = None
        """From where the last `Hello` came, and by which socket."""
        self.inherited: int | None = None
        """The deadline that the process before this one counted. It holds until another topology changes the rules."""
        self.released_to = ""
        """The run that the node has released its term to, if it has."""
        self.pledge: Pledge | None = None
        """That the node has not confirmed yet."""
        self.on_disk: VoterState | None = None
        self.warned: set[str] = set()

    def run(self) -> None:
        self.begin(json.loads(self.control.recv(LONGEST_PACKET)))
        while True:
            wait = max(0, self.tick_at - boot_clock()) // 1_000_000 + 1
            for descriptor, _ in self.poller.poll(min(wait, MOST_WAITED)):
                self.handlers[descriptor]()
            if boot_clock() >= self.tick_at:
                self.tick()
            self.memory.words[layout.BEAT] = time.monotonic_ns()

    # The node

    def begin(self, message: dict[str, Any]) -> None:
        """The first packet: who this is, and what it may know."""
        die_with(message["parent"])
        self.folder = message["folder"]
        self.sealer = Sealer(bytes.fromhex(message["token"]))
        run_id, restarted, words = message["runId"], message["restarted"], self.memory.words
        state = self.kept()
        if restarted:
            state = self.remembered(run_id, state)
        self.rules = NodeLease(message["id"], run_id, state=state, restarted_at=boot_clock() if restarted else None)
        words[layout.PROMISED_TERM] = self.rules.voter.bound
        self.inherited = words[layout.DEADLINE] if restarted else None
        self.say({"kind": "ready", "pid": os.getpid()})

    def kept(self) -> VoterState | None:
        try:
            state = voter_file.read(self.folder)
            if state is None:
                return None
            self.on_disk = VoterState(str(state["runId"]), int(state["promised"]), int(state["leader"]))
            return self.on_disk
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.log("ERROR", f"{self.folder}/{voter_file.NAME} cannot be read ({error}): what it says is unknown now")
            return None

    def remembered(self, run_id: str, kept: VoterState | None) -> VoterState:
        """What the process before this one had promised: it stands in memory before it is promised."""
        words = self.memory.words
        promised = kept.promised if kept is not None and kept.run_id == run_id else 0
        leader = kept.leader if kept is not None else 0
        return VoterState(
            run_id, max(promised, words[layout.PROMISED_TERM]), max(leader, words[layout.OPERATOR_NUMBER])
        )

    def read_control(self) -> None:
        try:
            packet = self.control.recv(LONGEST_PACKET)
        except OSError:
            packet = b""
        if not packet:
            os._exit(0)
        message = json.loads(packet)
        if message["kind"] == "follow":
            self.follow(message["topology"])
        elif message["kind"] == "pledged":
            self.pledged(message["term"])
        elif message["kind"] == "released":
            self.released(message["to"])
        elif message["kind"] == "leaving":
            self.tell_operator()

    def follow(self, document: dict[str, Any]) -> None:
        topology = decode_topology(document)
        words = self.memory.words
        if self.inherited is not None and words[layout.EPOCH] != topology.epoch:
            self.inherited = None
        self.addresses = {node.id: (node.address, node.port) for node in topology.nodes}
        self.heartbeat_ns = topology.heartbeat_ms * 1_000_000
        self.look_at_node()
        now = boot_clock()
        sent = self.rules.follow(topology, now)
        self.write_lease()
        words[layout.EPOCH] = topology.epoch
        self.tick_at = now + self.heartbeat_ns // EAGER
        self.say({"kind": "following", "epoch": topology.epoch})
        self.send(sent)

    def released(self, to: str) -> None:
        """The node has given up its term, as memory says: tell the operator at once."""
        self.released_to = to
        self.tell_operator()

    def tell_operator(self) -> None:
        """At once what memory says now."""
        self.look_at_node()
        self.write_lease()
        self.send([(OPERATOR, self.rules.heartbeat(boot_clock()))])

    def say(self, message: dict[str, Any]) -> None:
        """To the node, which may be stopped: what does not fit is not said."""
        try:
            self.control.send(json.dumps(message).encode(), _socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            os._exit(0)

    def log(self, level: str, text: str) -> None:
        self.say({"kind": "log", "level": level, "text": text})

    def look_at_node(self) -> None:
        """Hand the rules what the node says of itself in memory."""
        words = self.memory.words
        position = self.memory.position()
        progress_age = time.monotonic_ns() - words[layout.PROGRESS]
        shard = self.rules.shard
        self.rules.node_says(
            self.rules.position if position is None else position,
            candidate=position is not None and bool(words[layout.CANDIDATE]),
            progress_at=boot_clock() - progress_age,
            released=self.released_to if shard is not None and words[layout.RELEASED_TERM] == shard.term else "",
            leaving=bool(words[layout.LEAVING]),
        )

    def write_lease(self) -> None:
        lease, until = self.rules.lease, self.rules.until()
        if lease is None:
            self.memory.set_lease(0, 0)
            return
        if self.inherited is not None and not self.rules.released:
            until = max(until, self.inherited)
        self.memory.set_lease(lease.term, until)

    # Datagrams

    def tick(self) -> None:
        now = boot_clock()
        self.look_at_node()
        self.write_lease()
        interval = self.heartbeat_ns
        stands_still = now - self.rules.progress_at > interval
        if self.rules.lease is not None and (stands_still or self.rules.until() <= now):
            interval //= EAGER
        self.tick_at = max(self.tick_at + interval, now + interval // 2)
        self.send(self.rules.tick(now))

    def read_datagrams(self, source: _socket.socket) -> None:
        words = self.memory.words
        for _ in range(AT_ONCE):
            try:
                datagram, address = source.recvfrom(LONGEST_DATAGRAM)
            except OSError:  # nothing more; or what came back of a datagram that nobody took
                return
            words[layout.RECEIVED] += 1
            data = self.sealer.open(datagram)
            if data is None:
                words[layout.FORGED] += 1
                continue
            try:
                message = decode(data)
            except MessageError as error:
                words[layout.MALFORMED] += 1
                self.warn(f"A datagram from {address[0]} has the token and is no message: {error}")
                continue
            self.take(message, source, address)

    def take(self, message: Message, source: _socket.socket, address: Address) -> None:
        self.look_at_node()
        if isinstance(message, FromOperator) and message.leader:
            self.hear_operator(message, source, address)
        if isinstance(message, AskRelease) and self.rules.obeys(message):
            self.say({"kind": "release", "term": message.term, "target": message.target})
        effects = self.rules.on(message, boot_clock())
        if isinstance(message, Grant):
            self.memory.count(layout.GRANTS)
            self.granted()
        if isinstance(effects, Pledge):
            self.keep(effects)
        else:
            self.send(effects)

    def granted(self) -> None:
        """Another grant counts. A node that waits for its first one is told, since it looks now and then only."""
        words = self.memory.words
        before = words[layout.DEADLINE]
        self.write_lease()
        if before <= boot_clock() < words[layout.DEADLINE]:
            self.say({"kind": "granted"})

    def hear_operator(
        self, message: Hello | Grant | AskPromise | AskRelease, source: _socket.socket, address: Address
    ) -> None:
        if message.leader < self.rules.voter.leader:
            return
        words = self.memory.words
        words[layout.OPERATOR_NUMBER] = message.leader
        words[layout.OPERATOR_HEARD] = time.monotonic_ns()
        if isinstance(message, Hello):
            self.operator = source, address

    def send(self, sent: list[Sent]) -> None:
        for destination, message in sent:
            if destination != OPERATOR:
                address = self.addresses.get(destination)
                if address is not None:
                    self.send_by(self.socket_to(address), address, message)
            elif self.operator is not None and self.operator_is_near():
                self.send_by(*self.operator, message)

    def operator_is_near(self) -> bool:
        silent = time.monotonic_ns() - self.memory.words[layout.OPERATOR_HEARD]
        return silent < OPERATOR_BEATS * self.heartbeat_ns

    def send_by(self, by: _socket.socket, address: Address, message: Message) -> None:
        try:
            by.sendto(self.sealer.seal(encode(message)), address)
            self.memory.count(layout.SENT)
        except (OSError, MessageError) as error:
            self.memory.count(layout.UNSENT)
            if not isinstance(error, BlockingIOError):
                self.warn(f"Cannot send to {address[0]}:{address[1]}: {error}")

    def socket_to(self, address: Address) -> _socket.socket:
        """The one of `bind` that can reach it: of its family, and of this machine as it is, or not."""
        family = _socket.AF_INET6 if ":" in address[0] else _socket.AF_INET
        fitting = [each for each in self.sockets if each.family == family] or self.sockets
        for each in fitting:
            own = each.getsockname()[0]
            if own in ("0.0.0.0", "::") or is_loopback(own) == is_loopback(address[0]):
                return each
        return fitting[0]

    def warn(self, text: str) -> None:
        """Once for each text: a fault that lasts would fill the log."""
        if text not in self.warned and len(self.warned) < 100:
            self.warned.add(text)
            self.log("WARNING", text)

    # Promises

    def keep(self, pledge: Pledge) -> None:
        """Have a promise on the disk, then ask the node to stop the streams of older terms."""
        state, ask = pledge.state, pledge.ask
        self.memory.words[layout.PROMISED_TERM] = state.promised
        if state != self.on_disk:
            try:
                self.write(state)
            except OSError as error:
                self.memory.count(layout.KEEPING_FAILED)
                self.warn(f"No promise of term {state.promised}: cannot write {self.folder}/{voter_file.NAME}: "
                          f"{error.strerror}")  # fmt: skip
                self.send([(OPERATOR, Refusal(ask.shard, ask.term, self.rules.id, self.rules.run_id, ask.leader,
                                              "disk"))])  # fmt: skip
                return
            self.log("INFO", f"Promised term {state.promised} of shard {ask.shard} to leader {state.leader}")
        self.pledge = pledge
        self.say({"kind": "pledge", "term": state.promised})

    def write(self, state: VoterState) -> None:
        document = {"runId": state.run_id, "promised": state.promised, "leader": state.leader}
        voter_file.write(self.folder, document)
        self.on_disk = state

    def pledged(self, term: int) -> None:
        """The node has stopped them, and its position stands in memory."""
        pledge, self.pledge = self.pledge, None
        if pledge is None or pledge.state.promised != term:
            return
        position = self.memory.position()
        if position is not None:
            candidate = bool(self.memory.words[layout.CANDIDATE])
            self.send(self.rules.pledged(pledge, position, candidate=candidate, now=boot_clock()))


def is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def main(descriptors: list[int]) -> None:
    control, memory, *sockets = descriptors
    opened = [_socket.socket(fileno=descriptor) for descriptor in sockets]
    LeaseLoop(_socket.socket(fileno=control), Memory(memory), opened).run()
