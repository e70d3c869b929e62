"""Two shards of real nodes without an operator: the tests move slots between them, kill nodes and appoint others."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis
from following import client, digest, until
from members import Members, http, start_member
from server_process import Server

from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import Move, Node, Shard, Topology
from ringkeeper.store.slot import SLOTS, key_slot

MOVING = tuple(range(0, SLOTS, 2))


def key_in(slots: tuple[int, ...] = MOVING, *, moving: bool = True) -> str:
    """A key whose slot moves, or stays."""
    return next(key for key in map(str, range(1000)) if (key_slot(key.encode()) in slots) == moving)


class TwoShards:
    """All slots are the first one's. Node 0 and then `replicas` nodes are of shard 0, as many of shard 1 follow."""

    def __init__(
        self, folder: Path, exits: contextlib.ExitStack, *directives: str, replicas: int = 0, heartbeat_ms: int = 10_000
    ) -> None:
        self.folder, self.exits, self.directives = folder, exits, directives
        self.heartbeat_ms = heartbeat_ms
        """Of which three are how long clients are held back for the topology after a release."""
        self.size = replicas + 1
        self.members = Members([self.start(index) for index in range(2 * self.size)])
        self.masters = [0, self.size]
        self.terms = [1, 1]
        self.nodes: dict[int, Node] = {}
        self.topology = self.written(1, (0,) * SLOTS, ())
        self.push()
        for index in range(2 * self.size):
            if index not in self.masters:
                until(lambda index=index: self.members.state(index)["replication"]["link"] == "connected")

    def follows(self, index: int) -> None:
        """Until a node has all that its master has."""
        master = self.masters[index // self.size]
        until(lambda: self.members.state(index)["replication"]["link"] == "connected")
        until(lambda: digest(self.members.servers[index].port) == digest(self.members.servers[master].port))

    def start(self, index: int) -> Server:
        return start_member(self.folder, index, self.exits, *self.directives)

    def restart(self, index: int) -> None:
        """Of one that was killed."""
        self.members.servers[index] = self.start(index)

    def alive(self) -> list[int]:
        return [index for index, server in enumerate(self.members.servers) if server.process.poll() is None]

    def written(self, epoch: int, owners: tuple[int, ...], moves: tuple[Move, ...]) -> Topology:
        """With the present starts of those who are alive, and the last ones of the others."""
        for index in self.alive():
            state, server = self.members.state(index), self.members.servers[index]
            self.nodes[index] = Node(
                str(state["id"]), str(state["name"]), index // self.size, "", "127.0.0.1", server.port,
                server.admin_port, "replica", str(state["runId"]),
            )  # fmt: skip
        nodes = tuple(
            replace(node, role="master") if index in self.masters else node
            for index, node in sorted(self.nodes.items())
        )
        shards = tuple(Shard(shard, self.terms[shard], nodes[index].id) for shard, index in enumerate(self.masters))
        return Topology("c", "uid", epoch, 1, 100, nodes, shards, owners, heartbeat_ms=self.heartbeat_ms, moves=moves)

    def push(self) -> None:
        for index in self.alive():
            assert self.members.push(index, self.topology)[0] == 200

    def change(self, *, owners: tuple[int, ...] | None = None, moves: tuple[Move, ...] | None = None) -> None:
        """The next epoch."""
        before = self.topology
        self.topology = self.written(
            before.epoch + 1,
            before.owners if owners is None else owners,
            before.moves if moves is None else moves,
        )
        self.push()

    def appoint(self, shard: int, index: int) -> None:
        """In the next term; with that, a settled move stays what it is."""
        self.masters[shard] = index
        self.terms[shard] += 1
        self.change()

    def client(self, index: int, **options: Any) -> redis.Redis:
        return client(self.members.servers[index].port, **options)

    def told(self, index: int, move: Move | None = None) -> dict[str, Any]:
        """What a node says of a move, or of the only one; nothing yet, if it has not heard of it."""
        moves = self.members.state(index)["moves"]
        return next((dict(told) for told in moves if move is None or told["id"] == move.id), {"state": "none"})

    def state(self, index: int, move: Move | None = None) -> str:
        return str(self.told(index, move)["state"])

    def keys(self, index: int) -> int:
        return int(self.members.state(index)["keys"])

    # What an operator does

    def next_move(self, slots: tuple[int, ...] = MOVING, source: int = 0) -> Move:
        runs = [str(self.members.state(index)["runId"]) for index in self.masters]
        ends = [part for shard in (source, 1 - source) for part in (self.terms[shard], runs[shard])]
        return Move(self.topology.epoch + 1, source, 1 - source, slots, *ends)

    def begin(self, slots: tuple[int, ...] = MOVING, source: int = 0) -> Move:
        """A move that has come so far that it may be released."""
        move = self.next_move(slots, source)
        self.change(moves=(*self.topology.moves, move))
        until(lambda: self.state(self.masters[move.target], move) == "holding all")
        return move

    def ask_release(self, move: Move) -> dict[str, Any]:
        """Ask the source once; what it says of the move then."""
        path = f"/control/moves/{move.id}/release"
        source = self.members.servers[self.masters[move.source]]
        status, told = http(source, path, token="token", body={"leader": 1}, method="POST")
        assert status == 200
        return dict(json.loads(told))

    def release(self, move: Move) -> Position:
        """Ask until both hold the same offset; what of the target's stream holds it."""
        source, target = self.masters[move.source], self.masters[move.target]

        def agreed() -> bool:
            self.ask_release(move)
            return (self.state(source, move), self.state(target, move)) == ("released", "holding all")

        until(agreed)
        return Position(*self.told(target, move)["held"])

    def settle(self, move: Move, held: Position, phase: str = "settled") -> Move:
        """Give the slots to the target; or, with phase `returned`, back to the source."""
        move = replace(move, phase=phase, held=held)
        owners = list(self.topology.owners)
        for slot in move.slots:
            owners[slot] = move.owner
        self.change(
            owners=tuple(owners), moves=tuple(move if other.id == move.id else other for other in self.topology.moves)
        )
        return move

    def end(self, move: Move | None = None) -> None:
        self.change(moves=tuple(other for other in self.topology.moves if move is not None and other.id != move.id))

    def move(self) -> None:
        """From the beginning to the end."""
        move = self.begin()
        self.settle(move, self.release(move))
        until(lambda: self.state(self.masters[1]) == "kept")
        self.end()
