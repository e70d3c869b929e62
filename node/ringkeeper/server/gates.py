"""What may stand between a command and its function, in the order in which it is asked.

    (arity) -> debug -> auth -> permission -> loading -> slot -> lease -> disk -> replica -> memory

A command's arity is checked first, by the dispatcher itself: it holds on every node, and the gates rely on it. A gate
sees the session, the command and its words, and returns the error that ends the command, or None. Before what nodes say
to each other stands a single other gate: only they may. `Gatehouse` knows
which of them a command needs on this node as it is configured now; the others cost nothing, because they are not
there: a node that runs alone has no slot gate, and a command without keys has none anywhere. Authentication and the
users' rules are asked of restricted sessions alone: to the others every command is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import cython

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.evictor import Evictor

if not cython.compiled:
    from ringkeeper.server.slot_counts import SlotCounts
    from ringkeeper.store.slot import key_slot
else:
    from cython.cimports.ringkeeper.server.slot_counts import SlotCounts  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]

if TYPE_CHECKING:
    from ringkeeper.server.dispatch import Gate, Gates
    from ringkeeper.server.session import Session
    from ringkeeper.store.keyspace import Change

NO_AUTH = ReplyError("NOAUTH Authentication required.")
OUT_OF_MEMORY = ReplyError("OOM command not allowed when used memory > 'maxmemory'.")
NAMESPACE_FULL = ReplyError("OOM command not allowed: its namespace is above its maxMemory and evicts nothing.")
CROSS_SLOT = ReplyError("CROSSSLOT Keys in request don't hash to the same slot")
CLUSTER_DOWN = ReplyError("CLUSTERDOWN The cluster is down")
READ_ONLY = ReplyError("READONLY You can't write against a read only replica.")
STALE = ReplyError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
NO_REPLICAS = ReplyError("NOREPLICAS Not enough good replicas to write.")
LOADING = ReplyError("LOADING Redis is loading the dataset in memory")
PEERS_ONLY = ReplyError("NOPERM this command is for the other nodes of the cluster")
OF_REPLICAS = frozenset(("psync", "replconf"))
"""What a replica says."""
DEBUG_REFUSED = ReplyError(
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    "connection, otherwise you need to set this option in the configuration file, and then restart the server."
)


class Routes(Protocol):
    """Who answers for a slot, as far as this node knows."""

    served: bytes
    """A byte for each slot: 1 where this node answers."""

    def refusal(self, command: Command) -> ReplyError | None:
        """Why this node answers for no data at all: no topology gives this process a role, or its lease has run out."""

    def redirect(self, slot: int, session: Session, command: Command) -> ReplyError | None:
        """For a slot that is not served here: where to go, or why nowhere. None lets a replica answer a read."""


def auth(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return None if session.authenticated else NO_AUTH


def peers_only(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return PEERS_ONLY if session.peer is None else None


def but_for_peers(gate: Gate) -> Gate:
    """A gate that lets the other nodes of the cluster pass."""

    def others(session: Session, command: Command, args: Arguments) -> ReplyError | None:
        return None if session.peer is not None else gate(session, command, args)

    return others


def loading(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return LOADING


def read_only(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return READ_ONLY


def stale(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return STALE


def no_replicas(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
    return NO_REPLICAS


class Gatehouse:
    """Chooses gates. Its attributes are set from the configuration; `Dispatcher.choose_gates` puts them into force."""

    def __init__(self, evictor: Evictor, permission: Gate, counts: SlotCounts) -> None:
        self.evictor = evictor
        self.counts = counts
        self.permission = permission
        """What the user of a session may do: `AccessControl.permission`."""
        self.password_needed = False
        self.memory_limited = False
        """Whether there is a `maxmemory`, or a namespace with a budget."""
        self.most_evicted = 1
        """Keys that may be removed before a command."""
        self.changes: list[Change] = []
        self.tell: Callable[[Session | None], None] = lambda _: None
        """`Effects.changes` and `Effects.tell`: who listens hears of evictions before the command runs."""
        self.debug = "no"
        """`no`, `local` or `yes`: who may use DEBUG."""
        self.loading = False
        """Whether the data is not all there yet."""
        self.disk_error = ""
        """Why changes are refused: they could not be kept."""
        self.replica = False
        """This node follows a master: what changes data is refused."""
        self.stale = False
        """It may have missed something, and must not show what it has."""
        self.few_replicas = False
        """Fewer replicas than a change needs have lately acknowledged."""
        self.routes: Routes | None = None
        """None on a node that runs alone."""

    def choose(self, command: Command) -> tuple[Gates, Gates]:
        """The gates for a session to which every command is open, and those for any other."""
        if command.internal:
            only: Gates = () if "no_auth" in command.flags else (peers_only,)
            return only, only
        first: list[Gate] = []
        if command.name.partition("|")[0] == "debug" and self.debug != "yes":
            first.append(self.debugging)
        rights: list[Gate] = []
        if "no_auth" not in command.flags:
            rights = [auth, self.permission] if self.password_needed else [self.permission]
        if command.name in OF_REPLICAS:
            rights = [but_for_peers(gate) for gate in rights]
        last = self.choose_last(command)
        return (*first, *last), (*first, *rights, *last)

    def choose_last(self, command: Command) -> list[Gate]:
        """Those that ask about the node rather than the session."""
        gates: list[Gate] = []
        if self.loading and "loading" not in command.flags:
            return [loading]
        if self.routes is not None:
            if command.keys == (1, 1, 1) and len(command.key_specs) == 1:
                gates.append(one_key_gate(self.routes, self.counts))
            elif command.key_specs or command.find_keys:
                gates.append(slot_gate(self.routes, self.counts))
            elif command.write or "readonly" in command.flags:
                gates.append(lease_gate(self.routes))
            elif command.name == "exec":
                gates.append(transaction_gate(self.routes))
        if self.disk_error and command.write:
            gates.append(disk_gate(ReplyError(f"MISCONF {self.disk_error}")))
        if self.few_replicas and command.write:
            gates.append(no_replicas)
        if self.replica and command.write:
            gates.append(read_only)
        if self.stale and "stale" not in command.flags:
            gates.append(stale)
        if self.replica:
            return gates
        if self.memory_limited and command.denyoom:
            gates.append(self.memory)
        elif self.memory_limited and command.name == "exec":
            gates.append(self.memory_of_transaction)
        return gates

    def debugging(self, session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG002
        return None if self.debug == "local" and session.is_local else DEBUG_REFUSED

    def memory(self, session: Session, command: Command, args: Arguments) -> ReplyError | None:
        """Makes room if need be: some for each command, the rest in the background. Nothing goes amid a transaction."""
        if session.executing:
            return None
        done = self.evictor.make_room(self.most_evicted)
        if self.changes:
            self.tell(None)
        if not done:
            return OUT_OF_MEMORY
        if self.evictor.any_stuck:
            namespaces = session.context.keyspace.namespaces
            for position in command.key_positions(args):
                if self.evictor.is_full(namespaces.match(args[position])):
                    return NAMESPACE_FULL
        return None

    def memory_of_transaction(self, session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG002
        """Before EXEC: room for each queued command that may need it, or none of them runs."""
        if session.transaction is not None:
            for each, words in session.transaction.growing:
                if refusal := self.memory(session, each, words):
                    return refusal
        return None


def one_key_gate(routes: Routes, counts: SlotCounts) -> Gate:
    """The slot gate of the many commands whose only key is their first argument. Counts those that pass."""

    def one_key(session: Session, command: Command, args: Arguments) -> ReplyError | None:
        slot: cython.int = key_slot(args[1])
        served: bytes = routes.served
        if not served[slot] and (refusal := routes.redirect(slot, session, command)) is not None:
            return refusal
        counts.places[slot] += counts.step
        return None

    return one_key


def slot_gate(routes: Routes, counts: SlotCounts) -> Gate:
    """All keys in one slot, and that slot served here. Counts commands that pass, once each."""

    def slots(session: Session, command: Command, args: Arguments) -> ReplyError | None:
        positions = command.key_positions(args)
        if not positions:
            return None
        slot: cython.int = key_slot(args[positions[0]])
        served: bytes = routes.served
        for position in positions:
            if key_slot(args[position]) != slot:
                return CROSS_SLOT
        if not served[slot] and (refusal := routes.redirect(slot, session, command)) is not None:
            return refusal
        counts.places[slot] += counts.step
        return None

    return slots


def lease_gate(routes: Routes) -> Gate:
    """Data commands without keys (KEYS, FLUSHALL, …) need a node that has a role, and a lease if it is a master's."""

    def lease(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
        return routes.refusal(command)

    return lease


def transaction_gate(routes: Routes) -> Gate:
    """Before EXEC: what was queued may all run here, or none of it does."""

    def transaction(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
        queued = session.transaction
        if queued is None or queued.aborted or queued.judged is None:
            return None
        if queued.slot is not None and not routes.served[queued.slot]:
            return routes.redirect(queued.slot, session, queued.judged)
        return routes.refusal(queued.judged)

    return transaction


def disk_gate(refusal: ReplyError) -> Gate:
    """Before commands that change data, while that could not be kept."""

    def disk(session: Session, command: Command, args: Arguments) -> ReplyError | None:  # noqa: ARG001
        return refusal

    return disk
