"""What the commands of the CLI share: finding a cluster and its nodes, and ending with one clear sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.model import ObservedNode, Spec
from ringkeeper_operator.runtime.local_folder import ClusterFolder, find, known_clusters

BAD_INPUT = 2
FAILED = 1

name_option = click.option("--name", "-n", help="The cluster's name; by default the only one there is.")
data_option = click.option(
    "--data", metavar="DIR", help="The cluster's folder, if `up` was given another than the default."
)


def fail(message: str, code: int = FAILED) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"ringkeeper: {line}", err=True)
    sys.exit(code)


def find_cluster(name: str | None, data: str | None) -> ClusterFolder:
    """The cluster meant, or the end of the program with what there is instead."""
    if name is None:
        name = only_cluster(data)
    folder = find(name, data)
    if folder is None or not folder.exists():
        there = ", ".join(known_clusters())
        fail(
            f"there is no cluster {name} here; "
            + (f"there is: {there}" if there else "`ringkeeper up -f FILE` starts one"),
            BAD_INPUT,
        )
    return folder


def only_cluster(data: str | None) -> str:
    if data is not None:
        import json
        from pathlib import Path

        try:
            return str(json.loads((Path(data) / "cluster.json").read_bytes())["name"])
        except (OSError, ValueError, KeyError):
            fail(
                f"{data} is not the folder of a cluster; `ringkeeper up -f FILE --data {data}` makes it one", BAD_INPUT
            )
    names = known_clusters()
    if not names:
        fail("no cluster is up; `ringkeeper up -f FILE` starts one", BAD_INPUT)
    if len(names) > 1:
        fail(f"there are several clusters ({', '.join(names)}); say which with --name", BAD_INPUT)
    return names[0]


def spec_of(folder: ClusterFolder) -> Spec:
    """The spec that the cluster was started with."""
    loaded = manifest.load(folder.manifest, str(folder.path / "manifest.yaml"))
    return manifest.spec_of(named(loaded.cluster, folder.name), uid=folder.uid)


def named(cluster: dict[str, object], name: str) -> dict[str, object]:
    """The CacheCluster under another name."""
    metadata = cluster.get("metadata")
    return cluster | {"metadata": (metadata if isinstance(metadata, dict) else {}) | {"name": name}}


def choose_node(word: str, nodes: Sequence[ObservedNode], ids: dict[str, str]) -> ObservedNode:
    """The node that `word` names: its id, a unique prefix of it, its name, or SHARD-ORDINAL."""
    for node in nodes:
        if word in (node.name, f"{node.shard}-{node.ordinal}", ids[node.name]):
            return node
    matching = [node for node in nodes if word and ids[node.name].startswith(word.lower())]
    if len(matching) == 1:
        return matching[0]
    if matching:
        fail(f"{word} is the beginning of {len(matching)} node ids; write more of it", BAD_INPUT)
    there = ", ".join(f"{node.shard}-{node.ordinal}" for node in nodes)
    fail(f"there is no node {word}; there are {there} (ids: `ringkeeper status`)", BAD_INPUT)
