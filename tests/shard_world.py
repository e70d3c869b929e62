"""One shard of nodes without a network between them and the operator: what is sent arrives at once."""

from collections.abc import Callable
from dataclasses import replace

from ringkeeper.cluster.arbiter import Arbiter, Recovery, Verdict
from ringkeeper.cluster.changes import carried_out
from ringkeeper.cluster.lease import MILLISECOND, NodeLease, Pledge, Sent
from ringkeeper.cluster.messages import Message
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS


def topology(replicas: int = 2, voters: int | None = None, min_acks: int = 0) -> Topology:
    """Shard 0 of `c-0-0`, the master, and replicas, the first `voters` of which are voters; epoch 5, term 1."""
    nodes = tuple(
        Node(node_id("u", f"c-0-{i}"), f"c-0-{i}", 0, "", "10.0.0.1", 7000 + i, 17000 + i,
             "replica" if i else "master", f"run-{i}")
        for i in range(1 + replicas)
    )  # fmt: skip
    chosen = tuple(node.id for node in nodes[1 : 1 + (replicas if voters is None else voters)])
    shard = Shard(0, 1, nodes[0].id, chosen, min_acks)
    return Topology("c", "u", 5, 1, 100, nodes, (shard,), (0,) * SLOTS)


class ShardWorld:
    """Time is milliseconds here. `cut` holds pairs of names (`operator` too) between which nothing arrives."""

    def __init__(self, committed: Topology, recovery: Recovery | None = None) -> None:
        self.now = 10_000
        self.committed = committed
        self.names = {node.id: node.name for node in committed.nodes}
        self.nodes = {node.name: NodeLease(node.id, node.run_id) for node in committed.nodes}
        self.offsets = dict.fromkeys(self.nodes, 100)
        self.stuck: set[str] = set()
        self.leaving: set[str] = set()
        self.cut: set[tuple[str, str]] = set()
        self.seen: list[tuple[str, str, Message]] = []
        self.refuses_topology: set[str] = set()
        self.arbiter = Arbiter(0, recovery)
        self.arbiter.lead(1, committed, now=self.ns, until=10**18)
        self.push()

    @property
    def ns(self) -> int:
        return self.now * MILLISECOND

    def kill(self, name: str, *, is_certain: bool = False) -> None:
        run = self.nodes.pop(name).run_id
        if is_certain:
            self.arbiter.end(run, self.ns)

    def start(self, name: str, run: str, offset: int = 0) -> None:
        node = NodeLease(next(id_ for id_, other in self.names.items() if other == name), run)
        self.nodes[name], self.offsets[name] = node, offset
        node.follow(self.committed, self.ns)

    def push(self) -> None:
        for name, node in list(self.nodes.items()):
            if name not in self.refuses_topology and node.topology != self.committed:
                self._report(name)
                self.deliver(name, node.follow(self.committed, self.ns))

    def _report(self, name: str) -> None:
        node = self.nodes[name]
        shard = self.committed.shards[0]
        term = shard.term if node.voter.promised <= shard.term else node.position.term
        node.node_says(
            Position(term, self.offsets[name]),
            candidate=True,
            progress_at=node.progress_at if name in self.stuck else self.ns,
            released=node.released,
            leaving=name in self.leaving,
        )

    def deliver(self, sender: str, sent: list[Sent]) -> None:
        for id_, message in sent:
            receiver = self.names.get(id_, "operator")
            if (sender, receiver) in self.cut or (receiver != "operator" and receiver not in self.nodes):
                continue
            self.seen.append((sender, receiver, message))
            if receiver == "operator":
                self.deliver("operator", self.arbiter.on(message, self.ns))
                continue
            node = self.nodes[receiver]
            self._report(receiver)
            answer = node.on(message, self.ns)
            if isinstance(answer, Pledge):
                answer = node.pledged(answer, node.position, candidate=True, now=self.ns)
            self.deliver(receiver, answer)

    def step(self) -> Verdict:
        """Ten milliseconds, and what the operator and the nodes do in them."""
        self.now += 10
        self.deliver("operator", self.arbiter.tick(self.ns))
        if self.now % 500 == 0:
            for name, node in list(self.nodes.items()):
                self._report(name)
                self.deliver(name, node.tick(self.ns))
        verdict = self.arbiter.verdict(self.ns)
        if verdict.change is not None:
            committed = carried_out(self.committed, verdict.change)
            assert committed is not None
            self.committed = committed
            self.arbiter.follow(committed, self.ns)
            self.push()
        return verdict

    def run(self, milliseconds: int) -> list[str]:
        """The verdicts that followed on each other, each once."""
        told: list[str] = []
        for _ in range(milliseconds // 10):
            verdict = self.step()
            told += [verdict.state] if not told or told[-1] != verdict.state else []
        return told

    def run_until(self, condition: Callable[[], bool], milliseconds: int = 10_000) -> int:
        """How long it took."""
        begin = self.now
        while not condition():
            assert self.now < begin + milliseconds, self.arbiter.verdict(self.ns)
            self.step()
        return self.now - begin

    def serves(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].until() > self.ns

    @property
    def master(self) -> str:
        return self.names[self.committed.shards[0].master]

    @property
    def term(self) -> int:
        return self.committed.shards[0].term

    def with_shard(self, **changes: object) -> Topology:
        shard = replace(self.committed.shards[0], **changes)  # type: ignore[arg-type]
        return replace(self.committed, epoch=self.committed.epoch + 1, shards=(shard,))
