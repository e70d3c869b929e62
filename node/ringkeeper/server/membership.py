"""This node in its cluster: which topology it holds, what it therefore is, and how both survive and spread.

The rules are pure and stand in `cluster/member.py`; here they meet the disk, the clock and the other nodes. A topology
counts as taken when it is on disk: the answer to who offered it waits for that, and so does every effect.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import operator
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringkeeper.cluster import member
from ringkeeper.cluster.topology import Node as Peer
from ringkeeper.cluster.topology import Shard, Topology, TopologyError, decode, node_id
from ringkeeper.cluster.view import ClusterView
from ringkeeper.server.cluster_services import ClusterReplies
from ringkeeper.server.config import Config, ConfigError
from ringkeeper.server.files import write_durably
from ringkeeper.server.routes import Routes
from ringkeeper.store.slot import SLOTS

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

KEYS_DROPPED_AT_ONCE = 1000
"""After a topology change the keys of lost slots go in the background, in portions, so that the loop goes on."""


class TopologyRefusedError(Exception):
    """A topology that this node must not take; the text says why."""


class Membership:
    """Holds the topology. Also without a cluster, where it holds none and is never asked."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.enabled = node.cluster_enabled
        self.cluster_uid = node.config.text("cluster-uid") or None
        self.folder = Path(node.config.text("dir"))
        self.id = self.choose_id()
        self.topology: Topology | None = None
        self.former: Topology | None = None
        """What lies in the folder of a cluster that is gone, whose data this node may have."""
        self.document = b""
        """The topology as JSON, as it is on disk."""
        self.standing = member.UNASSIGNED
        self.lost: frozenset[int] = frozenset()
        """Slots that were this shard's in the topology before, and are another's."""
        self.routes = Routes()
        self.token = read_token(node.config, "admin-token-file")
        self.services: Any = ClusterReplies(self) if self.enabled else NoCluster()
        self.view = ClusterView(None, my_id=self.id, my_port=node.port)
        self.lock = asyncio.Lock()
        self.sweeper: asyncio.Task[None] | None = None
        self.exchange: asyncio.Task[None] | None = None

    def choose_id(self) -> str:
        """From the cluster's UID and this node's name when both are known; else random, once, and kept on disk."""
        uid, name = self.node.config.text("cluster-uid"), self.node.config.text("node-name")
        if uid and name:
            return node_id(uid, name)
        if not self.enabled:
            return self.node.run_id
        file = self.folder / "node-id"
        try:
            kept = file.read_text().strip()
            if len(kept) == 40 and set(kept) <= set("0123456789abcdef"):
                return kept
            raise ConfigError(f"{file}: does not hold a node id (40 hexadecimal digits); remove it to get a new id")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from None
        fresh = secrets.token_hex(20)
        try:
            write_durably(file, f"{fresh}\n".encode())
        except OSError as error:
            raise ConfigError(
                f"cannot write {file}: {error.strerror}; name a directory that can be with --dir"
            ) from None
        return fresh

    @property
    def file(self) -> Path:
        return self.folder / "topology.json"

    @property
    def epoch(self) -> int:
        return self.topology.epoch if self.topology else 0

    async def load(self) -> None:
        """Take up the topology that was on disk; a bad file is set aside and the node starts without one."""
        if not self.enabled:
            return
        aside = self.file.with_suffix(".json.bad")
        self.former = await asyncio.to_thread(read_topology, aside)
        try:
            data = await asyncio.to_thread(self.file.read_bytes)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"cannot read {self.file}: {error.strerror}") from None
        try:
            topology = decode(json.loads(data))
            if reason := member.refusal(None, topology, cluster_uid=self.cluster_uid):
                raise TopologyError(reason)
        except (ValueError, RecursionError) as error:
            await asyncio.to_thread(os.replace, self.file, aside)
            self.former = await asyncio.to_thread(read_topology, aside)
            log.warning(
                "%s cannot be used (%s). It is kept as %s; this node starts without a topology and takes the next one "
                "that the operator or another node hands it.",
                self.file,
                error,
                aside,
            )
            return
        self.enforce(topology, data)

    async def offer(self, topology: Topology, document: bytes) -> int:
        """Take a topology, its JSON on disk first, and return the epoch held now; raises `TopologyRefusedError` or
        `OSError`.
        """
        async with self.lock:
            if reason := member.refusal(self.topology, topology, cluster_uid=self.cluster_uid):
                raise TopologyRefusedError(reason)
            if reason := self.loss(topology):
                raise TopologyRefusedError(reason)
            if self.topology is None or topology != self.topology:
                await asyncio.to_thread(write_durably, self.file, document)
                self.enforce(topology, document)
            if self.node.lease_keeper is not None:
                await self.node.lease_keeper.followed()
            return topology.epoch

    def was(self, id_: str) -> bool:
        """Whether a node of this name had that id, in a cluster that is gone and has left this folder."""
        before = self.former.node(id_) if self.former else None
        return before is not None and before.name == self.node.config.text("node-name")

    def loss(self, topology: Topology) -> str | None:
        """Why a first topology would cost data of a cluster that is gone, or None."""
        former = self.former
        if self.topology is not None or former is None or former.owners == topology.owners:
            return None
        if not self.was(node_id(former.uid, self.node.config.text("node-name"))) or not any(
            map(len, self.node.databases)
        ):
            return None
        return (
            f"this node has the data of a cluster of the same name with {len(former.shards)} shards, which is gone; "
            f"with {len(topology.shards)} some of its keys would belong elsewhere, and be lost. Make the cluster with "
            f"{len(former.shards)} shards, or delete its volumes to begin without data"
        )

    def enforce(self, topology: Topology, document: bytes) -> None:
        """Be what the topology says from this moment on."""
        former, self.topology = self.topology, topology
        self.document = document
        self.view = ClusterView(topology, my_id=self.id, my_port=self.node.port)
        before = self.standing
        self.standing = member.standing(topology, id_=self.id, run_id=self.node.run_id)
        self.lost = lost_slots(former, topology, before.shard)
        self.count_anew(before, lost_slots(topology, former, self.standing.shard))
        self.routes.update(topology, self.standing)
        if self.standing != before:
            log.info(
                "Topology epoch %d: this node is %s%s",
                topology.epoch,
                self.standing.role,
                "" if self.standing.shard is None else f" of shard {self.standing.shard}",
            )
        self.node.follow_topology(former)
        if self.sweeper is not None:
            self.sweeper.cancel()
        self.sweeper = asyncio.create_task(self.drop_lost_slots())

    def count_anew(self, before: member.Standing, gained: frozenset[int]) -> None:
        """How many commands run on each slot, from when this node serves it."""
        rates, now = self.node.slot_rates, time.monotonic()
        if self.standing.serves and not before.serves:
            rates.restart(now)
        rates.follow(self.lost, gained, now)

    async def drop_lost_slots(self) -> None:
        """Remove the keys of slots that another shard owns; a node without a role keeps what it has."""
        shard, moves = self.standing.shard, self.node.moves
        if self.topology is None or self.standing.role != "master":
            return
        filled, owners = self.node.databases[0].filled_slots(), self.topology.owners
        dropped = await self.drop(slot for slot in filled if owners[slot] != shard and not moves.keeps(slot))
        if dropped:
            log.info("Removed %d keys of slots that this node does not own", dropped)

    async def drop(self, slots: Iterable[int]) -> int:
        """Remove the keys of these slots, in portions; how many there were."""
        keyspace, journal = self.node.databases[0], self.node.effects.journal
        dropped = since_pause = 0
        for slot in slots:
            while keys := keyspace.slot_keys(slot, KEYS_DROPPED_AT_ONCE):
                if journal.on:  # else they would be there again after a restart, and stale if the slot comes back
                    journal.append(0, [b"DEL", *keys])
                keyspace.drop(keys)
                dropped += len(keys)
                since_pause += len(keys)
                if since_pause >= KEYS_DROPPED_AT_ONCE:
                    since_pause = 0
                    await asyncio.sleep(0)
        return dropped

    def master_address(self) -> tuple[str, int] | None:
        """Of the master that this node is a replica of, or None when it is none."""
        master = self.master()
        return (master.address, master.port) if master else None

    def master(self) -> Peer | None:
        """The node that this one is a replica of, or None when it is none."""
        if self.topology is None or self.standing.role != "replica" or self.shard is None:
            return None
        return self.topology.master_of(self.shard)

    @property
    def shard(self) -> Shard | None:
        """That this node is of, by the topology that it holds."""
        if self.topology is None or self.standing.shard is None:
            return None
        return self.topology.shard(self.standing.shard)

    @property
    def slots_served(self) -> int:
        return self.routes.served.count(1) if self.enabled else SLOTS

    def state(self) -> str:
        """`online` when this node does what it is there for; `loading` while it loads its data, `starting` while it
        waits for a role.
        """
        if self.node.recovery.loading:
            return "loading"
        return "starting" if self.unready() else "online"

    def unready(self) -> str | None:
        """Why this node does not do what it is there for, or None."""
        if not self.enabled or self.standing.role != "unassigned":
            return None
        if self.topology is None:
            return "waiting for a topology"
        if self.topology.node(self.id) is None:
            return f"not a node of the topology of epoch {self.epoch}"
        return f"the topology of epoch {self.epoch} gives its role to another start of this node"

    def peers(self) -> list[Peer]:
        return [] if self.topology is None else [node for node in self.topology.nodes if node.id != self.id]

    def start_exchange(self) -> None:
        """Begin to ask peers for newer topologies; without a token they would not answer."""
        if not self.enabled or self.token is None:
            return
        from ringkeeper.server.exchange import exchange

        interval = self.node.config.number("topology-exchange-interval") / 1000
        self.exchange = asyncio.create_task(exchange(self, interval))

    async def stop(self) -> None:
        for task in (self.sweeper, self.exchange):
            if task is not None:
                task.cancel()


def lost_slots(former: Topology | None, topology: Topology | None, shard: int | None) -> frozenset[int]:
    """What a shard owned, and does not any more. With the two exchanged, what it has gained."""
    if former is None or topology is None or shard is None or former.owners == topology.owners:
        return frozenset()
    changed = itertools.compress(itertools.count(), map(operator.ne, former.owners, topology.owners))
    return frozenset(slot for slot in changed if former.owners[slot] == shard)


def read_topology(file: Path) -> Topology | None:
    """None where there is none that can be read."""
    try:
        return decode(json.loads(file.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


class NoCluster:
    """What the CLUSTER commands find on a node that runs alone."""

    enabled = False


def read_token(config: Config, directive: str) -> bytes | None:
    """The token in the file that a directive names, or None when it names none; raises `ConfigError`."""
    path = config.text(directive)
    if not path:
        return None
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{directive}: cannot read {path}: {error.strerror}") from None
    if not token:
        raise ConfigError(f"{directive}: {path} is empty; it must hold a token")
    return token
