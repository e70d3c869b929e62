"""The servers that are compared: a real Redis or Valkey and a node, alone or as the only node of a cluster.

Started when first asked for, and stopped together.
"""

from __future__ import annotations

import contextlib
import pathlib

import redis
from laptop import eventually
from members import Members, member
from ports import free_ports
from real_redis import real_redis
from server_process import serving

from ringkeeper.store.slot import SLOTS

PEERS = ("redis", "valkey")
MODES = ("standalone", "cluster")


class Servers:
    """A context; `port` of a peer or of `ours`, in a mode."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.started: dict[tuple[str, str], int] = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.stack.close()

    def port(self, name: str, mode: str) -> int:
        if (name, mode) not in self.started:
            folder = self.folder / f"{name}-{mode}"
            folder.mkdir()
            start = self.ours if name == "ours" else self.theirs
            self.started[name, mode] = start(folder, name, mode)
        return self.started[name, mode]

    def theirs(self, folder: pathlib.Path, name: str, mode: str) -> int:
        if mode == "standalone":
            return self.stack.enter_context(real_redis(folder, name))
        directives = ["--cluster-enabled", "yes", "--cluster-port", str(free_ports(1)[0])]
        port = self.stack.enter_context(real_redis(folder, name, *directives))
        client = redis.Redis(port=port)
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
        eventually(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster is up")
        return port

    def ours(self, folder: pathlib.Path, _: str, mode: str) -> int:
        directives = ["--enable-debug-command", "yes"]
        if mode == "standalone":
            return self.stack.enter_context(serving(folder, *directives)).port
        server = self.stack.enter_context(serving(folder, *directives, *member(folder, 0)))
        members = Members([server])
        status, answer = members.push(0, members.topology(1))
        assert status == 200, answer
        return server.port
