"""From a cluster's spec to the configuration of its nodes on this machine."""

from __future__ import annotations

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec, node_name
from ringkeeper_operator.runtime.local_folder import ClusterFolder

HOST = "127.0.0.1"


def directives_of(
    folder: ClusterFolder, spec: Spec, shard: int, base_port: int, password: str | None
) -> dict[str, str]:
    """The directives of a shard's node."""
    name = node_name(spec.name, shard, 0)
    directives = {
        "port": str(base_port + shard),
        "admin-port": str(base_port + shard + ADMIN_PORT_OFFSET),
        "bind": HOST,
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
