"""What a laptop's cluster keeps on disk, and how a cluster is found by its name.

    STATE/NAME.json                   the registry: where the cluster's folder is
    FOLDER/manifest.yaml              the manifest as it was applied
    FOLDER/cluster.json               name, base port
    FOLDER/supervisor.lock            locked by the supervisor while it lives; holds its pid
    FOLDER/topology.json              the committed topology with its version
    FOLDER/admin-token, password      0600
    FOLDER/NAME-I-J/                  a node's own folder: its configuration, log, pid

STATE is `$XDG_STATE_HOME/ringkeeper` (`~/.local/state/ringkeeper`); FOLDER is STATE/NAME.d unless `--data` names it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ringkeeper.cluster.topology import Topology, TopologyError, decode, encode
from ringkeeper_operator.runtime.base import Conflict


class FolderError(Exception):
    """Something about a cluster's folder that a person must know; the text says what to do."""


def state_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "ringkeeper"


def known_clusters() -> list[str]:
    """The names of the clusters that this user has on this machine."""
    return sorted(path.stem for path in state_home().glob("*.json"))


def find(name: str, data: str | None = None) -> ClusterFolder | None:
    """The folder of the cluster called `name`, if there is one."""
    if data is not None:
        folder = ClusterFolder(name, Path(data).absolute())
        return folder if folder.exists() else None
    try:
        entry = json.loads((state_home() / f"{name}.json").read_bytes())
        return ClusterFolder(name, Path(entry["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    name: str
    path: Path

    @classmethod
    def default(cls, name: str) -> ClusterFolder:
        return cls(name, state_home() / f"{name}.d")

    @classmethod
    def create(cls, name: str, data: str | None, base_port: int, manifest: str) -> ClusterFolder:
        """Make or take over the folder, and enter it in the registry; raises `OSError`."""
        folder = cls(name, Path(data).absolute()) if data is not None else cls.default(name)
        path = folder.path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(path / "manifest.yaml", manifest.encode())
        write_durably(path / "cluster.json", json.dumps({"name": name, "basePort": base_port}).encode())
        state_home().mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(state_home() / f"{name}.json", json.dumps({"folder": str(path)}).encode())
        return folder

    def exists(self) -> bool:
        return (self.path / "cluster.json").exists()

    @property
    def uid(self) -> str:
        """A cluster's UID on a laptop is a digest of its path."""
        return hashlib.sha1(str(self.path).encode(), usedforsecurity=False).hexdigest()

    @property
    def base_port(self) -> int:
        return int(json.loads((self.path / "cluster.json").read_bytes())["basePort"])

    @property
    def manifest(self) -> str:
        return (self.path / "manifest.yaml").read_text()

    @property
    def supervisor_log(self) -> Path:
        return self.path / "supervisor.log"

    def node(self, name: str) -> Path:
        return self.path / name

    def admin_token(self) -> str:
        """The operator's credential towards the nodes, made when it is first asked for."""
        file = self.path / "admin-token"
        with contextlib.suppress(FileNotFoundError):
            if token := file.read_text().strip():
                return token
        token = secrets.token_hex(32)
        write_durably(file, token.encode())
        return token

    def password(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "password").read_text()
        return None

    def set_password(self, password: str | None) -> None:
        file = self.path / "password"
        if password is None:
            file.unlink(missing_ok=True)
        else:
            write_durably(file, password.encode())

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        """Be the supervisor of this cluster; raises `FolderError` when another process is."""
        with open(self.path / "supervisor.lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderError(self.already_up()) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def already_up(self) -> str:
        return (
            f"the cluster {self.name} is up already (supervisor {self.supervisor_pid()}, data in {self.path}); "
            f"`ringkeeper down --name {self.name}` stops it, --name and --base-port start another one"
        )

    def supervisor_pid(self) -> int | None:
        """The process that supervises this cluster, or None when nobody does."""
        try:
            with open(self.path / "supervisor.lock", "r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read() or 0)
        except (OSError, ValueError):
            pass
        return None

    # The committed topology

    def committed(self) -> tuple[Topology | None, str | None]:
        """The topology and the version to name in a compare-and-set; a damaged file counts as none."""
        try:
            entry = json.loads((self.path / "topology.json").read_bytes())
            return decode(entry["topology"]), str(entry["version"])
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, KeyError, TypeError, TopologyError):
            return None, None

    def commit(self, topology: Topology, expected: str | None) -> None:
        """Compare-and-set, under a lock and through fsync; raises `Conflict` when another version is there."""
        with self._locked("topology.lock"):
            _, version = self.committed()
            if version != expected:
                raise Conflict(f"version {version} of the topology is committed, not {expected}")
            entry: dict[str, Any] = {"version": str(int(version or 0) + 1), "topology": encode(topology)}
            write_durably(self.path / "topology.json", json.dumps(entry).encode())

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[IO[str]]:
        with open(self.path / name, "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    # The end

    def remove(self, nodes: list[str]) -> None:
        """Leave nothing: the nodes' folders, what this module wrote, the registry's entry."""
        for name in nodes:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (
            "manifest.yaml", "topology.json", "topology.lock", "admin-token", "password", "status.json",
            "supervisor.log", "supervisor.lock", "cluster.json",
        ):  # fmt: skip
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()
        (state_home() / f"{self.name}.json").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            state_home().rmdir()


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
