"""The picture of a cluster in a terminal: its ring, its shards, its nodes."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Literal

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.rebalance_status import section_of, told

if TYPE_CHECKING:
    from ringkeeper_operator.cli_status import Look
    from ringkeeper_operator.model import ObservedNode
    from ringkeeper_operator.status import ShardState

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")
STATES = {
    "online": "green",
    "starting": "yellow",
    "loading": "yellow",
    "syncing": "yellow",
    "disconnected": "red",
    "fenced": "red",
    "failed": "red",
    "stopped": "red",
}
ROWS, WIDTH = 11, 25
"""Of the ring, in characters; about a circle, since a character is twice as high as wide."""
BAR = 32
BESIDE_BAR = 49
"""Columns that the other figures of a shard take, but for its weight."""
WEIGHT = 8
WHOLE = 80
"""Columns that a node's row takes."""
NUMBERS = ("weight", "slots", "keys", "term", "replicas", "pid", "memory")
SIDE_BY_SIDE = 110
"""Columns from which the tables stand beside the ring."""


def console() -> Console:
    return Console(highlight=False)


def colour(shard: int) -> str:
    return COLOURS[shard % len(COLOURS)] if shard >= 0 else "red"


def draw(look: Look, screen: Console) -> RenderableType:
    """The whole picture; in a narrow terminal the parts stand below each other."""
    plain = not (screen.encoding or "").lower().startswith("utf")
    seen = look.summary
    state = Text("Ready", style="bold green") if seen.ready else Text("Not ready", style="bold red")
    head = Text.assemble(
        (look.spec.name, "bold"),
        "  ",
        state,
        f"  epoch {seen.epoch}  {seen.slots_served} of {SLOTS} slots served  {seen.nodes_ready}/{seen.nodes} nodes",
    )
    section = section_of(look.spec, look.observed, look.folder.status().get("rebalance") or {}, time.time())
    if section.get("phase", "Done") != "Done":
        head.append(f"\n{told(section)}", style="yellow" if section["phase"] == "Blocked" else "cyan")
    if look.supervisor is None:
        head.append("  no supervisor: nobody restarts nodes; run `ringkeeper up` again", style="yellow")
    beside = BESIDE_BAR + (WEIGHT if look.spec.weights else 0)
    bar = max(4, min(BAR, screen.width - beside))
    tables = Group(_shards(look, plain, bar), Text(), _nodes(look, plain, screen.width))
    if screen.width < SIDE_BY_SIDE:
        return Group(head, _ring(look, plain), tables)
    grid = Table.grid(padding=(0, 3))
    grid.add_row(_ring(look, plain), tables)
    return Group(head, grid)


def _ring(look: Look, plain: bool) -> RenderableType:
    """The circle of slots, slot 0 at the top, clockwise; each mark has the colour of most slots around it."""
    topology = look.observed.topology
    owners = topology.owners if topology else (-1,) * SLOTS
    serving = {shard.index for shard in look.summary.shards if shard.state == "online"}
    full, hollow = ("#", "o") if plain else ("●", "○")
    cells: dict[tuple[int, int], Text] = {}
    marks = 64
    for mark in range(marks):
        angle = 2 * math.pi * mark / marks
        row = round((ROWS - 1) / 2 * (1 - math.cos(angle)))
        column = round((WIDTH - 1) / 2 * (1 + math.sin(angle)))
        around = Counter(owners[SLOTS * mark // marks : SLOTS * (mark + 1) // marks])
        owner = around.most_common(1)[0][0]
        cells[row, column] = Text(full if owner in serving else hollow, style=colour(owner))
    middle = {ROWS // 2: f"{look.summary.slots_served}", ROWS // 2 + 1: "slots served"}
    lines = []
    for row in range(ROWS):
        line = Text()
        words = middle.get(row, "")
        start = (WIDTH - len(words)) // 2
        for column in range(WIDTH):
            if words and start <= column < start + len(words):
                line.append(words[column - start])
            else:
                line.append_text(cells.get((row, column), Text(" ")))
        lines.append(line)
    return Panel(Group(*lines), title="ring", expand=False, safe_box=plain)


def _table(headings: tuple[str, ...], plain: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in NUMBERS else "left"
        table.add_column(heading, justify=justify, no_wrap=True, overflow="crop" if plain else "ellipsis")
    return table


def _shards(look: Look, plain: bool, width: int) -> RenderableType:
    replicated = any(shard.replicas for shard in look.summary.shards)
    weights = look.spec.weights
    weighed = ("weight",) if weights else ()
    following = ("replicas",) if replicated else ()
    headings = ("shard", *weighed, "slots", "", "keys", "term", *following, "state")
    table = _table(headings, plain)
    largest = max((shard.slots for shard in look.summary.shards), default=1) or 1
    for shard in look.summary.shards:
        length = max(1, round(width * shard.slots / largest))
        bar = Text(("#" if plain else "█") * length, style=colour(shard.index))
        style = "green" if shard.state == "online" else "red"
        table.add_row(
            Text(str(shard.index), style=colour(shard.index)),
            *((f"{weights.get(shard.index, 1.0):g}",) if weights else ()),
            str(shard.slots),
            bar,
            f"{shard.keys:,}",
            str(shard.term),
            *((_replicas(shard),) if replicated else ()),
            Text(shard.state, style=style),
        )
    return table


def _replicas(shard: ShardState) -> Text:
    """How many follow their master, of all; green if each of them can take its place."""
    following = sum(replica.state == "online" for replica in shard.replicas)
    ready = all(replica.state == "online" and replica.voter for replica in shard.replicas)
    return Text(f"{following}/{len(shard.replicas)}", style="green" if ready else "yellow" if following else "red")


def _nodes(look: Look, plain: bool, width: int) -> RenderableType:
    """What stands further to the right is left out first where there is no room for it."""
    from ringkeeper_operator.cli_status import state_of

    headings: tuple[str, ...] = ("node", "role", "state", "address", "pid", "memory", "id")
    shown = headings[: 7 if width >= WHOLE else 5 if width >= WHOLE - 20 else 3]
    table = _table(shown, plain)
    ids = look.ids()
    troubles = []
    for node in look.observed.nodes:
        state = state_of(node)
        row = (
            Text(node.name, style=colour(node.shard)),
            node.report.role if node.report else "-",
            Text(_with_progress(state, node), style=STATES.get(state, "red")),
            f"{node.address}:{node.port}",
            str(node.pid or "-"),
            size(node.report.used_memory) if node.report else "-",
            Text(ids[node.name][:8], style="dim"),
        )
        table.add_row(*row[: len(shown)])
        if node.trouble:
            troubles.append(Text(f"{node.name}: {node.trouble}", style="red"))
        if node.report is not None and node.report.persistence_error:
            troubles.append(Text(f"{node.name}: cannot keep its data: {node.report.persistence_error}", style="red"))
    return Group(table, *troubles)


def _with_progress(state: str, node: ObservedNode) -> str:
    loaded = node.report.loaded if node.report is not None else None
    return state if loaded is None else f"{state} {loaded:.0%}"


def size(amount: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
