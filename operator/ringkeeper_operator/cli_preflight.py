"""What `ringkeeper up` makes sure of before it writes or starts anything."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from ringkeeper_operator.cli_common import BAD_INPUT, fail
from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec, node_name
from ringkeeper_operator.runtime.local_folder import ClusterFolder, owner_of, registered
from ringkeeper_operator.runtime.local_process import NodeProcess
from ringkeeper_operator.runtime.local_spec import HOST, directives_of, port_of


def place_for(name: str, data: str | None) -> ClusterFolder:
    """Where the cluster will be; ends the program if it is up already, or the place is not its own."""
    known = registered(name)
    if known is not None and known.supervisor_pid() is not None:
        fail(known.already_up())
    wanted = ClusterFolder(name, Path(data).absolute()) if data is not None else known or ClusterFolder.default(name)
    if known is not None and known.path != wanted.path:
        fail(
            f"the cluster {name} has its data in {known.path}; `ringkeeper down --delete-data --name {name}` removes "
            "it, --name starts another one"
        )
    if (owner := owner_of(wanted.path)) not in (None, name):
        fail(f"{wanted.path} is the folder of the cluster {owner}; choose another with --data")
    return wanted


def check_ports(folder: ClusterFolder, spec: Spec, base_port: int) -> None:
    """Every port must be free, but for those of this cluster's own nodes, which are adopted."""
    count = spec.shards * folder.width_for(spec)
    if base_port < 1 or base_port + count - 1 + ADMIN_PORT_OFFSET > 65535:
        fail(
            f"--base-port {base_port}: each of the {count} nodes needs a port of its own and the one "
            f"{ADMIN_PORT_OFFSET} above it; must be 1 to {65535 - ADMIN_PORT_OFFSET - count + 1}",
            BAD_INPUT,
        )
    running = [name for name in folder.nodes() if NodeProcess(name, folder.node(name)).pid() is not None]
    if running and folder.exists() and folder.base_port != base_port:
        fail(
            f"nodes of {spec.name} still run from port {folder.base_port} on; give --base-port "
            f"{folder.base_port} to take them over, or `ringkeeper down --name {spec.name}` first"
        )
    for position in spec.positions():
        if node_name(spec.name, *position) in running:
            continue
        port = port_of(folder.width_for(spec), base_port, *position)
        for number in (port, port + ADMIN_PORT_OFFSET):
            if problem := why_unusable(number):
                what = "" if number == port else f" (the admin port of the node on {port})"
                fail(f"port {number}{what} {problem}; choose others with --base-port")


def why_unusable(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is taken by another program"
            return f"cannot be used: {error.strerror}"
    return None


def check_running(folder: ClusterFolder, spec: Spec, base_port: int, password: str | None) -> None:
    """What a dead supervisor left can be taken over only as it is."""
    for position in spec.positions():
        process = NodeProcess(node_name(spec.name, *position), folder.node(node_name(spec.name, *position)))
        if process.pid() is None:
            continue
        if changed := process.differs_from(directives_of(folder, spec, position, base_port, password)):
            fail(
                f"{process.name} still runs with another {', '.join(changed)} than this manifest gives it; "
                f"`ringkeeper down --name {spec.name}` stops it first"
            )
