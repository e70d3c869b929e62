"""How far nodes are that load their data, in a line of a terminal; a line for each quarter where there is none."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

WIDTH = 30
QUARTER = 25


class LoadingBar:
    """One line, drawn again and again. What else is said meanwhile goes through `tell`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out if out is not None else sys.stderr
        self.drawn = False
        self.seen: dict[str, int] = {}
        """Percent by node."""

    def show(self, status: Mapping[str, Any]) -> bool:
        """Draw what a status says; whether that is something new."""
        rows = status.get("shardStatuses") or ()
        loading = {row["master"]: row.get("loadedPercent", 0) for row in rows if row.get("state") == "loading"}
        if loading == self.seen:
            return False
        before, self.seen = self.seen, loading
        if not loading:
            self.clear()
        elif self.out.isatty():
            self.draw(loading)
        else:
            for node, percent in loading.items():
                if node not in before or percent // QUARTER > before[node] // QUARTER:
                    self.write(f"  {node} loads its data: {percent} %\n")
        return True

    def draw(self, loading: Mapping[str, int]) -> None:
        percent = sum(loading.values()) // len(loading)
        full, empty = "█░" if (self.out.encoding or "").lower().startswith("utf") else "#-"
        length = WIDTH * percent // 100
        nodes = f"{len(loading)} nodes load" if len(loading) > 1 else f"{next(iter(loading))} loads"
        self.write(f"\r\x1b[2K  {full * length}{empty * (WIDTH - length)} {percent:3} %  {nodes}")
        self.drawn = True

    def tell(self, text: str) -> None:
        """A line above the bar."""
        self.clear()
        self.write(f"{text}\n")
        if self.seen and self.out.isatty():
            self.draw(self.seen)

    def clear(self) -> None:
        if self.drawn:
            self.write("\r\x1b[2K")
            self.drawn = False

    def write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
