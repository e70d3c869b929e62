"""ConfigMaps: `NAME-config` with the directives of every node, `NAME-topology` with the committed topology."""

from __future__ import annotations

import json

from ringkeeper.cluster.topology import Topology, encode
from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec
from ringkeeper_operator.node_conf import rendered
from ringkeeper_operator.resources.common import Object, build_object

CONFIG_FILE = "node.conf"
TOPOLOGY_KEY = "topology.json"

CONFIG_DIRECTORY = "/etc/ringkeeper"
DATA_DIRECTORY = "/data"
PEER_TOKEN_FILE = "peer-token"


def config_name(spec: Spec) -> str:
    return f"{spec.name}-config"


def topology_name(spec: Spec) -> str:
    return f"{spec.name}-topology"


def render_directives(spec: Spec) -> str:
    """The directives that all nodes share, as a file. Its name and hostname a node is told on the command line."""
    directives = {
        "port": spec.port,
        "admin-port": spec.port + ADMIN_PORT_OFFSET,
        "admin-token-file": f"{CONFIG_DIRECTORY}/token",
        "peer-token-file": f"{CONFIG_DIRECTORY}/{PEER_TOKEN_FILE}",
        "bind": "* -::*",
        "dir": DATA_DIRECTORY,
        "requirepass-file": f"{CONFIG_DIRECTORY}/password",
        "cluster-enabled": "yes",
        "cluster-uid": spec.uid,
        "maxmemory": spec.memory,
    }
    plain = [f"{name} {value}\n" for name, value in directives.items()]
    return "".join(plain + rendered(spec.settings.for_file()))


def build_config(spec: Spec) -> Object:
    return build_object(spec, "v1", "ConfigMap", config_name(spec), {"data": {CONFIG_FILE: render_directives(spec)}})


def build_topology_configmap(spec: Spec, topology: Topology) -> Object:
    """No piece: it is committed by compare-and-set, so it bears no hash."""
    data = {TOPOLOGY_KEY: json.dumps(encode(topology), separators=(",", ":"))}
    return build_object(spec, "v1", "ConfigMap", topology_name(spec), {"data": data})
