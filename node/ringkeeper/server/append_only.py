"""The append-only file as the loop sees it: when bytes go to its thread, when replies wait, when a new base is taken.

    commands -> Journal.buffer -> Appender (thread) -> the disk -> State -> Journal.durable -> held replies

With `always` the bytes of each round of the loop go at once, and who changed something waits for the sync. With
`everysec` they go every 20 ms and are synced every second; only if the disk is about to fall two seconds behind do
replies wait as well, so that never more than two seconds of acknowledged changes can be lost. That is looked at before
any command is executed (`Traffic.expect`): a loop that is late with all else is not late with that.

After a full sync the log tells of data that is here no more, until a base of the new is in its place. What is changed
meanwhile (by a replica that is promoted just then) is acknowledged as the policy allows: with `always` when the base is
there and a sync behind it is done, else at once, as Redis does. A crash before that finds the data of before.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.persist.aof import annotation
from ringkeeper.persist.files import DiskFiles, make_folder
from ringkeeper.persist.log import LogFolder
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.appender import Appender, State
from ringkeeper.server.child import Child
from ringkeeper.server.config import ConfigError
from ringkeeper.server.snapshots import saving

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

HAND_OVER_SECONDS = 0.02
"""How long bytes may wait for others, unless somebody waits for them."""
SYNC_SECONDS = 1.0
BEHIND_SECONDS = 1.8
"""From then on replies wait."""
MOST_PENDING = 64 << 20
"""Bytes that were not written yet, from which on replies wait, too: the disk is slower than those who write."""
RETRY_SECONDS = 5.0
"""Until a base that failed is tried again."""
NEW_BASE = "temp-base.rdb"
BROKEN = "what it holds is not what is here; a new base is being written"
NEW = "Its data is new here, and the first base of it is not on the disk yet"
OFF = ReplyError("ERR The append-only file is off; CONFIG SET appendonly yes begins one")


class AppendOnly:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.journal = node.effects.journal
        self.appender: Appender | None = None
        """None while there is no append-only file."""
        self.state = State()
        self.policy = "everysec"
        self.wanted = False
        """`appendonly`."""
        self.promising = False
        """What is on the disk is the data: there was a base."""
        self.anew = False
        """The data is another than the log tells, and the first base of it is not on the disk."""
        self.datasets = 0
        """How often it became another."""
        self.scheduled = False
        """A base is to be taken as soon as no other child runs."""
        self.running: Child | None = None
        self.adopting = False
        """A base is written, and the thread has yet to put it in its place."""
        self.stopping = False
        """The thread of a log that was switched off has yet to end."""
        self.base_error = ""
        self.base_tried = 0.0
        self.seconds = -1
        """That the last base took."""
        self.copied = 0
        self.rewrites = 0
        self.failures = 0
        """Of bases, one after the other."""
        self.failed = 0
        """Of all bases."""
        self.marks: deque[tuple[int, float]] = deque()
        """Offsets that are not durable yet, and when the first change before them was made."""
        self.began = math.inf
        """When the first change was made that was not handed over yet."""
        self.sync_asked = 0.0
        self.noted = 0.0
        self.delayed = 0
        """How often replies had to wait with `everysec`."""
        self.timestamps = False
        self.growth_percentage = 100
        self.growth_minimum = 64 << 20
        self.ended_at = 0.0
        """When it had been switched off; 0 if a snapshot or a new log has taken its place since."""
        self.retiring: asyncio.Future[None] | None = None
        self.size_at_base = 0
        """Of all parts, when the last base was adopted."""

    @property
    def folder(self) -> Path:
        config = self.node.config
        return Path(config.text("dir"), config.text("appenddirname")).resolve()

    @property
    def behind_s(self) -> float:
        """How old the oldest change is that is not known to be on the disk."""
        return time.monotonic() - self.marks[0][1] if self.marks else 0.0

    def open_folder(self) -> LogFolder:
        return LogFolder(DiskFiles(str(self.folder)), self.node.config.text("appendfilename"))

    @property
    def error(self) -> str:
        """Why changes cannot be kept at present."""
        return self.state.error or self.base_error_that_counts()

    def base_error_that_counts(self) -> str:
        """Why the log cannot go on, if a new base alone would help; not where that is on its way to the disk."""
        if self.anew:
            return self.base_error
        return self.base_error or BROKEN if self.state.broken else ""

    @property
    def lacking(self) -> str:
        """Why this node would come back without its data; empty if it would not."""
        return self.error or (NEW if self.anew else "")

    @property
    def binds(self) -> bool:
        """Whether the disk keeps the data, or will before anybody is told so."""
        return self.promising or (self.anew and self.policy == "always")

    @property
    def pending(self) -> int:
        """Bytes that were not written yet."""
        return self.journal.offset - self.state.written if self.appender else 0

    # From the configuration

    def apply(self, changed: frozenset[str]) -> None:
        config = self.node.config
        self.growth_percentage = config.number("auto-aof-rewrite-percentage")
        self.growth_minimum = config.number("auto-aof-rewrite-min-size")
        self.timestamps = config.flag("aof-timestamp-enabled")
        self.wanted = config.flag("appendonly")
        if "appendfsync" in changed:
            self.policy = config.text("appendfsync")
            self.marks.clear()
            self.follow_policy()
        if "appendonly" in changed and self.node.running:
            if self.wanted:
                self.begin_later()
            else:
                self.node.loop.call_soon(self.end)

    def follow_policy(self) -> None:
        appender = self.appender
        if appender is not None:
            always = self.policy == "always" and self.binds
            appender.ask(lambda: setattr(appender, "always", always))
            self.make_wait(always)
            self.expect_disk()

    def make_wait(self, wait: bool) -> None:
        """Let replies of changes wait for the disk, or no longer."""
        self.journal.disk_waits = wait
        self.journal.let_go()

    # Beginning and ending

    def resume(self, folder: LogFolder) -> None:
        """Go on with the log that was found at the start, or made there."""
        self.start(folder)
        self.promising = True
        self.size_at_base = folder.total_size
        self.follow_policy()

    def start(self, folder: LogFolder) -> Appender:
        offset = self.journal.offset
        self.state = State(written=offset, durable=offset, size=folder.total_size, base_size=folder.base_size)
        self.appender = appender = Appender(
            folder, self.node.loop, self.told, offset=offset, recycle=self.journal.give_back
        )
        self.journal.filing = True
        self.journal.on_disk = offset
        self.journal.let_go()
        self.journal.schedule = self.arrange
        self.journal.hurry = lambda: self.node.loop.call_soon(self.hand_over)
        self.noted = self.sync_asked = time.monotonic()
        self.node.effects.update()
        return appender

    def begin_part(self) -> None:
        """An increment begins: it says in which database, and where in the history of all changes."""
        self.journal.forget()
        self.annotate()

    def begin_later(self) -> None:
        """CONFIG SET appendonly yes: with the next base, which is taken as soon as may be."""
        self.scheduled = True
        self.node.loop.call_soon(self.round)

    def end(self) -> None:
        """CONFIG SET appendonly no: what it holds is kept until a snapshot has taken its place."""
        if self.wanted:
            return
        self.scheduled = False
        if self.running is not None:
            self.running.cancel()
        if self.appender is None:
            self.node.snapshots.scheduled |= self.ended_at > 0
            return
        self.hand_over()
        appender, self.appender = self.appender, None
        self.journal.filing = False
        self.promising = self.anew = False
        self.node.effects.update()
        self.make_wait(False)
        self.state = State()
        self.marks.clear()
        self.expect_disk()
        self.stopping, self.adopting = True, False
        appender.stop(self.ended)
        self.node.choose_gates()

    def ended(self, error: str) -> None:
        """The thread touches nothing any more."""
        self.stopping = False
        log.info("The append-only file is off%s", f": {error}" if error else "")
        self.ended_at = time.monotonic()
        self.node.snapshots.scheduled |= not self.wanted

    def snapshot_taken(self, began: float) -> None:
        """A snapshot that began then is on the disk: it may take the place of a log that was ended before."""
        if self.ended_at and began >= self.ended_at and self.appender is None and not self.wanted:
            self.ended_at = 0.0
            folder = self.open_folder()
            self.retiring = self.node.loop.run_in_executor(None, folder.retire)

    async def stop(self) -> None:
        """Have all written and synced, before the node ends."""
        if self.appender is None:
            return
        if self.running is not None:
            self.running.cancel()
        self.hand_over()
        done: asyncio.Future[str] = self.node.loop.create_future()
        self.appender.stop(lambda error: None if done.done() else done.set_result(error))
        if error := await done:
            log.error("The end of the append-only file could not be written: %s", error)
        else:
            self.journal.reached(self.journal.offset)
        self.appender = None
        self.journal.filing = False
        self.node.effects.update()

    # Handing over

    def arrange(self) -> None:
        """The journal has something."""
        self.began = time.monotonic()
        if self.journal.disk_waits or self.policy == "always":
            self.node.loop.call_soon(self.hand_over)
        else:
            self.node.loop.call_later(HAND_OVER_SECONDS, self.hand_over)

    def hand_over(self) -> None:
        if self.appender is None or not self.journal.buffer:
            return
        now = time.monotonic()
        if now - self.noted >= SYNC_SECONDS:
            self.noted = now
            self.annotate()
        self.appender.hand_over(self.journal.take(), self.journal.offset, len(self.journal.held))
        if self.policy != "no":
            self.mark(min(self.began, now))
        self.began = math.inf

    def sync_now(self) -> None:
        """Have all of it on the disk as soon as that can, where nobody would see to that at once."""
        self.hand_over()
        if self.appender is not None and self.policy != "always":
            self.sync_asked = time.monotonic()
            self.appender.sync_soon()

    def mark(self, began: float) -> None:
        """Remember how old what was handed over is, by steps of `HAND_OVER_SECONDS`: what is within one counts as old
        as what it began with.
        """
        if self.marks and began - self.marks[-1][1] < HAND_OVER_SECONDS:
            _, began = self.marks.pop()
        self.marks.append((self.journal.offset, began))
        if len(self.marks) == 1:
            self.expect_disk()

    def expect_disk(self) -> None:
        """See to it that no command is executed without a look at a disk that has fallen behind."""
        due = 0
        if self.marks and self.policy == "everysec" and not self.journal.disk_waits:
            due = math.ceil((self.marks[0][1] + BEHIND_SECONDS) * 1e9) + 1
        self.node.clients.traffic.expect(due, self.overdue)

    def overdue(self) -> None:
        if self.appender is not None:
            self.look_at_disk(time.monotonic())

    def annotate(self) -> None:
        """Say where in the history of all changes the file is; for replicas, and for people who look for a time."""
        node = self.node
        if self.timestamps:
            self.journal.note(b"#TS:%d\r\n" % (node.clock.now_ms // 1000))
        history = node.replication
        self.journal.note(annotation((("term", history.term), ("id", history.id), ("offset", history.offset))))

    def told(self, state: State) -> None:
        """The thread has done something."""
        if self.appender is None:
            return
        before, self.state = self.state, state
        if self.marks and self.marks[0][0] <= state.durable:
            while self.marks and self.marks[0][0] <= state.durable:
                self.marks.popleft()
            self.expect_disk()
        if self.journal.disk_waits:
            self.journal.reached(self.kept(state))
        if state.error != before.error or state.broken != before.broken:
            if state.error and not before.error:
                log.error(
                    "The append-only file cannot be written: %s. Commands that change data are refused", state.error
                )
            elif not state.error and not state.broken:
                log.warning("The append-only file can be written again")
            self.node.choose_gates()
        if state.broken and self.running is None and not self.scheduled:
            self.scheduled = True
            self.node.loop.call_soon(self.round)

    def kept(self, state: State) -> int:
        """The offset up to which replies need not wait any longer."""
        return state.durable if self.policy != "no" and self.binds else state.written

    def round(self) -> None:
        """To be called now and then."""
        now = time.monotonic()
        if self.appender is not None:
            self.look_at_disk(now)
            self.look_at_growth()
        may_try = not self.base_error or now - self.base_tried >= RETRY_SECONDS
        if self.scheduled and may_try and not self.busy and self.node.snapshots.running is None:
            self.scheduled = False
            self.try_base()

    def look_at_disk(self, now: float) -> None:
        assert self.appender is not None
        if self.policy == "everysec" and self.marks and now - self.sync_asked >= SYNC_SECONDS:
            self.sync_asked = now
            self.appender.sync_soon()
        if self.policy != "always" or not self.binds:
            late = self.promising and self.behind_s >= BEHIND_SECONDS
            behind = late or self.pending >= MOST_PENDING
            if behind and not self.journal.disk_waits:
                self.delayed += 1
                log.warning("The disk is slow: replies wait until it has what they acknowledge")
                self.journal.on_disk = self.kept(self.state)
            if behind != self.journal.disk_waits:
                self.make_wait(behind)
                self.node.clients.traffic.depend()
                self.expect_disk()

    def look_at_growth(self) -> None:
        size = self.state.size
        if self.running is None and self.growth_percentage and self.promising and size >= self.growth_minimum:
            grown = (size - self.size_at_base) * 100 / max(self.size_at_base, 1)
            if grown >= self.growth_percentage and not self.scheduled:
                log.info("The append-only file has grown by %d %%: a new base is taken", grown)
                self.scheduled = True

    # Bases

    @property
    def busy(self) -> bool:
        """Whether no base can be taken now: something else is being made of the files."""
        retiring = self.retiring is not None and not self.retiring.done()
        return self.running is not None or self.adopting or self.stopping or retiring

    def rewrite(self) -> bool:
        """BGREWRITEAOF; whether it began now. Raises `ReplyError`."""
        if self.appender is None:
            raise OFF
        if self.busy:
            raise ReplyError("ERR Background append only file rewriting already in progress")
        if self.node.snapshots.running is not None or self.node.effects.held:
            self.scheduled = True
            return False
        self.take_base()
        return True

    def try_base(self) -> None:
        try:
            self.take_base()
        except ReplyError as error:
            log.warning("%s", error.text)
            self.scheduled = True

    def take_base(self) -> None:
        """Fork a child that writes all there is now; what comes from now on goes to an increment behind it."""
        self.base_tried = time.monotonic()
        appender = self.appender
        if appender is None:
            try:
                self.node.lock_folder()
            except ConfigError as error:
                self.base_failed(str(error))
                raise ReplyError(f"ERR {error}") from None
            appender = self.start(self.open_folder())
            appender.ask(lambda: make_folder(self.folder))
        self.hand_over()
        appender.ask(appender.begin_increment, self.increment_began)
        self.begin_part()
        try:
            self.running = self.node.fork(
                saving(self.node, DiskFiles(str(self.folder)), NEW_BASE, base=True), self.base_written
            )
        except OSError as error:
            self.base_failed(f"fork: {error.strerror}")
            raise ReplyError(f"ERR Can't rewrite the append-only file: fork: {error.strerror}") from None
        log.info("Background append only file rewriting started by pid %d", self.running.pid)

    def begin_anew(self) -> None:
        """The data is not what the log tells: a base of it takes the place of all; until then the log is as it was."""
        if self.running is not None:
            self.running.cancel()
        if self.appender is not None:
            self.hand_over()
            self.appender.ask(self.appender.log.abandon)
            self.scheduled = self.anew = True
            self.promising = False
            self.datasets += 1
            self.base_error = ""
            self.follow_policy()
            self.node.loop.call_soon(self.round)

    def increment_began(self, error: str) -> None:
        if error and self.running is not None:
            self.base_error = error
            self.running.cancel()

    def base_written(self, child: Child) -> None:
        self.running = None
        self.seconds = int(child.seconds)
        if child.cancelled and not self.base_error:
            self.scheduled |= self.anew  # it was of the data of before
        elif child.error:
            self.base_failed(self.base_error if child.cancelled and self.base_error else child.error)
        elif self.appender is not None:
            self.copied = child.copied
            self.adopting = True
            appender, dataset = self.appender, self.datasets
            appender.ask(
                lambda: appender.adopt(NEW_BASE, child.bytes),
                lambda error: self.adopted(appender, child, dataset, error),
            )

    def adopted(self, appender: Appender, child: Child, dataset: int, error: str) -> None:
        if self.appender is not appender:
            return
        self.adopting = False
        if dataset != self.datasets:
            return
        if error:
            self.base_failed(error)
            return
        self.base_error = ""
        self.ended_at = 0.0
        self.failures = 0
        self.rewrites += 1
        self.promising, self.anew = True, False
        self.size_at_base = child.bytes
        self.follow_policy()
        self.node.choose_gates()
        log.info("Background AOF rewrite finished successfully: %d keys, %d bytes; %d MB were copied in memory",
                 child.keys, child.bytes, child.copied >> 20)  # fmt: skip

    def base_failed(self, error: str) -> None:
        self.base_error = error
        self.failures += 1
        self.failed += 1
        if self.appender is not None and (self.state.broken or not self.promising):
            self.scheduled = True
        log.warning("Background AOF rewrite failed: %s", error)
        self.node.choose_gates()
