"""This node in replication: whose history it has, whom it follows, who follows it.

A node is master, replica, or unassigned: then it keeps what it has, to the byte, until it is told what it is. On a node
without a cluster REPLICAOF says so; in a cluster the topology does. Whatever it is, one stream of bytes goes into its
backlog: what its commands did, or what its master sent.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.replication.backlog import Backlog
from ringkeeper.replication.greeting import Step
from ringkeeper.replication.history import NO_ID, Claim, Ends, History, claim_of, objection, parting, with_end
from ringkeeper.replication.losses import Lost, lost_in
from ringkeeper.resp.values import OK, ReplyError, Simple
from ringkeeper.server import lease_layout
from ringkeeper.server.gates import Gatehouse
from ringkeeper.server.master_link import MasterLink
from ringkeeper.server.replicas import Replicas
from ringkeeper.server.waiting import DEMOTED

if TYPE_CHECKING:
    from ringkeeper.server.incoming import Incoming, Part
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

DIGITS = 40


@dataclass(frozen=True, slots=True)
class Master:
    """Whom to follow."""

    host: str
    port: int
    term: int = 0
    """In which it was appointed; 0 without a cluster."""
    id: str = ""
    """Its node id; empty without a cluster."""
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Replication:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.journal = node.effects.journal
        self.history = History(secrets.token_hex(DIGITS // 2))
        self.shift = -self.journal.offset
        """What the offset of the history is above the journal's."""
        self.term = 0
        """Of the last stream that was applied; of its own appointment when it is master."""
        self.origin = NOTHING
        """Where this node was when it was appointed master."""
        self.ends: Ends = ()
        """Where the terms before that of the last stream ended."""
        self.role = "unassigned"
        self.master: Master | None = None
        self.master_link: MasterLink | None = None
        self.backlog: Backlog | None = None
        self.untold = 0
        """Changes up to which there was nobody to tell, and the history counts none."""
        self.database = 0
        """That of the stream whose end was loaded."""
        self.running = False
        """The data that was on the disk is there."""
        self.bytes_in = 0
        self.replicas = Replicas(self)
        self.lost: Lost | None = None
        """What of this node's last term as master its successor does not have."""
        self.journal.feed = self.feed
        self.journal.schedule_feed = lambda: node.loop.call_soon(self.flush)

    # What others are told

    @property
    def id(self) -> str:
        return self.history.id

    @property
    def id2(self) -> str:
        return self.history.id2

    @property
    def offset(self) -> int:
        """Of the history: bytes told since it began."""
        return int(self.journal.offset) + self.shift

    @property
    def written(self) -> int:
        """The offset of the history behind the last change."""
        return int(self.journal.written) + self.shift

    @property
    def offset_on_disk(self) -> int:
        """What of the history the append-only file would have after a loss of power."""
        return self.node.append_only.state.durable + self.shift

    @property
    def position(self) -> Position:
        return Position(self.term, self.offset)

    @property
    def stream_term(self) -> int:
        return self.term

    @property
    def link(self) -> str:
        """`none`, `connecting`, `sync`, `connected` or `down`."""
        return self.master_link.state if self.master_link is not None else "none"

    @property
    def is_candidate(self) -> bool:
        """Whether the data here is somebody's whole, however old: not before the first full sync is complete."""
        return self.role != "replica" or self.position > NOTHING or self.link == "connected"

    @property
    def lag_bytes(self) -> int:
        """Of a replica: what of its master's stream has come and is not applied."""
        link = self.master_link
        return link.applier.waiting if link is not None and link.applier is not None else 0

    @property
    def lag_ms(self) -> int:
        """Of a replica: since when it may have missed something; 0 while it hears its master."""
        return self.master_link.silent_ms if self.master_link is not None else 0

    def state(self) -> dict[str, Any]:
        """As `/control/state` tells it."""
        return {
            "id": self.id,
            "offset": self.offset,
            "term": self.term,
            "link": self.link,
            "linkError": self.master_link.error if self.master_link is not None else "",
            "lagBytes": self.lag_bytes,
            "lagMs": self.lag_ms,
            "candidate": self.is_candidate,
            "lost": self.lost.encode() if self.lost is not None else None,
            "replicas": self.replicas.state(),
        }

    # What this node is

    def take_up(self, id_: str, offset: int, term: int) -> None:
        """The data was loaded from files that say where in which history it is."""
        self.history = History(id_)
        self.shift = offset - self.journal.offset
        self.term = term

    def begin(self) -> None:
        """The data is there. To be called once."""
        self.running = True
        self.untold = self.node.snapshots.dirty
        self.assume("unassigned")
        self.journal.database = self.database
        if self.node.cluster_enabled:
            self.follow_topology()
        elif words := self.node.config.text("replicaof").split():
            self.become_replica(words[0], int(words[1]), 0)
        else:
            self.become_master(0)
        if self.journal.filing:
            self.node.append_only.begin_part()

    def follow_topology(self) -> None:
        """Another topology is in force."""
        if not self.running:
            return
        membership = self.node.membership
        standing = membership.standing
        if standing.role == "master":
            self.become_master(standing.term)
            if any(node.shard == standing.shard for node in membership.peers()):
                self.keep_backlog()
            self.replicas.count_voters()
        elif standing.role == "replica" and (master := membership.master()) is not None:
            self.become_replica(master.address, master.port, standing.term, (master.id, master.run_id))
        else:
            self.unassign()
        self.note_position()

    def become_master(self, term: int) -> None:
        """Go on with the data that is here, in a history of a new id."""
        if self.role == "master" and self.term == term:
            return
        self.leave()
        self.origin = self.position
        self.ends = with_end(self.ends, self.origin)
        if self.offset or self.backlog is not None:
            self.history = self.history.branched(secrets.token_hex(DIGITS // 2), self.offset)
        self.term = term
        self.assume("master")
        self.journal.forget()
        self.journal.floor = self.journal.written = self.journal.offset
        self.journal.replicated(0)
        self.node.append_only.noted = 0.0

    def become_replica(self, host: str, port: int, term: int, run: tuple[str, str] = ("", "")) -> None:
        """Follow a master; the data that is here stays until the master's is. `run` is its node id and run id."""
        master = Master(host, port, term, *run)
        if self.role == "replica" and self.master == master:
            return
        self.keep_backlog()
        self.leave()
        self.master = master
        self.assume("replica")
        if not self.node.cluster_enabled:
            self.node.waiting.refuse(lambda _: DEMOTED)
        self.master_link = MasterLink(self, master)

    def unassign(self) -> None:
        """Keep what is here as it is, and feed nobody."""
        if self.role != "unassigned":
            self.leave()
            self.assume("unassigned")

    def leave(self) -> None:
        """End what the present role has begun."""
        if self.master_link is not None:
            self.master_link.close()
        self.master = self.master_link = None
        if self.journal.replicas_wait:
            for session in self.journal.held:
                session.fall_silent()  # whether the next master has what it did is not known
            self.replicas.need(0)
        self.replicas.waits.refuse()
        self.journal.give()
        self.replicas.drop_all("this node has another role now")

    def assume(self, role: str) -> None:
        if role != self.role and (self.backlog is not None or role == "replica"):
            log.info("This node is %s now; its history is %s, offset %d", role, self.id, self.offset)
        self.role = role
        self.journal.following = role != "master"
        for keyspace in self.node.databases:
            keyspace.hiding = role != "master"
        self.node.effects.update()
        self.node.choose_gates()

    def flush(self) -> None:
        """The loop has gone round: feed the replicas what was told meanwhile."""
        if self.journal.replicas_wait and self.journal.written > self.replicas.asked:
            self.replicas.ask()
        self.journal.give()

    # What people say, on a node without a cluster

    def follow(self, host: str, port: int) -> Any:
        """REPLICAOF."""
        if self.node.cluster_enabled:
            raise ReplyError("ERR REPLICAOF not allowed in cluster mode.")
        if self.master is not None and (self.master.host, self.master.port) == (host, port):
            return Simple(b"OK Already connected to specified master")
        log.info("REPLICAOF %s:%d", host, port)
        self.become_replica(host, port, 0)
        return OK

    def follow_nobody(self) -> Any:
        if self.node.cluster_enabled:
            raise ReplyError("ERR REPLICAOF not allowed in cluster mode.")
        if self.role != "master":
            self.become_master(0)
        return OK

    # The backlog

    def keep_backlog(self) -> Backlog:
        """Tell changes from now on, and keep the last of them."""
        if self.backlog is not None:
            return self.backlog
        if self.role == "master" and not self.journal.filing and self.node.snapshots.dirty != self.untold:
            self.history = History(secrets.token_hex(DIGITS // 2))
        self.backlog = Backlog(self.node.config.number("repl-backlog-size"), self.offset)
        self.journal.feeding = True
        self.node.effects.update()
        return self.backlog

    def feed(self, data: bytes | bytearray) -> None:
        """Whole commands, behind those before."""
        if self.backlog is None:
            return
        self.backlog.append(data)
        self.note_position()
        for feed in list(self.replicas.feeds.values()):
            feed.pump()
        self.backlog.trim(self.replicas.needed)

    # As a replica: asked and told by the link

    def own_history(self) -> tuple[str, int]:
        """The id and offset to go on from; no id if there is nothing to go on with."""
        return (self.id, self.offset) if self.offset else ("", 0)

    def steps(self, master: Master, part: Part | None) -> Iterable[Step]:
        """The greeting; `part` is the beginning of a snapshot that is here."""
        config = self.node.config
        token = self.node.peers.token
        if master.id and token is not None:
            me = (self.node.membership.id, self.node.run_id)
            words = [word.encode() for word in (*me, master.id, master.run_id, str(master.term))]
            yield Step([b"RINGKEEPER.FOLLOW", token, *words], "claim")
        else:
            yield Step([b"PING"], "ping", needed=False)
        if password := config.text("masterauth"):
            user = config.text("masteruser")
            words = [word.encode("utf-8", "surrogateescape") for word in ([user] if user else []) + [password]]
            yield Step([b"AUTH", *words], "auth")
        port = config.number("replica-announce-port") or self.node.port
        yield Step([b"REPLCONF", b"listening-port", b"%d" % port], "port", needed=False)
        if address := config.text("replica-announce-ip"):
            yield Step([b"REPLCONF", b"ip-address", address.encode()], "address", needed=False)
        yield Step([b"REPLCONF", b"capa", b"eof", b"capa", b"psync2", b"capa", b"rest"], "capa", needed=False)
        if part is not None:
            yield Step([b"REPLCONF", b"snapshot-part", b"%b:%d" % (part.mark, part.size)], "part", needed=False)

    def greeted(self, link: MasterLink, name: str, text: str) -> str:
        """A step of the greeting was answered; why the link must end, or nothing."""
        if name == "claim":
            link.claim = claim_of(text.removeprefix("+"))
            if link.claim is None:
                return f"it does not say which history it has: {text[:100]!r}"
        elif name == "ping" and text.startswith("-") and text[1:].split()[0] not in ("NOAUTH", "NOPERM", "ERR"):
            return f"it refuses: {text[1:]}"
        return ""

    def note_losses(self, link: MasterLink) -> None:
        """Before this node's data goes: say what its successor as master does not have of it."""
        claim: Claim | None = link.claim
        begin = parting(self.position, self.ends, claim) if claim is not None else None
        if begin is None or self.offset <= begin:
            return
        data = self.backlog.read_all(begin) if self.backlog is not None and self.backlog.holds(begin) else None
        self.lost = lost_in(data, self.term, self.offset - begin)
        log.warning("What this node did last in term %d is lost, since its successor did not have it: %s",
                    self.term, self.lost)  # fmt: skip

    def objection(self, link: MasterLink) -> str | None:
        """Why a full sync from this master must not be."""
        claim: Claim | None = link.claim
        if claim is None:
            return None
        return objection(self.position, sum(map(len, self.node.databases)), claim)

    def continued(self, link: MasterLink, id_: str) -> None:
        """The master goes on behind what is here."""
        if id_ and id_ != self.id:
            self.history = self.history.branched(id_, self.offset)
            self.replicas.drop_all("its history has a new id")
        self.term = link.master.term
        self.ends = link.claim.ends if link.claim is not None else ()
        self.node.append_only.noted = 0.0
        log.info("Partial sync with the master %s from offset %d", link.master, self.offset)

    def replace(self, link: MasterLink, incoming: Incoming) -> None:
        """Put the data of a master in the place of this node's."""
        node = self.node
        self.replicas.drop_all("this node has other data now")
        self.replicas.forget_snapshot()
        for keyspace, other in zip(node.databases, incoming.databases, strict=True):
            keyspace.take_over(other)
        node.apply_memory(frozenset(("namespaces", "maxmemory-policy")))
        node.effects.hand_on(None)
        self.journal.give()
        self.shift = incoming.offset - self.journal.offset
        self.history = History(incoming.id)
        self.term = link.master.term
        self.ends = link.claim.ends if link.claim is not None else ()
        self.journal.database = max(incoming.database, 0)
        self.backlog = Backlog(node.config.number("repl-backlog-size"), self.offset)
        node.append_only.begin_anew()
        log.info(
            "Full sync with the master %s is complete: %d keys, offset %d", link.master, incoming.keys, self.offset
        )

    def diverged(self, why: str) -> None:
        """What is here is not what the master has: begin anew."""
        log.error("The master's stream cannot be applied, so all data is fetched anew: %s", why)
        self.history = History(secrets.token_hex(DIGITS // 2), NO_ID)

    def change_id(self) -> None:
        """DEBUG CHANGE-REPL-ID."""
        self.history = History(secrets.token_hex(DIGITS // 2))

    def look_after(self, gatehouse: Gatehouse) -> None:
        """Say what of replication stands before commands."""
        gatehouse.replica = self.role == "replica"
        gatehouse.few_replicas = self.replicas.few
        fresh = self.node.config.flag("replica-serve-stale-data") or self.link == "connected"
        gatehouse.stale = self.role == "replica" and not fresh

    def describe(self) -> list[Any]:
        """As ROLE shows it."""
        master = self.master
        if master is None:
            replicas = [feed for feed in self.replicas.listed if feed.online]
            shown = [[*feed.address.rpartition(":")[::2], str(max(feed.acknowledged, 0))] for feed in replicas]
            return ["master", self.offset, shown]
        states = {"connecting": "connecting", "sync": "sync", "connected": "connected"}
        state = states.get(self.link, "connect")
        return ["slave", master.host, master.port, state, self.offset if self.offset else -1]

    def link_changed(self) -> None:
        self.node.choose_gates()
        self.note_position()

    def note_position(self) -> None:
        """Let the lease process know what the data here is."""
        lease = self.node.clients.traffic.lease
        lease.note_candidate(self.is_candidate)
        lease.note_position(self.term, self.offset)

    @property
    def promised(self) -> int:
        """The term before which no stream is followed any more."""
        return int(self.node.clients.traffic.lease.words[lease_layout.PROMISED_TERM])

    def pledge(self, term: int) -> None:
        """This voter is about to promise a term: apply nothing more of any before it."""
        link = self.master_link
        if link is not None and link.master.term < term:
            link.pledged = term
            link.drop(f"term {term} is promised")
        self.note_position()

    def may_acknowledge(self) -> bool:
        """Whether the master may be told how far its stream is applied: not if a later term was promised."""
        return self.node.clients.traffic.lease.may_acknowledge(self.term, self.offset)

    # Now and then

    def round(self) -> None:
        """To be called by the node's rounds."""
        self.note_position()
        self.replicas.round()
        if self.backlog is not None and not self.replicas.feeds:
            self.let_backlog_go(time.monotonic())

    def let_backlog_go(self, now: float) -> None:
        """Without replicas for long it is not worth its memory. Changes are told no more, so the history ends."""
        ttl = self.node.config.number("repl-backlog-ttl")
        if self.role == "master" and not self.node.cluster_enabled and ttl and now - self.replicas.alone_since > ttl:
            self.journal.give()
            self.backlog = None
            self.journal.feeding = False
            self.history = History(secrets.token_hex(DIGITS // 2))
            self.untold = self.node.snapshots.dirty
            self.node.effects.update()

    def apply(self) -> None:
        """The configuration has changed."""
        if self.backlog is not None:
            self.backlog.resize(self.node.config.number("repl-backlog-size"))

    async def stop(self) -> None:
        self.journal.give()
        if self.master_link is not None:
            self.master_link.close()
        self.replicas.stop()
