"""Two shards of two nodes and their operator, each on a machine of its own; slots move, and things happen meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import redis
from laptop import eventually
from migrations.clients import connect
from migrations.operate import WEIGHTS, place_by
from migrations.schedules import (
    BEGUN,
    CLIENTS,
    CUTS,
    DROPPED,
    ENDED,
    FULL,
    LOSSY,
    MOMENTS,
    OPERATOR,
    SETTLED,
    SLOW,
    SOURCE,
    SOURCE_REPLICA,
    TARGET,
    TARGET_REPLICA,
    TOLD_TO_END,
    Schedule,
    Setting,
    Trouble,
)
from partitions.network import Link, Network
from partitions.world import LOOK_SECONDS, NAME, PASSWORD, Machines
from process_faults import DEATH, FAULTS, send, stop

from ringkeeper.cluster.topology import FEEDING, Topology
from ringkeeper.store.slot import SLOTS, key_slot
from ringkeeper_operator.runtime.local_folder import write_durably
from ringkeeper_operator.runtime.local_process import NodeProcess

SHARDS, NODES_PER_SHARD = 2, 2
NAMES = [f"{NAME}-{shard}-{ordinal}" for shard in range(SHARDS) for ordinal in range(NODES_PER_SHARD)]
MACHINES = (OPERATOR, *NAMES, CLIENTS)
MOMENT_SECONDS = 8.0
"""If by then it has not come, things happen all the same."""
SLOW_BYTES = 1_000_000
"""A second."""
LOSSY_SECONDS = 0.02
ROOM_BYTES = 200_000
"""By which files may grow on a full disk."""
BALLAST, BALLAST_BYTES = 400, 2000
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: c}}
spec:
  shards: {shards}
  replicasPerShard: {replicas}
  memory: 64Mi
  replication: {{minAcks: {min_acks}}}
  failover: {{heartbeatInterval: 200ms}}
{persistence}
"""


class World(Machines):
    def __init__(self, folder: Path, setting: Setting, network: Network) -> None:
        manifest = MANIFEST.format(
            shards=SHARDS, replicas=NODES_PER_SHARD - 1, min_acks=setting.min_acks,
            persistence=f"  persistence: {setting.persistence}" if setting.persistence else "",
        )  # fmt: skip
        super().__init__(folder, NAMES, manifest, Path(__file__).with_name("operate.py"), network)
        self.weights = folder / WEIGHTS
        self.weigh({0: 1.0, 1: 1.0})
        self.ends = (0, 1)
        """The shards that slots leave, and to which they go."""
        self.keeps = setting.min_acks > 0
        self.filled: set[str] = set()
        """Keys that clients leave alone."""
        self.trace: list[str] = []
        self.cuts: list[set[Link]] = []
        self.changing, self.operating = threading.Lock(), threading.Lock()

    def weigh(self, weights: dict[int, float]) -> None:
        write_durably(self.weights, json.dumps(weights).encode())

    def topology(self) -> Topology:
        found = eventually(lambda: self.folder.committed()[0], "a committed topology")
        assert isinstance(found, Topology)
        return found

    def terms(self) -> int:
        """Of all shards together."""
        return sum(shard.term for shard in self.topology().shards)

    def note(self, what: str) -> None:
        self.trace.append(f"{time.monotonic():.3f}: {what}")

    # Moves

    def intend(self, planned: Schedule) -> tuple[dict[int, float], set[int]]:
        """The weights to be given to the shards, and the slots that move by that."""
        owners = self.topology().owners
        loads = Counter(owners)
        source = max(range(SHARDS), key=lambda shard: loads[shard])
        self.ends = (source, 1 - source)
        weights = {source: 0.5 - planned.part / 2, 1 - source: 0.5 + planned.part / 2}
        before = self.weights.read_bytes()
        self.weigh(weights)
        try:
            wanted = place_by(self.weights, SHARDS, self.spec.vnodes_per_shard, None, owners)
        finally:
            write_durably(self.weights, before)
        return weights, {slot for slot in range(SLOTS) if owners[slot] != wanted[slot]}

    def is_settled(self) -> bool:
        """All slots are where they are to be, every shard is whole, and nothing is left of any move."""
        topology = self.topology()
        wanted = place_by(self.weights, SHARDS, self.spec.vnodes_per_shard, None, topology.owners)
        return not topology.moves and wanted == topology.owners and self.is_whole()

    # What is there

    def master(self, shard: int) -> str:
        topology = self.topology()
        found = next(each for each in topology.shards if each.index == shard)
        node = topology.node(found.master)
        assert node is not None
        return node.name

    def roles(self) -> dict[str, str]:
        """Machines by the roles of schedules."""
        roles = {OPERATOR: OPERATOR, CLIENTS: CLIENTS}
        for shard, names in zip(self.ends, ((SOURCE, SOURCE_REPLICA), (TARGET, TARGET_REPLICA)), strict=True):
            master = self.master(shard)
            (replica,) = (name for name in self.names if name.startswith(f"{NAME}-{shard}-") and name != master)
            roles |= dict(zip(names, (master, replica), strict=True))
        return roles

    @contextlib.contextmanager
    def client_of(self, name: str) -> Iterator[redis.Redis]:
        with contextlib.closing(connect(self.targets[self.names.index(name)], PASSWORD, 10.0)) as client:
            yield client

    def fill(self, slots: set[int]) -> None:
        """With values in the slots that move, so that this takes a moment."""
        keys = [key for number in range(20 * BALLAST) if key_slot((key := f"ballast:{number}").encode()) in slots]
        self.filled = set(keys[:BALLAST])
        with self.client_of(self.master(self.ends[0])) as client, client.pipeline(transaction=False) as pipeline:
            for key in self.filled:
                pipeline.set(key, ballast(key))
            pipeline.execute()

    def misplaced(self) -> list[str]:
        """Keys on a node whose shard does not own them, values that are not as they were, copies that are left."""
        topology, told, missing = self.topology(), list[str](), set(self.filled)
        counts: dict[int, int] = {}
        for shard in range(SHARDS):
            with self.client_of(self.master(shard)) as client:
                keys = set(client.scan_iter(count=1000))
                told += [f"{key} is on shard {shard} and not its own" for key in keys
                         if topology.owners[key_slot(key.encode())] != shard]  # fmt: skip
                written = sorted(key for key in keys if key.startswith("ballast:"))
                values = [client.get(key) for key in written]
                told += [f"{key} has another value" for key, value in zip(written, values, strict=True)
                         if value != ballast(key)]  # fmt: skip
                counts[shard] = len(keys)
            missing -= keys
        told += [f"{len(missing)} keys are not there, {min(missing)} among them"] if missing and self.keeps else []
        return told + self._leftovers(counts)

    def _leftovers(self, counts: dict[int, int]) -> list[str]:
        """What nodes hold beyond the keys that their masters show: removed in a while."""
        told: list[str] = []

        def none() -> bool:
            told[:] = [
                f"{node.name} holds {node.report.keys} keys, of which its shard has {counts[node.shard]}"
                for node in self.observed().nodes
                if node.report is not None and node.report.keys != counts[node.shard]
            ]
            return not told

        with contextlib.suppress(AssertionError):
            eventually(none, "no leftovers", 15.0)
        return told

    def empty(self) -> None:
        for shard in range(SHARDS):
            with self.client_of(self.master(shard)) as client:
                client.flushall()

    def lost_writes(self) -> int:
        """How many the status tells of."""
        return sum(row.get("lostWrites") or 0 for row in self.folder.status().get("failovers", []))

    # What goes wrong

    def carry_out(self, planned: Schedule, weights: dict[int, float]) -> None:
        """All of it; at the end every link is whole and every process goes on."""
        moments = Moments(self)
        threads = [threading.Thread(target=self._happen, args=(each, moments)) for each in planned.troubles]
        self.weigh(weights)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            moments.end()
            self.network.cut(())

    def _happen(self, trouble: Trouble, moments: Moments) -> None:
        moments.wait(trouble.moment)
        time.sleep(trouble.after)
        roles = self.roles()
        self.note(f"{trouble.name} of {roles.get(trouble.target, 'links')} for {trouble.seconds:.2f} s")
        if not trouble.target:
            cut = CUTS[trouble.name.removeprefix(LOSSY)]
            links = {(roles[one], roles[other]) for one, other in cut}
            (self._lose if trouble.name.startswith(LOSSY) else self._cut)(links, trouble.seconds)
        elif trouble.target == OPERATOR:
            self._trouble_operator(trouble)
        elif trouble.name == SLOW:
            self.network.slow_down(roles[trouble.target], SLOW_BYTES)
            time.sleep(trouble.seconds)
            self.network.speed_up(roles[trouble.target])
        else:
            self._trouble_node(trouble, roles[trouble.target])
        self.note(f"end of {trouble.name}")

    def _cut(self, links: set[Link], seconds: float) -> None:
        """Beside other cuts that last."""
        with self.changing:
            self.cuts.append(links)
            self.network.cut(set().union(*self.cuts))
        time.sleep(seconds)
        with self.changing:
            self.cuts.remove(links)
            self.network.cut(set().union(*self.cuts))

    def _lose(self, links: set[Link], seconds: float) -> None:
        """About half of what is sent."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._cut(links, LOSSY_SECONDS)
            time.sleep(LOSSY_SECONDS)

    def _trouble_node(self, trouble: Trouble, name: str) -> None:
        pid = NodeProcess(name, self.folder.node(name)).pid()
        if pid is None:
            return
        if trouble.name == DROPPED:
            with contextlib.suppress(redis.RedisError), self.client_of(name) as client:
                client.execute_command("CLIENT", "KILL", "SKIPME", "yes")
        elif trouble.name == TOLD_TO_END:
            send([pid], signal.SIGTERM)
        elif trouble.name == FULL:
            files = self.folder.node(name).glob("appendonlydir/*")
            size = max((file.stat().st_size for file in files), default=0) + ROOM_BYTES
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
                time.sleep(trouble.seconds)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        else:
            FAULTS[trouble.name](pid, trouble.seconds)

    def _trouble_operator(self, trouble: Trouble) -> None:
        """One thing after another."""
        with self.operating:
            if trouble.name == DEATH:
                self.kill_operator(trouble.seconds)
            else:
                assert self.operator is not None
                stop([self.operator.pid], trouble.seconds)


class Moments:
    """When the first batch comes to each of its phases, by looking at the committed topology all the time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.come = {moment: threading.Event() for moment in MOMENTS}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait(self, moment: str) -> None:
        if not self.come[moment].wait(MOMENT_SECONDS):
            self.world.note(f"no batch has {moment} within {MOMENT_SECONDS:.0f} s")

    def end(self) -> None:
        self.ended.set()
        self.thread.join()

    def _run(self) -> None:
        seen = 0
        first: int | None = None
        while not self.ended.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                file = os.stat(self.world.folder.path / "topology.json").st_ino
                if file == seen:
                    continue
                seen = file
                topology, _ = self.world.folder.committed()
                if topology is not None:
                    first = self._look(topology, first)

    def _look(self, topology: Topology, first: int | None) -> int | None:
        """`first` is the first batch, if it has begun."""
        self.world.note(f"epoch {topology.epoch}: {told(topology)}")
        if first is None and topology.moves:
            first = topology.moves[0].id
            self.come[BEGUN].set()
        phases = {move.id: move.phase for move in topology.moves}
        if first is not None and phases.get(first) != FEEDING:
            self.come[SETTLED].set()
        if first is not None and first not in phases:
            self.come[ENDED].set()
        return first


def ballast(key: str) -> str:
    """Another value for each key, and none that becomes smaller on its way."""
    return random.Random(key).randbytes(BALLAST_BYTES // 2).hex()


def told(topology: Topology) -> str:
    names = {node.id: node.name for node in topology.nodes}
    masters = [f"{names[shard.master]} (term {shard.term}, {len(shard.voters)} voters)" for shard in topology.shards]
    moves = [f"{move.id} {move.phase} {len(move.slots)} from {move.source}" for move in topology.moves]
    return f"{', '.join(masters)}; {', '.join(moves) or 'nothing moves'}"
