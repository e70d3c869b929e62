"""`/metrics`: the node's figures in Prometheus' text format. They are read when asked for; counting costs nothing.

A family of many samples is rendered in pieces, and the loop goes round between pieces when a millisecond has gone by,
so that a scrape keeps nobody waiting, however many commands and namespaces there are. What belongs together (the
buckets of one command) is read at one moment; the families are not. `docs/metrics.md` is made from what stands here.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ringkeeper.commands.durations import counter_of, longest_counted
from ringkeeper.server import lease_report, metrics_moves, metrics_persistence, metrics_replication
from ringkeeper.server.dispatch import Entry
from ringkeeper.server.info import used_entries
from ringkeeper.server.loop_delay import BOUNDS
from ringkeeper.server.memory import Memory
from ringkeeper.server.namespaces import NamespaceFigures, evicted_keys, figures_of
from ringkeeper.store.namespaces import Namespace

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

CONTENT_TYPE = CONTENT_TYPE_LATEST

DURATIONS_US = (
    10,
    20,
    50,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
)
"""Microseconds up to which a bucket counts commands. A dispatcher's counters are 128 a doubling, so what took up to
0.8 % less than a bound may be counted above it; what took a second or longer is, always."""
SLICE_NS = 1_000_000
"""How long rendering may keep the loop."""
AT_ONCE = 20
"""Commands in a piece."""
NAMESPACES_AT_ONCE = 200
"""The same of namespaces."""
DEFAULT_LABEL, OTHER_LABEL = "…default", "…other"

Figures: TypeAlias = Sequence[tuple[str, str, float]]
"""Name without its prefix, what it means, value."""


def end_of(bound_us: int) -> int:
    """The first counter of durations that may be longer than a bound."""
    counter = counter_of(bound_us * 1000)
    return counter + (longest_counted(counter) <= bound_us * 1000)


ENDS = tuple(end_of(bound) for bound in DURATIONS_US)
LABELS = (*(str(bound / 1e6) for bound in DURATIONS_US), "+Inf")
DELAY_LABELS = (*(str(bound) for bound in BOUNDS), "+Inf")


def cumulative(labels: Iterable[str], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus counts them: each holds those before it."""
    total = 0
    found = []
    for label, count in zip(labels, counts, strict=True):
        total += count
        found.append((label, float(total)))
    return found


class NodeCollector:
    """Every metric of a node, under the prefix `ringkeeper_`. Pieces of one family follow each other."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def pieces(self) -> Iterator[Metric]:
        yield from self.commands()
        yield from self.refusals()
        yield from counters(self.counters())
        yield from gauges(self.gauges())
        yield from gauges(self.memory())
        yield from counters(metrics_persistence.counters(self.node))
        yield from gauges(metrics_persistence.gauges(self.node))
        yield from counters(metrics_replication.counters(self.node))
        yield from gauges(metrics_replication.gauges(self.node))
        yield from counters(metrics_moves.counters(self.node))
        yield from gauges(metrics_moves.gauges(self.node))
        yield from counters(lease_report.counters(self.node))
        yield from gauges(lease_report.gauges(self.node))
        yield from self.syncs()
        yield from self.labelled()
        yield from self.links()
        declared = self.node.namespaces
        rows, rest = figures_of(declared, self.node.databases, self.node.config.number("metrics-namespaces"))
        yield from namespaces(rows, rest, declared.items)

    def used(self) -> Iterator[list[Entry]]:
        """The commands that were called, a few at a time, and none if there are none."""
        entries = iter(used_entries(self.node))
        yield list(islice(entries, AT_ONCE))
        while piece := list(islice(entries, AT_ONCE)):
            yield piece

    def commands(self) -> Iterator[Metric]:
        prefix = "ringkeeper_command"
        for piece in self.used():
            calls = CounterMetricFamily(f"{prefix}_calls", "Commands executed.", labels=["command"])
            for entry in piece:
                calls.add_metric([entry.command.name], entry.calls)
            yield calls
        for piece in self.used():
            errors = CounterMetricFamily(
                f"{prefix}_errors",
                "Commands answered with an error, refused by a gate or failed.",
                labels=["command", "by"],
            )
            for entry in piece:
                errors.add_metric([entry.command.name, "gate"], entry.rejected)
                errors.add_metric([entry.command.name, "command"], entry.failed)
            yield errors
        for piece in self.used():
            durations = HistogramMetricFamily(
                f"{prefix}_duration_seconds",
                "Time spent on a command: parsing, executing, replying. Buckets with latency-tracking only.",
                labels=["command"],
            )
            for entry in piece:
                buckets = cumulative(LABELS, entry.grouped(ENDS))
                durations.add_metric([entry.command.name], buckets, entry.nanoseconds / 1e9)
            yield durations

    def refusals(self) -> Iterator[Metric]:
        codes = CounterMetricFamily("ringkeeper_error_replies", "Error replies by their code.", labels=["code"])
        for code, count in self.node.dispatcher.errors.items():
            codes.add_metric([code], count)
        yield codes
        denied = CounterMetricFamily("ringkeeper_acl_denied", "Commands and logins refused by ACL.", labels=["reason"])
        for reason, count in self.node.access.denials.counts.items():
            denied.add_metric([reason.name.lower()], count)
        yield denied

    def counters(self) -> Figures:
        node, registry = self.node, self.node.clients
        return (
            ("commands_processed", "Commands executed, of all kinds.", node.dispatcher.processed),
            ("connections", "Connections accepted.", registry.connections_received),
            ("connections_rejected", "Connections refused, by maxclients or protected mode.",
             registry.rejected_connections),
            ("output_limit_disconnections", "Clients closed because they did not take what they were sent.",
             registry.output_limit_disconnections),
            ("network_input_bytes", "Bytes read from clients.", registry.traffic.bytes_in),
            ("network_output_bytes", "Bytes written to clients.", registry.traffic.bytes_out),
            ("network_reads", "Times that something was read from a client.", registry.traffic.reads),
            ("network_writes", "Times that something was written to a client.", registry.traffic.writes),
            ("keyspace_hits", "Lookups that found their key.", sum(each.hits for each in node.databases)),
            ("keyspace_misses", "Lookups that found no key.", sum(each.misses for each in node.databases)),
            ("expired_keys", "Keys removed because their time had come.", sum(each.expired for each in node.databases)),
            ("evicted_keys", "Keys removed to make room.", evicted_keys(node.databases)),
            ("expire_cycle_seconds", "Time spent on looking for expired keys.", node.expiry.spent_ns / 1e9),
            ("expire_cycle_timeouts", "Rounds in which looking for expired keys used up its time.",
             node.expiry.timeouts),
            ("lazyfreed_objects", "Large values freed in steps.", node.upkeep.freed),
            ("pubsub_forwarded", "Published messages sent to other nodes, each counted.", node.peers.sent),
            ("pubsub_received", "Published messages that came from other nodes.", node.pubsub.received),
        )  # fmt: skip

    def gauges(self) -> Figures:
        node, membership, survey = self.node, self.node.membership, self.node.survey
        return (
            ("connected_clients", "Clients that are connected.", len(node.clients.sessions) - len(node.peers.inbound)),
            ("blocked_clients", "Clients that wait for a key.", node.waiting.count),
            ("pubsub_clients", "Clients with subscriptions.", len(node.clients.subscribed)),
            ("watching_clients", "Clients that watch keys.", len(node.transactions.watching)),
            ("tracking_clients", "Clients with tracking on.", len(node.tracking.sessions)),
            ("tracking_keys", "Keys that tracking clients may hold.", len(node.tracking.readers)),
            ("tracking_table_bytes", "About what remembering them takes.", node.tracking.memory),
            ("client_input_buffer_bytes", "Commands that clients have begun; up to a second old.", survey.input),
            ("client_output_buffer_bytes", "Replies that wait for clients; up to a second old.", survey.output),
            ("client_longest_input_buffer_bytes", "The most of one client.", survey.longest_input),
            ("client_longest_output_buffer_bytes", "The most for one client.", survey.longest_output),
            ("pubsub_channels", "Channels with subscribers.", len(node.pubsub.tables["channel"])),
            ("pubsub_patterns", "Patterns with subscribers.", len(node.pubsub.tables["pattern"])),
            ("max_clients", "maxclients.", node.clients.max_clients),
            ("slots_served", "Slots that this node answers for.", membership.slots_served),
            ("topology_epoch", "Epoch of the topology that this node holds; 0 for none.", membership.epoch),
            ("ready", "Whether this node does what it is there for.",
             0 if membership.unready() or node.fence.reason() else 1),
            ("expired_stale_ratio", "Of the keys with an expiry, about how many are past it.",
             node.expiry.stale_fraction),
            ("lazyfree_pending_objects", "Large values that wait to be freed.", node.upkeep.pending),
            ("loop_delay_max_seconds", "How late the event loop ever was.", node.loop_delay.longest),
            ("wall_clock_difference_seconds", "How far the wall clock is ahead of the time that this node goes by.",
             node.time.difference / 1e9),
            ("uptime_seconds", "Since this process started.", time.monotonic() - node.started),
        )  # fmt: skip

    def memory(self) -> Figures:
        figures = Memory(self.node)
        return (
            ("memory_used_bytes", "Estimated size of keys and values.", figures.used),
            ("memory_peak_bytes", "The most that it ever was.", figures.peak),
            ("memory_max_bytes", "maxmemory; 0 means no limit.", self.node.config.number("maxmemory")),
            ("memory_overhead_bytes", "What keys cost beyond their names and values.", figures.overhead),
            ("memory_dataset_bytes", "The names and values.", figures.dataset),
            ("memory_resident_bytes", "Resident memory of the process.", figures.resident),
            ("memory_swapped_bytes", "Memory of the process that is in swap. Should be 0.", figures.swapped),
            ("memory_fragmentation_ratio", "Resident memory over the size of keys and values.", figures.fragmentation),
            ("memory_clients_bytes", "All clients' buffers.", figures.clients),
            ("memory_links_bytes", "Published messages that wait for other nodes.", figures.links),
        )

    def syncs(self) -> Iterator[Metric]:
        appender = self.node.append_only.appender
        counts, seconds = appender.syncs() if appender else ([0] * len(DELAY_LABELS), 0.0)
        took = HistogramMetricFamily("ringkeeper_append_only_sync_seconds", "How long the disk takes to sync it.")
        took.add_metric([], cumulative(DELAY_LABELS, counts), seconds)
        yield took

    def labelled(self) -> Iterator[Metric]:
        node, membership = self.node, self.node.membership
        delay = HistogramMetricFamily(
            "ringkeeper_loop_delay_seconds", "How long a moment's event has to wait for what runs before it."
        )
        delay.add_metric([], cumulative(DELAY_LABELS, node.loop_delay.counts), node.loop_delay.total)
        yield delay
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = CounterMetricFamily("ringkeeper_cpu_seconds", "CPU that the process has used.", labels=["mode"])
        cpu.add_metric(["user"], usage.ru_utime)
        cpu.add_metric(["system"], usage.ru_stime)
        yield cpu
        keys = GaugeMetricFamily("ringkeeper_keys", "Keys by database.", labels=["database"])
        volatile = GaugeMetricFamily("ringkeeper_keys_volatile", "Keys with an expiry.", labels=["database"])
        for index, keyspace in enumerate(node.databases):
            if index == 0 or keyspace.shown:
                keys.add_metric([str(index)], keyspace.shown)
                volatile.add_metric([str(index)], keyspace.shown_volatile)
        yield keys
        yield volatile
        about = GaugeMetricFamily(
            "ringkeeper_node_info", "Which node this is.", labels=["id", "name", "role", "version"]
        )
        name = node.config.text("node-name")
        about.add_metric([membership.id, name, membership.standing.role, node.version], 1)
        yield about

    def links(self) -> Iterator[Metric]:
        peers = self.node.peers
        dropped = CounterMetricFamily(
            "ringkeeper_pubsub_dropped",
            "Published messages that another node did not take in time, or that found no link to it.",
            labels=["peer"],
        )
        state = GaugeMetricFamily(
            "ringkeeper_peer_link_up", "Whether the link to another node is open.", labels=["peer"]
        )
        waiting = GaugeMetricFamily(
            "ringkeeper_peer_link_waiting_bytes", "Published messages that wait for another node.", labels=["peer"]
        )
        for link in peers.links.values():
            dropped.add_metric([link.peer.name], link.dropped)
            state.add_metric([link.peer.name], link.is_open)
            waiting.add_metric([link.peer.name], link.buffered)
        yield dropped
        yield state
        yield waiting


def counters(figures: Figures) -> Iterator[Metric]:
    for name, text, value in figures:
        yield CounterMetricFamily(f"ringkeeper_{name}", text, value=value)


def gauges(figures: Figures) -> Iterator[Metric]:
    for name, text, value in figures:
        yield GaugeMetricFamily(f"ringkeeper_{name}", text, value=value)


NAMESPACE_FAMILIES = (
    ("keys", GaugeMetricFamily, "namespace_keys", "Keys of a namespace."),
    ("bytes", GaugeMetricFamily, "namespace_memory_bytes", "Estimated size of its keys and values."),
    ("hits", CounterMetricFamily, "namespace_hits", "Lookups in it that found their key."),
    ("misses", CounterMetricFamily, "namespace_misses", "Lookups in it that found no key."),
    ("evicted", CounterMetricFamily, "namespace_evicted_keys", "Keys of it removed to make room."),
    ("expired", CounterMetricFamily, "namespace_expired_keys", "Keys of it removed because their time had come."),
)


def namespaces(
    shown: Sequence[NamespaceFigures], rest: NamespaceFigures | None, declared: Sequence[Namespace]
) -> Iterator[Metric]:
    """`shown` has the default namespace first and some others as they were declared; `rest` sums up those left."""
    for field, kind, name, text in NAMESPACE_FAMILIES:
        for at in range(0, len(shown), NAMESPACES_AT_ONCE) or (0,):
            family = kind(f"ringkeeper_{name}", text, labels=["namespace"])
            for row in shown[at : at + NAMESPACES_AT_ONCE]:
                family.add_metric([namespace_label(row.prefix)], getattr(row, field))
            if rest is not None and at + NAMESPACES_AT_ONCE >= len(shown):
                family.add_metric([OTHER_LABEL], getattr(rest, field))
            yield family
    limited = [item for item in declared[: len(shown) - 1] if item.max_memory]
    for at in range(0, len(limited), NAMESPACES_AT_ONCE) or (0,):
        family = GaugeMetricFamily(
            "ringkeeper_namespace_memory_max_bytes", "maxMemory of a namespace that has one.", labels=["namespace"]
        )
        for item in limited[at : at + NAMESPACES_AT_ONCE]:
            family.add_metric([namespace_label(item.prefix)], item.max_memory)
        yield family


def namespace_label(prefix: bytes) -> str:
    """The prefix; behind one `…` more if it begins with that, so that it is never taken for a label made here."""
    text = prefix.decode("utf-8", "replace")
    if not text:
        return DEFAULT_LABEL
    return f"…{text}" if text.startswith("…") else text


class Piece:
    """A collector of one family."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self.metric,)


async def render(node: Node) -> bytes:
    """The text of all families."""
    parts = []
    last = ""
    begin = time.monotonic_ns()
    for metric in NodeCollector(node).pieces():
        text = generate_latest(Piece(metric))
        if metric.name == last:
            text = text.split(b"\n", 2)[2]
        parts.append(text)
        last = metric.name
        if time.monotonic_ns() - begin > SLICE_NS:
            await asyncio.sleep(0)
            begin = time.monotonic_ns()
    return b"".join(parts)
