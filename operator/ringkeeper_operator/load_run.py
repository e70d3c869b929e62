"""Behind `ringkeeper load`: check the dump, find out how far an earlier load came, load, and say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.progress import Progress, TaskID

from ringkeeper.persist.check import RdbReport, read_rdb
from ringkeeper.persist.files import FileSource, opened
from ringkeeper.persist.rdb import Damaged, RdbReader
from ringkeeper.persist.reader import Reader
from ringkeeper.types.collection import Limits
from ringkeeper_operator.bars import Watched, bars
from ringkeeper_operator.cli_common import FAILED, fail
from ringkeeper_operator.load_report import Outcome
from ringkeeper_operator.runtime.import_state import Interrupted, Keeper, Record, identity
from ringkeeper_operator.runtime.importing import Choice, Import, Stopped
from ringkeeper_operator.runtime.redis_nodes import Address, Nodes, Refused, Unserved

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it."""
SHOWN_SECONDS: Final = 0.1
"""The bar moves no more often."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the keys go."""

    name: str
    seeds: list[Address]
    password: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    file: Path
    target: Target
    user: str | None
    password: str | None
    choice: Choice
    check: bool
    restart: bool
    dry: bool
    rate: int
    wait: float


def carry_out(order: Order) -> Outcome:
    """Check, connect, load. What cannot be helped ends the program."""
    with bars() as progress, opened(order.file) as (source, size), contextlib.ExitStack() as held:
        dump = identity(order.file)
        record: Record | None = None
        keeper: Keeper | None = None
        try:
            if not order.dry:
                keeper = held.enter_context(Keeper.of(order.file, order.target.name))
                if order.restart:
                    keeper.forget()
                record = keeper.read(dump, order.choice.options())
        except Interrupted as error:
            fail(str(error))
        if record is None:
            if order.check:
                check(order, source, size, progress)
            record = Record(order.target.name, dump, order.choice.options())
        else:
            click.echo(f"going on at {share(record)} of the file, where the last load stopped", err=True)
        return asyncio.run(load(order, source, record, keeper, progress))


def share(record: Record) -> str:
    return f"{record.place.at / max(record.dump['bytes'], 1):.0%}"


# Before


def check(order: Order, source: FileSource, size: int, progress: Progress) -> None:
    """Read the file through; ends the program if it cannot be loaded as it was asked for."""
    bar = progress.add_task("checking", total=size, figures="")
    report = RdbReport(str(order.file), size)
    watched = Watched(source, lambda at: progress.update(bar, completed=at))
    read_rdb(RdbReader(Reader.of_file(watched, size), Limits(), passing=True), report)
    if problem := problem_of(report, order.choice):
        progress.stop()
        fail(f"{order.file}: {problem}; nothing was sent")
    progress.update(bar, completed=size)


def problem_of(report: RdbReport, choice: Choice) -> str:
    """Why a dump cannot be loaded in this way; empty if it can."""
    if report.error:
        return f"it is damaged {report.error}"
    if report.unsupported_count and choice.unsupported == "refuse":
        more = f", and {report.unsupported_count - 1:,} more" if report.unsupported_count > 1 else ""
        return f"it holds what is not supported: {report.unsupported[0]}{more}; --skip-unsupported leaves such out"
    there = ", ".join(f"{number} ({count:,} keys)" for number, count in sorted(report.databases.items()))
    if choice.database is None and len(report.databases) > 1:
        return f"it holds the databases {there}, and a cluster has one: say which with --db"
    if choice.database is not None and choice.database not in report.databases and report.databases:
        return f"it has no key in database {choice.database}, but in {there}"
    return ""


# The load


async def load(order: Order, source: FileSource, record: Record, keeper: Keeper | None, progress: Progress) -> Outcome:

    nodes = Nodes(order.target.seeds, order.user, order.password, order.wait)
    nodes.run_ids = dict(record.run_ids)
    began_at = record.place.at
    bar = progress.add_task("reading" if order.dry else "loading", total=record.dump["bytes"], figures="")
    task = Import(source, record, order.choice, nodes, keeper, tell=shower(progress, bar), rate=order.rate)
    outcome = Outcome(str(order.file), order.target.name, order.dry, task, began_at, nodes.restarted)
    try:
        await nodes.await_all()
    except (Refused, Unserved) as error:
        progress.stop()
        nodes.close()
        fail(f"{order.target.name}: {error}")
    with stopped_by_signals() as stop:
        await run(task, outcome, stop)
    nodes.close()
    progress.update(bar, completed=task.record.place.at, figures=f"{task.figures.loaded:,} keys")
    progress.stop()
    if keeper is not None and (task.complete or task.damage):
        keeper.forget()
    return outcome


async def run(task: Import, outcome: Outcome, stop: asyncio.Event) -> None:
    """Load, and put into words what kept it from its end."""

    how_far = "" if outcome.dry else "; the same command goes on from there"
    try:
        await task.run(stop)
    except Damaged as damage:
        outcome.code = FAILED
        outcome.error = f"{outcome.file} cannot be read on {damage}; what stands before that is loaded"
    except (Stopped, Refused, Unserved) as error:
        outcome.code = FAILED
        outcome.error = f"stopped at {share(task.record)} of the file: {error}{how_far}"
    else:
        if not task.complete:
            outcome.code = INTERRUPTED
            outcome.error = f"interrupted at {share(task.record)} of the file{how_far}"
        elif outcome.restarted:
            outcome.code = FAILED
            outcome.error = (
                f"{', '.join(outcome.restarted)} was started anew during the load, or another node became master "
                "instead: what it took before may be lost; `--restart --skip-existing` puts in what is missing"
            )


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one ends the program at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def shower(progress: Progress, bar: TaskID) -> Callable[[Import], None]:
    """What moves the bar."""
    last = 0.0

    def show(task: Import) -> None:
        nonlocal last
        now = progress.get_time()
        if now - last > SHOWN_SECONDS:
            last = now
            progress.update(bar, completed=task.record.place.at, figures=f"{task.figures.loaded:,} keys")

    return show
