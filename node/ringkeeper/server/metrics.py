"""`/metrics`: the node's figures in Prometheus' text format. They are read when asked for; counting costs nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ringkeeper.server.info import used_entries
from ringkeeper.server.memory import resident_bytes

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

CONTENT_TYPE = CONTENT_TYPE_LATEST


class NodeCollector:
    """Every metric of a node, under the prefix `ringkeeper_`."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def collect(self) -> Iterator[Metric]:
        yield from self.commands()
        yield from self.counters()
        yield from self.gauges()
        yield from self.links()

    def commands(self) -> Iterator[Metric]:
        prefix = "ringkeeper_command"
        calls = CounterMetricFamily(f"{prefix}_calls", "Commands executed.", labels=["command"])
        seconds = CounterMetricFamily(
            f"{prefix}_duration_seconds", "Time spent on a command: parsing, executing, replying.", labels=["command"]
        )
        errors = CounterMetricFamily(
            f"{prefix}_errors",
            "Commands answered with an error, refused by a gate or failed.",
            labels=["command", "by"],
        )
        for entry in used_entries(self.node):
            name = entry.command.name
            calls.add_metric([name], entry.calls)
            seconds.add_metric([name], entry.nanoseconds / 1e9)
            errors.add_metric([name, "gate"], entry.rejected)
            errors.add_metric([name, "command"], entry.failed)
        yield calls
        yield seconds
        yield errors
        codes = CounterMetricFamily("ringkeeper_error_replies", "Error replies by their code.", labels=["code"])
        for code, count in self.node.dispatcher.errors.items():
            codes.add_metric([code], count)
        yield codes

        denied = CounterMetricFamily("ringkeeper_acl_denied", "Commands and logins refused by ACL.", labels=["reason"])
        for reason, count in self.node.access.denials.counts.items():
            denied.add_metric([reason.name.lower()], count)
        yield denied

    def counters(self) -> Iterator[Metric]:
        node, registry = self.node, self.node.clients
        figures = (
            ("connections", "Connections accepted.", registry.connections_received),
            (
                "connections_rejected",
                "Connections refused, by maxclients or protected mode.",
                registry.rejected_connections,
            ),
            (
                "output_limit_disconnections",
                "Clients closed because they did not take what they were sent.",
                registry.output_limit_disconnections,
            ),
            ("network_input_bytes", "Bytes read from clients.", registry.bytes_in),
            ("network_output_bytes", "Bytes written to clients.", registry.bytes_out),
            ("keyspace_hits", "Lookups that found their key.", sum(each.hits for each in node.databases)),
            ("keyspace_misses", "Lookups that found no key.", sum(each.misses for each in node.databases)),
            ("pubsub_forwarded", "Published messages sent to other nodes, each counted.", node.peers.sent),
            ("pubsub_received", "Published messages that came from other nodes.", node.pubsub.received),
            ("expired_keys", "Keys removed because their time had come.", sum(each.expired for each in node.databases)),
        )
        for name, text, value in figures:
            yield CounterMetricFamily(f"ringkeeper_{name}", text, value=value)

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

    def gauges(self) -> Iterator[Metric]:
        node, membership = self.node, self.node.membership
        figures = (
            ("memory_used_bytes", "Estimated size of keys and values.", node.used_bytes),
            ("memory_max_bytes", "maxmemory; 0 means no limit.", node.config.number("maxmemory")),
            ("memory_resident_bytes", "Resident memory of the process.", resident_bytes()),
            ("connected_clients", "Clients that are connected.", len(node.clients.sessions)),
            ("blocked_clients", "Clients that wait for a key.", node.waiting.count),
            ("tracking_clients", "Clients with tracking on.", len(node.tracking.sessions)),
            ("tracking_keys", "Keys that tracking clients may hold.", len(node.tracking.readers)),
            ("tracking_table_bytes", "About what remembering them takes.", node.tracking.memory),
            ("pubsub_channels", "Channels with subscribers.", len(node.pubsub.tables["channel"])),
            ("max_clients", "maxclients.", node.clients.max_clients),
            ("slots_served", "Slots that this node answers for.", membership.slots_served),
            ("topology_epoch", "Epoch of the topology that this node holds; 0 for none.", membership.epoch),
            ("ready", "Whether this node does what it is there for.", 0 if membership.unready() else 1),
            ("loop_delay_seconds", "How late the last background round began.", node.cron.delay_seconds),
            ("loop_delay_max_seconds", "How late a background round ever began.", node.cron.longest_delay_seconds),
            ("uptime_seconds", "Since this process started.", time.monotonic() - node.started),
        )
        for name, text, value in figures:
            yield GaugeMetricFamily(f"ringkeeper_{name}", text, value=value)
        keys = GaugeMetricFamily("ringkeeper_keys", "Keys by database.", labels=["database"])
        volatile = GaugeMetricFamily("ringkeeper_keys_volatile", "Keys with an expiry.", labels=["database"])
        for index, keyspace in enumerate(node.databases):
            if index == 0 or len(keyspace):
                keys.add_metric([str(index)], len(keyspace))
                volatile.add_metric([str(index)], keyspace.volatile)
        yield keys
        yield volatile
        about = GaugeMetricFamily(
            "ringkeeper_node_info", "Which node this is.", labels=["id", "name", "role", "version"]
        )
        name = node.config.text("node-name")
        about.add_metric([membership.id, name, membership.standing.role, node.version], 1)
        yield about


def render(node: Node) -> bytes:
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    return generate_latest(registry)
