"""What a node does with the files that it finds at its start: it loads them, in a thread, and says how far it is.

If there is an append-only file, that is the data, whatever the configuration says of the future: base, then increments.
Else it is the snapshot. Then the files are made what the configuration asks for, before anybody is served.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.persist.aof import BASE, Manifest, Part, Torn
from ringkeeper.persist.files import make_folder
from ringkeeper.persist.loading import Loader
from ringkeeper.persist.log import LogFolder, NotNamedError
from ringkeeper.persist.rdb import Damaged, RdbReader, Unsupported, begins_as_rdb
from ringkeeper.persist.reader import Reader, Source
from ringkeeper.persist.replay import Replay
from ringkeeper.server.append_only import NEW_BASE
from ringkeeper.server.config import ConfigError
from ringkeeper.server.snapshots import saving, to_the_letter

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

RECORDS_AT_ONCE = 500
"""Records between two moments at which the event loop can go on: about a millisecond."""
WAY_OUT = (
    "Nothing was changed or deleted. Put a sound copy of the file in its place, or move it away to start without its "
    "data"
)
FIX = "Nothing was changed or deleted. `ringkeeper check-aof {folder}` says what can still be read"


class Recovery:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.loading = False
        self.began_ms = 0
        self.began = 0.0
        self.size = 0
        """Of all files that are loaded, in bytes."""
        self.before = 0
        """Bytes of those that are done."""
        self.path = node.snapshots.path
        """What is being loaded."""
        self.progress: Callable[[], int] = lambda: 0
        """Bytes of that."""
        self.loaded = 0
        """Keys that snapshots and bases brought."""
        self.expired = 0
        """Keys that they held and that were left out."""
        self.commands = 0
        """Commands that were executed."""
        self.stopped = False
        """The node is to end: the rest need not be loaded."""

    @property
    def position(self) -> int:
        """In all files, in bytes."""
        return self.before + self.progress()

    @property
    def fraction(self) -> float:
        return self.position / self.size if self.size else 0.0

    @property
    def eta_s(self) -> int:
        spent = time.monotonic() - self.began
        return round(spent * (1 - self.fraction) / self.fraction) if self.fraction else 0

    def describe(self) -> str:
        return f"loading its data: {self.fraction:.0%} of {self.size >> 20} MB"

    @property
    def needed(self) -> bool:
        """Whether there is anything to do before somebody can be served."""
        append_only = self.node.append_only
        return append_only.wanted or append_only.folder.is_dir() or self.node.snapshots.path.exists()

    async def run(self) -> None:
        """Load what there is; raises `ConfigError` with the way out if it cannot be used."""
        self.began_ms = self.node.clock.now_ms
        self.began = time.monotonic()
        folder = await asyncio.to_thread(self.recover)
        self.progress = lambda: 0
        if folder is not None and not self.stopped:
            self.node.append_only.resume(folder)

    def recover(self) -> LogFolder | None:
        """In a thread: load, and make the files what they shall be. The log that goes on, if one does."""
        append_only = self.node.append_only
        folder = append_only.open_folder()
        with self.complaints(append_only.folder / folder.manifest_name, WAY_OUT):
            manifest = folder.find() if append_only.folder.is_dir() else None
        sizes: dict[str, int] = {}
        if manifest is not None:
            with to_the_letter(self.node.databases):
                sizes = self.load_log(folder, manifest)
        elif self.node.snapshots.path.exists():
            # What is over goes when a master says so, which may be another node.
            alone = not self.node.cluster_enabled and not self.node.config.text("replicaof")
            with to_the_letter(() if alone else self.node.databases):
                self.load_snapshot(self.node.snapshots.path)
        if self.stopped:
            return None
        self.node.snapshots.saved_dirty = self.node.snapshots.dirty
        with self.complaints(append_only.folder, "Make room, or let the node write there"):
            if append_only.wanted:
                self.prepare(folder, manifest, sizes)
                return folder
            if manifest is not None:
                self.leave(folder)
        return None

    # Loading

    def load_snapshot(self, path: Path) -> None:
        log.info("Loading the data from %s", path)
        self.path = path
        with self.complaints(path, WAY_OUT), self.node.snapshots.files.source(path.name) as (source, self.size):
            self.load_rdb(source, self.size)
        log.info("DB loaded from disk: %.3f seconds, %d keys, %d expired", time.monotonic() - self.began, self.loaded,
                 self.expired)  # fmt: skip

    def load_log(self, folder: LogFolder, manifest: Manifest) -> dict[str, int]:
        """Load all parts of a log; how many bytes each has."""
        sizes = {}
        where = self.node.append_only.folder
        log.info("Loading the data from %s", where / folder.manifest_name)
        for part in manifest.parts:
            with self.complaints(where / part.name, WAY_OUT), folder.files.source(part.name) as (_, sizes[part.name]):
                pass
        self.size = sum(sizes.values())
        for index, part in enumerate(manifest.parts):
            self.path = where / part.name
            # An increment that was to follow, when the folder could not be synced, may be named without having begun.
            last = not any(sizes[later.name] for later in manifest.parts[index + 1 :])
            with self.complaints(self.path, FIX.format(folder=where)):
                self.load_part(folder, part, sizes, last=last)
            self.before += sizes[part.name]
            self.progress = lambda: 0
        log.info("DB loaded from append only file: %.3f seconds, %d keys, then %d commands",
                 time.monotonic() - self.began, self.loaded, self.commands)  # fmt: skip
        return sizes

    def load_part(self, folder: LogFolder, part: Part, sizes: dict[str, int], *, last: bool) -> None:
        with folder.files.source(part.name) as (source, size):
            start = 0
            if begins_as_rdb(source):
                start = self.load_rdb(source, size)
            elif part.kind == BASE and part.name.endswith(".rdb"):
                raise Damaged(0, "it does not begin as an RDB file")
            context = self.node.make_context(cast(Any, None))
            replay = Replay(source, size, context, self.node.commands, start)
            self.progress = lambda: replay.at
            try:
                self.go_through(replay.some)
            except Torn as torn:
                if not last or not self.node.config.flag("aof-load-truncated"):
                    raise
                log.warning("%s ends amid a command, as after a crash (%s): its last %d bytes are cut off",
                            self.path, torn, size - torn.at)  # fmt: skip
                folder.cut(part, torn.at)
                sizes[part.name] = torn.at
            self.commands += replay.commands
            if replay.commands or context.database:
                self.node.replication.database = context.database
            if replay.facts:
                self.take_up(replay.facts, sizes[part.name] - replay.facts_end)

    def load_rdb(self, source: Source, size: int) -> int:
        """Where it ends."""
        summing = self.node.config.flag("rdbchecksum")
        reader = RdbReader(Reader.of_file(source, size, summing=summing), self.node.limits)
        loader = Loader(reader, self.node.databases)
        self.progress = lambda: reader.reader.at
        reader.open()
        self.go_through(loader.some)
        if reader.empty:
            log.warning("%d keys without any elements were passed over", reader.empty)
        self.loaded += loader.loaded
        self.expired += loader.expired
        owner = loader.aux.get(b"ringkeeper-node", b"").decode("latin-1")
        membership = self.node.membership
        if owner and self.node.cluster_enabled and owner != membership.id and not membership.was(owner):
            raise ConfigError(
                f"{self.path}: it was written by node {owner}, and this is node {self.node.membership.id}. Nothing was "
                "changed or deleted. Name another folder with --dir; `ringkeeper load` puts such a file into a cluster"
            )
        names = {"id": b"repl-id", "offset": b"repl-offset", "term": b"ringkeeper-term", "db": b"repl-stream-db"}
        facts = {name: loader.aux.get(field, b"").decode("latin-1") for name, field in names.items()}
        self.take_up(facts, 0)
        return reader.reader.at

    def go_through(self, some: Callable[[int], bool]) -> None:
        collecting = gc.isenabled()
        gc.disable()
        try:
            while not self.stopped and some(RECORDS_AT_ONCE):
                pass
        finally:
            if collecting:
                gc.enable()

    def take_up(self, facts: dict[str, str], behind: int) -> None:
        """Go on in the history of changes where the file ends, so many bytes behind the place that says these facts."""
        id_, offset, term, database = (facts.get(name, "") for name in ("id", "offset", "term", "db"))
        if len(id_) == 40 and offset.isdigit() and len(offset) < 19:
            number = int(term) if term.isdigit() and len(term) < 19 else 0
            self.node.replication.take_up(id_, int(offset) + behind, number)
            if database.isdigit() and len(database) < 9 and int(database) < len(self.node.databases):
                self.node.replication.database = int(database)

    # The files

    def prepare(self, folder: LogFolder, manifest: Manifest | None, sizes: dict[str, int]) -> None:
        """Have a log that can go on; if there is none, begin one with what was loaded."""
        make_folder(self.node.append_only.folder)
        folder.clean()
        if manifest is not None:
            folder.resume(sizes)
            return
        folder.next_increment()
        facts: dict[str, int] = {}
        saving(self.node, folder.files, NEW_BASE, base=True)(facts.update)
        folder.adopt_base(NEW_BASE, facts["bytes"], folder.part.number)

    def leave(self, folder: LogFolder) -> None:
        """The configuration asks for no log: let a snapshot take its place."""
        snapshots = self.node.snapshots
        saving(self.node, snapshots.files, snapshots.path.name)(lambda _: None)
        folder.retire()
        log.info("The append-only file was on and is off now: %s holds what it held", snapshots.path)

    @contextmanager
    def complaints(self, path: Path, way_out: str) -> Iterator[None]:
        """Say to people what is wrong with a file."""
        try:
            yield
        except Unsupported as why:
            raise ConfigError(f"{path}: {why}. {way_out}") from None
        except NotNamedError as why:
            raise ConfigError(f"{path.parent}: {why.why}. {way_out}") from None
        except Damaged as why:
            raise ConfigError(f"{path} is damaged {why}. {way_out}") from None
        except OSError as error:
            where = f", at byte {at:,}" if (at := self.progress()) else ""
            raise ConfigError(f"{path}: {error.strerror or error}{where}. {way_out}") from None
