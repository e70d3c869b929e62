"""What a laptop's cluster keeps on disk, and how a cluster is found by its name.

    STATE/NAME.json                   the registry: where the cluster's folder is
    FOLDER/manifest.yaml              the manifest as it was applied
    FOLDER/cluster.json               name, base port, how many ports a shard has
    FOLDER/supervisor.lock            locked by the supervisor while it lives; holds its pid
    FOLDER/topology.json              the committed topology with its version
    FOLDER/admin-token, peer-token, password    0600
    FOLDER/handovers.json             shards that somebody wants to have another master
    FOLDER/NAME-I-J/                  a node's own folder: its configuration, log, pid

STATE is `$XDG_STATE_HOME/ringkeeper` (`~/.local/state/ringkeeper`); FOLDER is STATE/NAME.d unless `--data` names it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ringkeeper.cluster.topology import Topology, TopologyError, decode, encode
from ringkeeper_operator.model import Handover, Spec
from ringkeeper_operator.runtime.base import Conflict, UncertainCommit

OWN_FILES = (
    "manifest.yaml", "topology.json", "topology.lock", "admin-token", "peer-token", "password", "status.json",
    "supervisor.log", "supervisor.lock", "cluster.json", "handovers.json",
)  # fmt: skip
HANDOVERS = "handovers.json"
LOCK_SECONDS = 0.5
"""A look at who holds the supervisor's lock takes it for a moment; whoever wants it for good tries for so long."""


class FolderError(Exception):
    """Something about a cluster's folder that a person must know; the text says what to do."""


def state_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.local/state")) / "ringkeeper"


def known_clusters() -> list[str]:
    """The names of the clusters that this user has on this machine."""
    return sorted(path.stem for path in state_home().glob("*.json"))


def registered(name: str) -> ClusterFolder | None:
    """The folder that the registry gives for a name, whether it is still there or not."""
    try:
        entry = json.loads((state_home() / f"{name}.json").read_bytes())
        return ClusterFolder(name, Path(entry["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def owner_of(path: Path) -> str | None:
    """The name of the cluster whose folder this is, or None when it is no cluster's."""
    try:
        return str(json.loads((path / "cluster.json").read_bytes())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    name: str
    path: Path

    @classmethod
    def default(cls, name: str) -> ClusterFolder:
        return cls(name, state_home() / f"{name}.d")

    def enter(self, base_port: int, manifest: str, password: str | None, width: int = 1) -> None:
        """Write down what the cluster is to be, and its place into the registry; raises `OSError`."""
        write_durably(self.path / "manifest.yaml", manifest.encode())
        if password is None:
            (self.path / "password").unlink(missing_ok=True)
        else:
            write_durably(self.path / "password", password.encode())
        (self.path / "status.json").unlink(missing_ok=True)
        write_durably(
            self.path / "cluster.json",
            json.dumps({"name": self.name, "basePort": base_port, "nodesPerShard": width}).encode(),
        )
        state_home().mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(state_home() / f"{self.name}.json", json.dumps({"folder": str(self.path)}).encode())

    def exists(self) -> bool:
        return (self.path / "cluster.json").exists()

    @property
    def uid(self) -> str:
        """A cluster's UID on a laptop is a digest of its path."""
        return hashlib.sha1(str(self.path).encode(), usedforsecurity=False).hexdigest()

    @property
    def base_port(self) -> int:
        """Raises `FolderError` when that was lost."""
        try:
            return int(json.loads((self.path / "cluster.json").read_bytes())["basePort"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self.damaged("cluster.json", error) from None

    def width_for(self, spec: Spec) -> int:
        """How many ports side by side each shard has: for as many nodes as a shard ever had, so that they keep their
        ports when there are fewer.
        """
        try:
            width = int(json.loads((self.path / "cluster.json").read_bytes())["nodesPerShard"])
        except (OSError, ValueError, KeyError, TypeError):
            return spec.nodes_per_shard
        return max(width, spec.nodes_per_shard)

    @property
    def manifest(self) -> str:
        """Raises `FolderError` when it was lost."""
        try:
            return (self.path / "manifest.yaml").read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise self.damaged("manifest.yaml", error) from None

    def damaged(self, file: str, error: Exception) -> FolderError:
        return FolderError(
            f"{self.path / file} cannot be used any more ({error}); `ringkeeper down --name {self.name}` stops the "
            "cluster and removes what is left, `ringkeeper up` starts it anew"
        )

    @property
    def supervisor_log(self) -> Path:
        return self.path / "supervisor.log"

    def node(self, name: str) -> Path:
        return self.path / name

    def nodes(self) -> list[str]:
        """The names of the nodes that have a folder here. Nothing else in the folder is taken for one."""
        pattern = re.compile(rf"{re.escape(self.name)}-\d+-\d+")
        try:
            found = [entry for entry in self.path.iterdir() if pattern.fullmatch(entry.name)]
        except OSError:
            return []
        return sorted(entry.name for entry in found if (entry / "node.conf").exists())

    def admin_token(self) -> str | None:
        """The operator's credential towards the nodes."""
        try:
            return (self.path / "admin-token").read_text().strip() or None
        except OSError:
            return None

    def make_tokens(self) -> None:
        """The operator's credential, and the nodes' own towards each other; those that are there stay."""
        if self.admin_token() is None:
            write_durably(self.path / "admin-token", secrets.token_hex(32).encode())
        if not (self.path / "peer-token").exists():
            write_durably(self.path / "peer-token", secrets.token_hex(32).encode())

    def password(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "password").read_text()
        return None

    def status(self) -> dict[str, Any]:
        """What the supervisor said last; empty if nothing."""
        try:
            found = json.loads((self.path / "status.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # What somebody asked for

    def handovers(self) -> tuple[Handover, ...]:
        try:
            entries = json.loads((self.path / HANDOVERS).read_bytes())
            return tuple(
                Handover(int(shard), str(to), int(term), bool(insists)) for shard, to, term, insists in entries
            )
        except (OSError, ValueError, TypeError):
            return ()

    def ask_handover(self, request: Handover) -> None:
        self._write_handovers([*(other for other in self.handovers() if other.shard != request.shard), request])

    def drop_handover(self, shard: int) -> None:
        self._write_handovers([other for other in self.handovers() if other.shard != shard])

    def _write_handovers(self, requests: list[Handover]) -> None:
        entries = [[request.shard, request.to, request.term, request.insists] for request in requests]
        if entries:
            write_durably(self.path / HANDOVERS, json.dumps(entries).encode())
        else:
            (self.path / HANDOVERS).unlink(missing_ok=True)

    # Who supervises

    @contextlib.contextmanager
    def supervised(self) -> Iterator[IO[str]]:
        """Be the only one to change this cluster: make the folder, lock it. Raises `FolderError` or `OSError`.

        The lock belongs to the open file that is yielded: a process that inherits it holds the lock as well.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with open(self.path / "supervisor.lock", "a+") as lock:
                if self._take(lock):
                    self.sign(lock)
                    yield lock
                    return
            if time.monotonic() > deadline:
                raise FolderError(self.already_up())
            time.sleep(0.01)

    def _take(self, lock: IO[str]) -> bool:
        """Whether the lock is ours now, and the file still the one that others would open."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(lock.fileno()).st_ino == os.stat(self.path / "supervisor.lock").st_ino
        except (BlockingIOError, FileNotFoundError):
            return False

    @staticmethod
    def sign(lock: IO[str]) -> None:
        """Write this process into its lock."""
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()

    def already_up(self) -> str:
        return (
            f"the cluster {self.name} is up already (supervisor {self.supervisor_pid()}, data in {self.path}); "
            "shards, eviction, namespaces, persistence, replication and failover alone can be changed meanwhile, and "
            "replicasPerShard to no more than it was. "
            f"`ringkeeper down --name {self.name}` stops it, --name and --base-port start another one"
        )

    def supervisor_pid(self) -> int | None:
        """The process that supervises this cluster, or None when nobody does."""
        with contextlib.suppress(OSError, ValueError), open(self.path / "supervisor.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
        return None

    # The committed topology

    def committed(self) -> tuple[Topology | None, str | None]:
        """The topology and the version to name in a compare-and-set; a damaged file counts as none."""
        try:
            return _read_committed((self.path / "topology.json").read_bytes())
        except (OSError, ValueError, KeyError, TypeError, TopologyError):
            return None, None

    def commit(self, topology: Topology, expected: str | None) -> None:
        """Compare-and-set, under a lock and through fsync.

        Raises `Conflict` when another version is there, `UncertainCommit` when the disk failed on the way.
        """
        with open(self.path / "topology.lock", "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _, version = self.committed()
            if version != expected:
                raise Conflict(f"version {version} of the topology is committed, not {expected}")
            entry: dict[str, Any] = {"version": str(int(version or 0) + 1), "topology": encode(topology)}
            try:
                write_durably(self.path / "topology.json", json.dumps(entry).encode())
            except OSError as error:
                raise UncertainCommit(f"{self.path / 'topology.json'}: {error.strerror}") from error

    # The end

    def has_data(self) -> bool:
        """Whether a node has written what it holds."""
        names = ("dump.rdb", "appendonlydir")
        return any((self.path / node / name).exists() for node in self.nodes() for name in names)

    def remove_node(self, name: str) -> None:
        """One node's own folder."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def rest(self) -> None:
        """Be the folder of a cluster that is down and may come up again."""
        (self.path / "status.json").unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing: the nodes' folders, what this module wrote, the registry's entry. A person's files stay."""
        for name in self.nodes():
            self.remove_node(name)
        for name in OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
            (self.path / f".{name}.tmp").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()
        entry = registered(self.name)
        if entry is None or entry.path == self.path:
            (state_home() / f"{self.name}.json").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            state_home().rmdir()


@functools.lru_cache(maxsize=2)
def _read_committed(data: bytes) -> tuple[Topology, str]:
    """Every round reads it several times, while clients wait for another master as well: to decode it takes longest."""
    entry = json.loads(data)
    return decode(entry["topology"]), str(entry["version"])


def write_durably(file: Path, data: bytes) -> None:
    """A file that appears whole or not at all, readable by its owner alone."""
    temporary = file.with_name(f".{file.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
