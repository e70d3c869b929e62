"""A shard and its operator on machines of their own, and what a schedule does to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from laptop import eventually
from partitions.checker import Operation
from partitions.clients import authenticate, whole_reply
from partitions.network import Link, Network
from partitions.operate import read_places
from partitions.schedules import MASTER, OPERATOR, OTHER, REPLICA, Step, Trouble
from process_faults import DEATH, FAULTS, send, stop

from ringkeeper_operator.cli_common import spec_of
from ringkeeper_operator.model import Observed
from ringkeeper_operator.runtime.local import LocalRuntime
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import PROGRAM, NodeProcess, find_processes
from ringkeeper_operator.status import build_status

NAME = "c"
NODES = 3
CLIENTS = "clients"
BASE_PORT = 7000
PASSWORD = "secret"
"""Without one, a node serves the loopback interface alone."""
LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 10.0
REPORT_SECONDS = 15.0
"""Within these the operator tells of what was lost."""
WHOLE_SECONDS = 90.0
"""Longer than a shard waits for nodes that were all down (`recoveryTimeout`)."""
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: c}}
spec:
  shards: 1
  replicasPerShard: 2
  memory: 64Mi
  replication: {{minAcks: {min_acks}}}
  failover: {{heartbeatInterval: {heartbeat}ms}}
"""


def told_of(look: Callable[[], int], least: int) -> int:
    """What the operator tells of lost writes; waited for, if it is fewer than these."""
    end = time.monotonic() + REPORT_SECONDS
    while True:
        told = look()
        if told >= least or time.monotonic() > end:
            return told
        time.sleep(0.05)


class Appointments:
    """Whom the committed topology named master in each term, as seen by looking all the time."""

    def __init__(self, folder: ClusterFolder, names: list[str]) -> None:
        self.folder = folder
        self.names = names
        self.masters: dict[int, int] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        seen = 0
        while not self.ended.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                file = os.stat(self.folder.path / "topology.json").st_ino
                if file != seen:
                    self._look()
                    seen = file

    def _look(self) -> None:
        topology, _ = self.folder.committed()
        if topology is not None:
            shard = topology.shards[0]
            node = topology.node(shard.master)
            assert node is not None
            self.masters[shard.term] = self.names.index(node.name)

    def since(self, term: int) -> list[int | None]:
        """The masters of this term and of those after it; None for one that was not seen."""
        self._look()
        return [self.masters.get(each) for each in range(term, max(self.masters) + 1)]


class Machines:
    """A cluster whose nodes and operator are on machines of their own. From `with` to its end."""

    def __init__(self, folder: Path, names: list[str], manifest: str, program: Path, network: Network) -> None:
        """`program` is the operator's."""
        os.environ["XDG_STATE_HOME"] = str(folder)
        self.folder = ClusterFolder(NAME, folder / "cluster")
        self.names = names
        self.program = program
        self.network = network
        self.targets = [(self.network.address(name), BASE_PORT + ordinal) for ordinal, name in enumerate(self.names)]
        self.places = folder / "places.json"
        self.places.write_text(
            json.dumps({name: [self.network.address(name), self.network.prefix(name)] for name in self.names})
        )
        with self.folder.supervised():
            self.folder.enter(BASE_PORT, manifest, PASSWORD)
            self.folder.make_tokens()
        self.spec = spec_of(self.folder)
        self.operator: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start_operator()
        try:
            eventually(self.is_whole, "a whole cluster at the beginning", WHOLE_SECONDS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_operator(self) -> None:
        with open(self.folder.supervisor_log, "ab") as log:
            self.operator = subprocess.Popen(
                [*self.network.prefix(OPERATOR), sys.executable, self.program, NAME,
                 self.folder.path, self.places],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def close(self) -> None:
        """Leave no process."""
        if self.operator is not None:
            send([self.operator.pid], signal.SIGKILL)
            self.operator.wait()
        send(find_processes(PROGRAM, self.folder.path), signal.SIGKILL)

    # What is there

    def observed(self) -> Observed:
        """As its nodes tell it now, whatever the operator knows of it."""

        async def observed() -> Observed:
            runtime = LocalRuntime(self.folder, places=read_places(self.places).__getitem__)
            try:
                return await runtime.observe(self.spec)
            finally:
                await runtime.close()

        return asyncio.run(observed())

    def is_whole(self) -> bool:
        status = build_status(self.spec, self.observed(), None, self.folder.status(), time.time())
        ready = {row["type"]: row["status"] for row in status["conditions"]}
        return ready["Ready"] == "True" and ready["Degraded"] == "False"

    def kill_operator(self, seconds: float) -> None:
        """It is started again after a while."""
        assert self.operator is not None
        self.operator.kill()
        self.operator.wait()
        time.sleep(seconds)
        self.start_operator()


class World(Machines):
    """One shard."""

    def __init__(self, folder: Path, *, min_acks: int, heartbeat: int = 200) -> None:
        names = [f"{NAME}-0-{ordinal}" for ordinal in range(NODES)]
        manifest = MANIFEST.format(min_acks=min_acks, heartbeat=heartbeat)
        program = Path(__file__).with_name("operate.py")
        super().__init__(folder, names, manifest, program, Network([OPERATOR, *names, CLIENTS]))
        self.appointments = Appointments(self.folder, self.names)

    def close(self) -> None:
        self.appointments.ended.set()
        super().close()

    def term(self) -> int:
        topology, _ = self.folder.committed()
        return topology.shards[0].term if topology is not None else 0

    def master(self) -> str:
        topology, _ = self.folder.committed()
        node = topology.node(topology.shards[0].master) if topology is not None else None
        return node.name if node is not None else self.names[0]

    def roles(self) -> dict[str, str]:
        """Machines by the roles of schedules."""
        master = self.master()
        first, second = (name for name in self.names if name != master)
        return {OPERATOR: OPERATOR, MASTER: master, REPLICA: first, OTHER: second}

    def read(self, keys: Iterable[str]) -> list[Operation]:
        """GETs of these keys as one more client, number -1. On a slow machine a lease may be lost even now: then they
        are asked again, of whoever is master.
        """
        found: list[Operation] = []
        left = list(keys)

        def read_on() -> bool:
            node = self.names.index(self.master())
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self.targets[node], PATIENCE_SECONDS) as connection,
                connection.makefile("rb") as replies,
            ):
                authenticate(connection, replies, PASSWORD)
                while left:
                    sent = time.monotonic_ns()
                    connection.sendall(f"GET {left[0]}\r\n".encode())
                    reply = whole_reply(replies)
                    if reply.startswith(b"-"):
                        break
                    value = None if reply.startswith(b"$-1") else reply.split(b"\r\n")[1].decode()
                    found.append(Operation(-1, node, left.pop(0), "get", "", sent, time.monotonic_ns(), value))
            return not left

        eventually(read_on, "every key read", WHOLE_SECONDS)
        return found

    # What goes wrong

    def carry_out(self, steps: tuple[Step, ...]) -> None:
        """All of it; at the end every link is whole and every process goes on."""
        try:
            for step in steps:
                self._carry_out(step)
        finally:
            self.network.cut(())

    def _carry_out(self, step: Step) -> None:
        roles = self.roles()
        links = [(roles[source], roles[target]) for source, target in step.links]
        trouble = threading.Thread(target=self._trouble, args=(step.trouble, roles))
        trouble.start()
        self._cut(links, step)
        trouble.join()
        if step.pause:
            self.network.cut(())
            time.sleep(step.pause)

    def _cut(self, links: list[Link], step: Step) -> None:
        end = time.monotonic() + step.seconds
        is_cut = True
        while time.monotonic() < end:
            self.network.cut(links if is_cut else ())
            time.sleep(max(0.0, min(step.flap or step.seconds, end - time.monotonic())))
            is_cut = not is_cut or not step.flap

    def _trouble(self, trouble: Trouble | None, roles: dict[str, str]) -> None:
        if trouble is None:
            return
        time.sleep(trouble.after)
        if trouble.target == OPERATOR:
            assert self.operator is not None
            if trouble.name == DEATH:
                self.kill_operator(trouble.seconds)
            else:
                stop([self.operator.pid], trouble.seconds)
            return
        name = roles[trouble.target]
        pid = NodeProcess(name, self.folder.node(name)).pid()
        if pid is not None:
            FAULTS[trouble.name](pid, trouble.seconds)
