"""Progress bars of files that are gone through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ringkeeper.persist.reader import Source


def bars() -> Progress:
    """On standard error, where that is a terminal."""
    screen = Console(stderr=True, highlight=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


@dataclass(frozen=True, slots=True)
class Watched:
    """A file that tells how far it was read. Implements `persist.reader.Source`."""

    source: Source
    tell: Callable[[int], None]

    def read_at(self, position: int, count: int) -> bytes:
        self.tell(position)
        return self.source.read_at(position, count)
