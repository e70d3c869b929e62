"""What the commands of the CLI share: finding a cluster and its nodes, and ending with one clear sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import ObservedNode, Spec
from ringkeeper_operator.runtime.local_folder import (
    ClusterFolder,
    FolderError,
    known_clusters,
    owner_of,
    registered,
)

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


class Sentences(click.Group):
    """A group of commands whose failures are sentences, not tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FolderError as error:
            fail(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}")


class NoCluster(Exception):
    """No such cluster is here; the text says what there is instead."""


def find_cluster(name: str | None, data: str | None) -> ClusterFolder:
    """The cluster meant, or the end of the program with what there is instead."""
    try:
        folder = locate(name, data)
    except NoCluster as error:
        fail(str(error), BAD_INPUT)
    if not folder.exists():
        raise FolderError(
            f"the folder of {folder.name}, {folder.path}, is gone; `ringkeeper down --name {folder.name}` ends what "
            "may still run and forgets it"
        )
    return folder


def locate(name: str | None, data: str | None) -> ClusterFolder:
    """The cluster meant, even if its folder is gone; raises `NoCluster`."""
    if data is not None:
        return _in_folder(name, Path(data).absolute())
    names = known_clusters()
    if name is None:
        if not names:
            raise NoCluster("no cluster is up; `ringkeeper up -f FILE` starts one")
        if len(names) > 1:
            fail(f"there are several clusters ({', '.join(names)}); say which with --name", BAD_INPUT)
        name = names[0]
    folder = registered(name)
    if folder is None:
        there = f"there is: {', '.join(names)}" if names else "`ringkeeper up -f FILE` starts one"
        raise NoCluster(f"there is no cluster {name} here; {there}")
    return folder


def _in_folder(name: str | None, path: Path) -> ClusterFolder:
    owner = owner_of(path)
    if owner is None:
        raise NoCluster(f"{path} is not the folder of a cluster; `ringkeeper up -f FILE --data {path}` makes it one")
    if name not in (None, owner):
        raise NoCluster(f"{path} is the folder of the cluster {owner}, not of {name}")
    return ClusterFolder(owner, path)


def spec_of(folder: ClusterFolder) -> Spec:
    """The spec that the cluster was started with; raises `FolderError`."""
    try:
        loaded = manifest.load(folder.manifest, str(folder.path / "manifest.yaml"))
        return manifest.spec_of(named(loaded.cluster, folder.name), uid=folder.uid)
    except ManifestError as error:
        raise folder.damaged("manifest.yaml", error) from None


def keeps_data(folder: ClusterFolder) -> bool:
    """Whether what nodes have written is to stay when the cluster is stopped. Without a word on it, it does."""
    try:
        volume = spec_of(folder).volume
    except FolderError:
        return folder.has_data()
    return volume is not None and volume.retain


def leave(folder: ClusterFolder, *, keep: bool) -> str:
    """Do with the folder of a stopped cluster what is to be done, and say so."""
    if not keep:
        folder.remove()
        return f"{folder.name} is down; nothing of it is left."
    folder.rest()
    return (
        f"{folder.name} is down; its data stays in {folder.path}.\n"
        f"`ringkeeper up` with the same name takes it up again, `ringkeeper down --delete-data --name {folder.name}` "
        "removes it."
    )


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
