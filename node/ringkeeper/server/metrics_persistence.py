"""What `/metrics` tells of snapshots, the append-only file and the disk that they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringkeeper.server.metrics import Figures
    from ringkeeper.server.node import Node


def counters(node: Node) -> Figures:
    snapshots, log = node.snapshots, node.append_only
    return (
        ("snapshots", "Snapshots taken.", snapshots.saves),
        ("snapshot_failures", "Snapshots that failed.", snapshots.failures),
        ("append_only_rewrites", "Bases of the append-only file taken.", log.rewrites),
        ("append_only_rewrite_failures", "Bases that failed.", log.failed),
        ("append_only_delays", "Times that replies had to wait with appendfsync everysec, for the disk was too slow.",
         log.delayed),
    )  # fmt: skip


def gauges(node: Node) -> Figures:
    snapshots, log, recovery = node.snapshots, node.append_only, node.recovery
    return (
        ("disk_failing", "Whether changes are refused since the disk does not take them.", bool(node.disk_error())),
        ("loading", "Whether the data is being loaded.", recovery.loading),
        ("loading_ratio", "How much of the files was loaded; 1 when none is being loaded.",
         recovery.fraction if recovery.loading else 1),
        ("snapshot_running", "Whether a snapshot is being taken.", snapshots.running is not None),
        ("snapshot_last_succeeded", "Whether the last snapshot that was tried did.", snapshots.succeeded),
        ("snapshot_last_timestamp_seconds", "Unix time of the last snapshot, or of the start.",
         snapshots.saved_ms / 1000),
        ("snapshot_last_duration_seconds", "That it took; -1 for none.", snapshots.seconds),
        ("snapshot_last_copied_bytes", "Memory that had to be copied during it.", snapshots.copied),
        ("snapshot_unsaved_changes", "Changes since the last snapshot.", snapshots.unsaved),
        ("append_only", "Whether there is an append-only file.", log.appender is not None),
        ("append_only_bytes", "Its size.", log.state.size),
        ("append_only_base_bytes", "The size of its base.", log.state.base_size),
        ("append_only_pending_bytes", "Changes that were not written to it yet.", log.pending),
        ("append_only_behind_seconds", "How old the oldest change is that is not known to be on the disk.",
         log.behind_s),
        ("append_only_rewrite_running", "Whether a base is being taken.", log.running is not None),
        ("append_only_rewrite_last_succeeded", "Whether the last base that was tried did.", not log.base_error),
        ("append_only_rewrite_last_duration_seconds", "That the last base took; -1 for none.", log.seconds),
        ("append_only_rewrite_last_copied_bytes", "Memory that had to be copied during it.", log.copied),
    )  # fmt: skip
