"""The failovers of a cluster: how long each took, and what was lost by it. An operator goes on with what the status
told when it began; of a failover that its predecessor did not live to tell of, it learns from who lost something.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import HANDOVER, Action, Failover, Lost, ObservedNode
from ringkeeper_operator.runtime.heartbeats import Timing
from ringkeeper_operator.status import FAILOVERS_TOLD, failovers_in

REMEMBERED = 50
UNSEEN = "the operator ended meanwhile"


class FailoverLog:
    def __init__(self, status: Mapping[str, Any] | None = None) -> None:
        """`status` is what was told last."""
        self.entries: list[Failover] = failovers_in(status or {})
        self.changed_at = time.monotonic()
        """When a master changed last, as far as this process knows, or when it began."""

    @property
    def calm_seconds(self) -> float:
        """For how long no master has changed."""
        return time.monotonic() - self.changed_at

    def add(
        self, failovers: Iterable[Failover], timings: Mapping[int, Timing], committed: int, handed_out: int
    ) -> None:
        """They were committed and handed out, at these times of the heartbeats' clock."""
        failovers = list(failovers)
        if failovers:
            self.changed_at = time.monotonic()
        for failover in failovers:
            timed = replace(failover, time=time.time(), lost_writes=0 if failover.cause == HANDOVER else None)
            timing = timings.get(failover.shard)
            if timing is not None and failover.cause != HANDOVER:
                timed = replace(
                    timed,
                    detection_ms=_milliseconds(timing.suspected - timing.heard),
                    election_ms=_milliseconds(committed - timing.suspected),
                    total_ms=_milliseconds(handed_out - timing.heard),
                )
            self._append(timed)

    def _append(self, failover: Failover) -> None:
        self.entries = [*self.entries, failover][-REMEMBERED:]

    def hear(self, nodes: Iterable[ObservedNode], committed: Topology | None) -> list[Action]:
        """What nodes tell of their losses for the first time, as news for people. A former master has lost the most.
        One that is dead cannot tell; a replica that had more than the one that took over still tells of that.
        """
        news = []
        for node in nodes:
            lost = node.report.lost if node.report is not None else None
            index = self._entry_of(node, lost, committed) if lost is not None else None
            if lost is None or index is None:
                continue
            entry = self.entries[index]
            if lost.bytes <= (entry.lost_bytes or 0):
                continue
            writes = lost.writes if lost.writes >= 0 else None
            self.entries[index] = replace(entry, lost_bytes=lost.bytes, lost_writes=writes)
            if lost.writes:
                news.append(_news(entry, node.name, lost))
        return news

    def _entry_of(self, node: ObservedNode, lost: Lost, committed: Topology | None) -> int | None:
        """The place of the failover by which this was lost; None if it was long ago."""
        of_shard = {entry.term: index for index, entry in enumerate(self.entries) if entry.shard == node.shard}
        if lost.term + 1 in of_shard:
            return of_shard[lost.term + 1]
        shard = committed.shard(node.shard) if committed is not None else None
        is_recent = len(self.entries) < FAILOVERS_TOLD or lost.term + 1 > min(of_shard, default=lost.term + 1)
        if committed is None or shard is None or shard.term <= lost.term or not is_recent:
            return None
        self._append(
            Failover(
                shard=node.shard,
                term=lost.term + 1,
                time=time.time(),
                cause=UNSEEN,
                former=node.name,
                master=committed.master_of(shard).name,
            )
        )
        return len(self.entries) - 1


def _milliseconds(nanoseconds: int) -> int:
    return max(0, nanoseconds) // 1_000_000


def _news(entry: Failover, name: str, lost: Lost) -> Action:
    count = f"{lost.writes} writes" if lost.writes >= 0 else "writes"
    keys = f", to keys such as {', '.join(lost.keys)}" if lost.keys else ""
    return Action(
        reason="WritesLost",
        message=f"shard {entry.shard}: {name} had {count} ({lost.bytes} bytes) of term {lost.term} that "
        f"{entry.master} never got; they are lost{keys}",
        warning=True,
    )
