"""The replicas of this node: they introduce themselves (REPLCONF), ask for the stream (PSYNC), and acknowledge it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.replication.greeting import part_of
from ringkeeper.replication.history import Claim
from ringkeeper.resp.values import OK, Raw, ReplyError, Simple
from ringkeeper.server.full_sync import Snapshot
from ringkeeper.server.replica_feed import Feed
from ringkeeper.server.replica_waits import ReplicaWaits
from ringkeeper.server.session import Session

if TYPE_CHECKING:
    from ringkeeper.commands.context import Client
    from ringkeeper.server.replication import Replication

log = logging.getLogger(__name__)

NO_REPLY = Raw(b"")
NOT_ASSIGNED = ReplyError("NOMASTERLINK Can't SYNC while this node has no role in its cluster")
NO_LINK = ReplyError("NOMASTERLINK Can't SYNC while not connected with my master")


class Replicas:
    """One a node."""

    def __init__(self, replication: Replication) -> None:
        self.replication = replication
        self.node = replication.node
        self.journal = replication.journal
        self.feeds: dict[Session, Feed] = {}
        """Also of those that have sent REPLCONF alone."""
        self.snapshot: Snapshot | None = None
        """The last one that was made for them."""
        self.waits = ReplicaWaits(self)
        self.min_acks = 0
        """Voters that must have acknowledged a change before its reply leaves."""
        self.voters: frozenset[tuple[str, str]] = frozenset()
        """Node ids and run ids."""
        self.asked = 0
        """The journal's offset behind the last question to them."""
        self.said = time.monotonic()
        """When they were last told that this master lives."""
        self.alone_since = time.monotonic()
        """Since when there have been none."""
        self.few = False
        """Fewer than a change needs have lately acknowledged something."""
        self.resumed_full_syncs = 0
        """Of the full ones, those that went on with a snapshot of which the replica had a part."""
        self.full_syncs = self.partial_syncs = self.refused_partial_syncs = 0
        self.bytes_out = 0

    @property
    def listed(self) -> list[Feed]:
        """Those that have sent PSYNC."""
        return [feed for feed in self.feeds.values() if feed.state not in ("greeting", "gone")]

    @property
    def needed(self) -> int:
        """The offset from which on somebody has still to be sent the stream."""
        offset = min((feed.position for feed in self.listed), default=self.replication.offset)
        awaited = self.snapshot is not None and self.snapshot.is_awaited
        return min(offset, self.snapshot.offset) if self.snapshot is not None and awaited else offset

    # Their connections

    def feed_of(self, client: Client) -> Feed:
        session = cast(Session, client)
        feed = self.feeds.get(session)
        if feed is None:
            feed = self.feeds[session] = Feed(self, session)
        return feed

    def welcome(self, client: Client, token: bytes, replica: tuple[str, str], master: tuple[str, str, int]) -> str:
        """RINGKEEPER.FOLLOW: a node of the cluster is about to send PSYNC."""
        session, replication = cast(Session, client), self.replication
        self.node.peers.check(session, token, replica[0])
        me = (self.node.membership.id, self.node.run_id, replication.term if replication.role == "master" else 0)
        if master != me:
            raise ReplyError(
                f"NOMASTERLINK this node is not the master {master[0]} of run {master[1]} and term {master[2]}"
            )
        session.become_peer(replica[0])
        feed = self.feed_of(client)
        feed.id, feed.run_id = replica
        before = tuple(end for end in replication.ends if end != replication.origin)
        return Claim(replication.term, replication.offset, replication.origin, before).encode()

    def configure(self, client: Client, options: Sequence[tuple[bytes, bytes]]) -> Any:
        """REPLCONF; raises `ReplyError`."""
        feed = self.feed_of(client)
        for name, value in options:
            match name.lower():
                case b"listening-port":
                    if not value.isdigit() or len(value) > 5 or int(value) > 65535:
                        raise ReplyError("ERR value is not an integer or out of range")
                    feed.port = int(value)
                case b"ip-address":
                    feed.host = value[:256].decode("utf-8", "replace")
                case b"capa":
                    feed.takes_mark |= value.lower() == b"eof"
                    feed.takes_rest |= value.lower() == b"rest"
                    feed.knows_ids |= value.lower() == b"psync2"
                case b"snapshot-part":
                    feed.part = part_of(value) or feed.part
                case b"ack":
                    self.acknowledged(feed, options)
                    return NO_REPLY
                case b"getack":
                    return NO_REPLY
                case b"version":
                    pass
                case _:
                    raise ReplyError(f"ERR Unrecognized REPLCONF option: {name[:50].decode('utf-8', 'replace')}")
        return OK

    def farewell(self, session: Session) -> None:
        """The session of a replica is gone."""
        feed = self.feeds.pop(session, None)
        if feed is not None:
            if feed.state not in ("greeting", "gone"):
                log.info("The connection of replica %s has ended", feed.address)
            feed.end()
            self.look()

    def drop(self, feed: Feed, why: str) -> None:
        """End a replica's connection."""
        if feed.state not in ("greeting", "gone"):
            log.warning("Closing the connection of replica %s: %s", feed.address, why)
        self.feeds.pop(feed.session, None)
        feed.end()
        feed.session.transport.abort()

    def drop_all(self, why: str) -> None:
        for feed in list(self.feeds.values()):
            self.drop(feed, why)

    # Synchronising

    def synchronise(self, client: Client, id_: str, wanted: int) -> Any:
        """PSYNC: the replica has all before the byte `wanted`, counted from 1, of the history of that id."""
        replication = self.replication
        if replication.role == "unassigned":
            raise NOT_ASSIGNED
        if replication.role == "replica" and replication.link != "connected":
            raise NO_LINK
        feed = self.feed_of(client)
        if feed.state != "greeting":
            raise ReplyError("ERR this connection is a replica's already")
        backlog = replication.keep_backlog()
        self.journal.give()
        feed.session.replica = feed
        if replication.history.includes(id_, wanted - 1) and backlog.holds(wanted - 1):
            self.journal.forget_database()
            feed.position = wanted - 1
            self.partial_syncs += 1
            log.info("Replica %s goes on from offset %d", feed.address, wanted - 1)
            feed.begin(None)
            return Simple(b"CONTINUE %b" % replication.id.encode() if feed.knows_ids else b"CONTINUE")
        if id_ != "?":
            self.refused_partial_syncs += 1
        return self.synchronise_fully(feed)

    def synchronise_fully(self, feed: Feed) -> Any:
        try:
            snapshot = self.current_snapshot()
        except OSError as error:
            del self.feeds[feed.session]
            feed.session.replica = None
            raise ReplyError(f"ERR Can't take a snapshot for the replica: {error.strerror}") from None
        feed.position = snapshot.offset
        self.full_syncs += 1
        log.info("Replica %s gets a snapshot of offset %d", feed.address, snapshot.offset)
        feed.begin(snapshot)
        return Simple(b"FULLRESYNC %b %d" % (self.replication.id.encode(), snapshot.offset))

    def current_snapshot(self) -> Snapshot:
        """One from which the backlog goes on; raises `OSError`."""
        present, backlog = self.snapshot, self.replication.keep_backlog()
        # Between two backlogs changes are told to nobody.
        if present is not None and not present.error and present.backlog is backlog and backlog.holds(present.offset):
            return present
        self.forget_snapshot()
        self.journal.forget_database()
        self.snapshot = Snapshot(self.node, self.replication.offset, backlog)
        return self.snapshot

    def forget_snapshot(self) -> None:
        """Whoever reads it reads on."""
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is not None and not snapshot.readers:
            snapshot.close()

    def read_to_the_end(self, snapshot: Snapshot) -> None:
        """Somebody reads it no more."""
        snapshot.readers -= 1
        if not snapshot.readers and snapshot is not self.snapshot:
            snapshot.close()

    # Acknowledgements

    def acknowledged(self, feed: Feed, options: Sequence[tuple[bytes, bytes]]) -> None:
        numbers = {name.lower(): int(value) for name, value in options if value.isdigit() and len(value) < 20}
        if feed.state in ("sent", "online") and b"ack" in numbers:
            feed.acknowledge(numbers[b"ack"], numbers.get(b"fack", -1))
            self.count()

    def count_voters(self) -> None:
        """Whose acknowledgements a reply needs, and how many, by the topology that this node holds."""
        topology, shard = self.node.membership.topology, self.node.membership.shard
        if topology is None or shard is None:
            return
        self.voters = frozenset((run.id, run.run_id) for run in topology.voter_runs(shard))
        self.need(shard.min_acks)

    def need(self, acknowledgements: int) -> None:
        """Let replies wait for so many; until now nobody counted who has what is here."""
        if acknowledgements and not self.min_acks:
            self.journal.floor = self.journal.written
        self.min_acks = acknowledgements
        self.journal.replicas_wait = acknowledgements > 0
        if acknowledgements:
            self.ask()
        self.count()
        self.look()

    def count(self) -> None:
        """How much of the history has as many acknowledgements as a reply needs; let go of who waited for that."""
        if self.min_acks:
            offsets = sorted((feed.acknowledged for feed in self.voting), reverse=True)
            if len(offsets) >= self.min_acks:
                enough = offsets[self.min_acks - 1] - self.replication.shift
                self.journal.acknowledged = max(self.journal.acknowledged, enough)
        self.journal.let_go()
        if self.waits.waits:
            self.waits.look()

    @property
    def voting(self) -> list[Feed]:
        return [feed for feed in self.feeds.values() if feed.online and (feed.id, feed.run_id) in self.voters]

    def ask(self) -> None:
        """Let them say at once what they have."""
        if self.feeds and self.replication.role == "master":
            self.journal.tell([b"REPLCONF", b"GETACK", b"*"])
            self.asked = self.journal.offset

    def look(self) -> None:
        """Whether there are as many that count as a change needs."""
        needed = self.node.config.number("min-replicas-to-write")
        longest = self.node.config.number("min-replicas-max-lag")
        now = time.monotonic()
        good = sum(feed.online and now - feed.heard <= longest for feed in self.feeds.values())
        few = self.replication.role == "master" and (good < needed or len(self.voting) < self.min_acks)
        if few != self.few:
            self.few = few
            self.node.choose_gates()

    # Now and then

    def round(self) -> None:
        if self.snapshot is not None and (self.snapshot.over or self.is_left_behind(self.snapshot)):
            self.forget_snapshot()
        now = time.monotonic()
        if self.feeds:
            self.alone_since = now
            self.look_after(now)
        self.look()

    def is_left_behind(self, snapshot: Snapshot) -> bool:
        """Whether it is kept for somebody who may come back, and what was changed since takes too much memory."""
        limit = self.node.clients.output_limits["slave"].hard
        backlog = self.replication.backlog
        most = max(limit, backlog.size if backlog is not None else 0)
        return bool(limit and not snapshot.readers and self.replication.offset - snapshot.offset > most)

    def look_after(self, now: float) -> None:
        """Give signs of life; let go of those that give none, or that leave too much lying."""
        timeout = self.node.config.number("repl-timeout")
        limit = self.node.clients.output_limits["slave"]
        for feed in self.listed:
            # A line feed is a sign of life too: it comes from who is loading a snapshot.
            silent = min(now - feed.heard, (self.node.clock.now_ms - feed.session.last_active) / 1000)
            if feed.state != "snapshot" and silent > timeout:
                self.drop(feed, f"it has acknowledged nothing for {timeout} seconds")
            elif why := feed.over_limit(limit):
                self.drop(feed, why)
        if self.replication.role == "master" and now - self.said >= self.sign_seconds:
            self.said = now
            self.journal.tell([b"PING"])

    @property
    def sign_seconds(self) -> int:
        """Between two signs of life of a master; in a cluster by them a replica knows how late it is."""
        period = self.node.config.number("repl-ping-replica-period")
        return 1 if self.node.cluster_enabled else period

    def state(self) -> list[dict[str, Any]]:
        """As `/control/state` tells it."""
        return [
            {
                "id": feed.id, "address": feed.address, "offset": max(feed.acknowledged, 0), "state": feed.state,
                "lagBytes": feed.lag_bytes, "lagMs": feed.lag_ms,
            }
            for feed in self.listed
        ]  # fmt: skip

    def stop(self) -> None:
        if self.snapshot is not None:
            self.snapshot.close()
