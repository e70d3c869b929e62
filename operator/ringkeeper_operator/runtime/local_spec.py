"""From a cluster's spec to the configuration of its nodes on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec, node_name, stop_seconds
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import STOP_SECONDS

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where on this machine a node is: the address that it has, and the words to put before its command line, which
    start it there. They must execute it in their own place, so that the process is the node.
    """

    host: str = HOST
    prefix: tuple[str, ...] = ()


Places = Callable[[str], Place]
"""By a node's name."""


def together(_: str) -> Place:
    """All nodes share this machine's network, each with ports of its own."""
    return Place()


def patience_of(spec: Spec) -> float:
    """Seconds in which a node that is told to stop may do so by itself: with data to keep, it writes that first."""
    return STOP_SECONDS if spec.volume is None else float(stop_seconds(spec))


def port_of(width: int, base_port: int, shard: int, ordinal: int) -> int:
    """A shard's nodes stand side by side, on `width` ports."""
    return base_port + shard * width + ordinal


def directives_of(
    folder: ClusterFolder, spec: Spec, position: tuple[int, int], base_port: int, password: str | None,
    host: str = HOST,
) -> dict[str, str]:  # fmt: skip
    """The directives of one node, by shard and ordinal."""
    name = node_name(spec.name, *position)
    port = port_of(folder.width_for(spec), base_port, *position)
    directives = {
        "port": str(port),
        "admin-port": str(port + ADMIN_PORT_OFFSET),
        "bind": host,
        "dir": str(folder.node(name)),
        "cluster-enabled": "yes",
        "cluster-uid": spec.uid,
        "node-name": name,
        "maxmemory": str(spec.memory),
        "admin-token-file": str(folder.path / "admin-token"),
        "peer-token-file": str(folder.path / "peer-token"),
    }
    directives |= spec.settings.for_file()
    return directives | ({"requirepass": password} if password else {})
