"""How far the load of a dump into a cluster has come, on the disk: another run goes on from there.

    STATE/loads/DIGEST.json    the record; DIGEST is of the dump's path and the cluster's name
    STATE/loads/DIGEST.lock    locked while a load runs

STATE is where a laptop's clusters are registered (`local_folder.py`). Beside the dump it would not always be: dumps lie
in folders that may only be read. The record is removed when the load is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ringkeeper_operator.runtime.local_folder import state_home, write_durably

HEAD_BYTES: Final = 1 << 16
"""Of the dump, that count for its identity."""


class Interrupted(Exception):
    """A load was begun before, and this one cannot go on from there; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A border between two records of a dump, and what a reader must know to go on there."""

    at: int = 0
    """In bytes."""
    version: int = 0
    database: int = 0
    checksum: int = 0
    """Of all bytes before it."""


@dataclass(slots=True)
class Figures:
    """What became of a dump's keys."""

    loaded: int = 0
    bytes: int = 0
    """Sent for those that were loaded."""
    existing: int = 0
    """Left as they were, since the cluster has keys of these names."""
    expired: int = 0
    """Left out, since their time had come."""
    unwanted: int = 0
    """Of another database, or not of the pattern."""
    unsupported: int = 0
    empty: int = 0
    """Collections without elements, which Redis passes over as well."""
    seconds: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        mine, others = asdict(self), asdict(other)
        return Figures(**{name: mine[name] + others[name] for name in mine})


@dataclass(slots=True)
class Record:
    """Of a load that has begun."""

    cluster: str
    """Its folder, or the HOST:PORT that was given."""
    dump: dict[str, Any]
    """The dump's identity."""
    options: dict[str, Any]
    """Those that decide which keys are loaded, and how."""
    place: Place = Place()
    """What stands before it is in the cluster."""
    sent_to: int = 0
    """Nothing behind this byte was ever sent; what stands between may be in the cluster or not."""
    foreign: list[str] = field(default_factory=list)
    """Keys that the cluster had before this load, which ended at them."""
    figures: Figures = field(default_factory=Figures)
    """Of what stands before `place`."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """Of the nodes that took part, by node id: one that was started anew may have lost what it took before."""

    def encoded(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def decoded(cls, data: bytes) -> Record:
        """Raises `KeyError`, `TypeError` or `ValueError` for what is no record."""
        fields = json.loads(data)
        place, figures = Place(**fields.pop("place")), Figures(**fields.pop("figures"))
        return cls(place=place, figures=figures, **fields)


def identity(path: Path) -> dict[str, Any]:
    """What tells whether a dump is the one whose load began. Raises `OSError`."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
    return {"path": str(path.absolute()), "bytes": status.st_size, "modified": status.st_mtime_ns, "head": head}


class Keeper:
    """Keeps the record of one load."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    @contextlib.contextmanager
    def of(cls, dump: Path, cluster: str) -> Iterator[Keeper]:
        """For as long as nobody else loads the same; raises `Interrupted` or `OSError`."""
        digest = hashlib.sha256(f"{dump.absolute()}\0{cluster}".encode()).hexdigest()[:16]
        folder = state_home() / "loads"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keeper = cls(folder / f"{digest}.json")
        try:
            with open(keeper.file.with_suffix(".lock"), "a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Interrupted(f"{dump} is being loaded into {cluster} by another process") from None
                try:
                    yield keeper
                finally:
                    if not keeper.file.exists():
                        keeper.file.with_suffix(".lock").unlink(missing_ok=True)
        finally:
            for left in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    left.rmdir()

    def read(self, dump: dict[str, Any], options: dict[str, Any]) -> Record | None:
        """The record of a load that did not come to its end; None if there is none.

        Raises `Interrupted` if that was of another dump, or with other options.
        """
        try:
            record = Record.decoded(self.file.read_bytes())
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise Interrupted(f"{self.file} is damaged ({error}); --restart begins anew") from None
        if record.dump != dump:
            raise Interrupted(
                f"{dump['path']} is not the file any more whose load was interrupted; --restart begins anew"
            )
        if record.options != options:
            differing = [(name, value) for name, value in record.options.items() if options[name] != value]
            before = ", ".join(f"no {name}" if value is None else f"{name} {value}" for name, value in differing)
            raise Interrupted(f"the load that was interrupted had {before}; do the same, or --restart to begin anew")
        return record

    def write(self, record: Record) -> None:
        write_durably(self.file, record.encoded())

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)


def forget_loads(cluster: str) -> None:
    """Of a cluster that is no more: a new one of the same name is empty."""
    folder = state_home() / "loads"
    for file in folder.glob("*.json"):
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            if Record.decoded(file.read_bytes()).cluster == cluster:
                file.unlink()
                file.with_suffix(".lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
