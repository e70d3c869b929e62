"""What `/metrics` tells of slots that move to or from this node's shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringkeeper.server.metrics import Figures
    from ringkeeper.server.node import Node


def counters(node: Node) -> Figures:
    moves = node.moves
    return (
        ("migration_sent_bytes", "Bytes that went to the targets of moves of slots.", moves.sent),
        ("migration_received_bytes", "Bytes that came from the sources of moves of slots, and are applied.",
         moves.received),
        ("migration_held_seconds", "For how long commands on slots about to move were held back.", moves.held_seconds),
        ("migration_failures", "Moves of slots that this node could not go on with.", moves.failures),
    )  # fmt: skip


def gauges(node: Node) -> Figures:
    moves = node.moves
    feeds = [leaving.feed for leaving in moves.leaving.values() if leaving.feed is not None]
    return (
        ("migration_slots_leaving", "Slots on their way to another shard, or whose copy is still here.",
         sum(len(leaving.rules.move.slots) for leaving in moves.leaving.values())),
        ("migration_slots_coming", "Slots on their way to this node's shard.",
         sum(len(coming.rules.move.slots) for coming in moves.coming.values())),
        ("migration_lag_bytes", "What the targets have not confirmed yet of what they were sent.",
         sum(feed.lag_bytes for feed in feeds)),
    )  # fmt: skip
