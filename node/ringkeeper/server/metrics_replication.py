"""What `/metrics` tells of replication: this node as a master, and as a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringkeeper.server.metrics import Figures
    from ringkeeper.server.node import Node


def counters(node: Node) -> Figures:
    replicas = node.replication.replicas
    return (
        ("replication_full_syncs", "Replicas that were sent a snapshot.", replicas.full_syncs),
        ("replication_partial_syncs", "Replicas that went on where they were.", replicas.partial_syncs),
        ("replication_partial_syncs_refused", "Replicas that could not, and were sent a snapshot.",
         replicas.refused_partial_syncs),
        ("replication_received_bytes", "Bytes that came from masters.", node.replication.bytes_in),
        ("replication_sent_bytes", "Bytes that went to replicas.", replicas.bytes_out),
    )  # fmt: skip


def gauges(node: Node) -> Figures:
    replication = node.replication
    feeds, backlog = replication.replicas.listed, replication.backlog
    online = [feed for feed in feeds if feed.online]
    return (
        ("replication_offset", "Bytes of the history that this node has.", replication.offset),
        ("replication_backlog_bytes", "Bytes of it that are kept for replicas that were away.",
         backlog.length if backlog is not None else 0),
        ("replicas", "Replicas that are connected.", len(feeds)),
        ("replicas_online", "Replicas that follow the stream; the others are being sent a snapshot.", len(online)),
        ("replica_lag_bytes", "What the slowest replica that follows the stream has not acknowledged.",
         max((feed.lag_bytes for feed in online), default=0)),
        ("replica_lag_seconds", "Since when it has not acknowledged all there was.",
         max((feed.lag_ms for feed in online), default=0) / 1000),
        ("replication_link_up", "Of a replica: whether it follows its master's stream; 1 on a master.",
         replication.link in ("none", "connected")),
        ("replication_link_lag_seconds", "Of a replica: since when it may have missed something.",
         replication.lag_ms / 1000),
        ("replication_lost_bytes", "Of a former master: what its successor did not have, the last time.",
         replication.lost.bytes if replication.lost is not None else 0),
    )  # fmt: skip
