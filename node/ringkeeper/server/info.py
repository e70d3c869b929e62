"""INFO: a function per section, each with the field names that tools read. What this node has not is left out or 0."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ringkeeper.access.permissions import Reason
from ringkeeper.commands.connection import COMPATIBLE_VERSION
from ringkeeper.commands.durations import percentiles
from ringkeeper.server import lease_report
from ringkeeper.server.config import percentage_text
from ringkeeper.server.dispatch import Entry
from ringkeeper.server.memory import Memory, total_memory
from ringkeeper.server.namespaces import evicted_keys

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

TTL_SAMPLES = 100
"""Keys by which INFO estimates the mean time to live of a database's."""

Fields = Iterable[tuple[str, object]]


def render(node: Node, sections: Sequence[str]) -> bytes:
    """The text of INFO for the sections named; none, or `default`, means those that Redis shows by itself."""
    wanted: set[str] = set()
    for name in sections or ("default",):
        if name in ("all", "everything"):
            wanted |= SECTIONS.keys()
        elif name == "default":
            wanted |= SECTIONS.keys() - {"commandstats", "latencystats"}
        else:
            wanted.add(name)
    parts = []
    for name, section in SECTIONS.items():
        if name in wanted:
            lines = [f"# {TITLES.get(name, name.capitalize())}"]
            lines += [f"{field}:{value}" for field, value in section(node)]
            parts.append("\r\n".join(lines) + "\r\n")
    return "\r\n".join(parts).encode()


def server(node: Node) -> Fields:
    config = node.config
    uptime = int(time.monotonic() - node.started)
    yield "redis_version", COMPATIBLE_VERSION
    yield "ringkeeper_version", node.version
    yield "redis_git_sha1", "00000000"
    yield "redis_git_dirty", 0
    yield "redis_mode", "cluster" if node.cluster_enabled else "standalone"
    yield "os", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "arch_bits", 64 if sys.maxsize > 2**32 else 32
    yield "monotonic_clock", "POSIX clock_gettime"
    yield "multiplexing_api", "uvloop"
    yield "process_id", os.getpid()
    yield "process_supervised", "no"
    yield "run_id", node.run_id
    yield "tcp_port", node.port
    yield "admin_port", node.admin_port
    yield "server_time_usec", node.now_us()
    yield "wall_clock_difference_ms", node.time.difference // 1_000_000
    yield "uptime_in_seconds", uptime
    yield "uptime_in_days", uptime // 86400
    yield "hz", config.number("hz")
    yield "configured_hz", config.number("hz")
    yield "lru_clock", node.now_us() // 1_000_000 & 0xFFFFFF
    yield "executable", sys.executable
    yield "config_file", config.file or ""
    yield "io_threads_active", 0
    addresses = "".join(f",bind={address}" for address in config.text("bind").split())
    yield "listener0", f"name=tcp{addresses},port={node.port}"


def clients(node: Node) -> Fields:
    registry, survey, waiting = node.clients, node.survey, node.waiting
    yield "connected_clients", len(registry.sessions) - len(node.peers.inbound)
    yield "cluster_connections", node.peers.connections
    yield "maxclients", registry.max_clients
    yield "client_recent_max_input_buffer", survey.longest_input
    yield "client_recent_max_output_buffer", survey.longest_output
    yield "blocked_clients", waiting.count
    yield "tracking_clients", len(node.tracking.sessions)
    yield "pubsub_clients", len(registry.subscribed)
    yield "watching_clients", len(node.transactions.watching)
    yield "clients_in_timeout_table", waiting.timed
    yield "total_watched_keys", len(node.transactions.watchers)
    yield "total_blocking_keys", len(waiting.lines)
    yield "total_blocking_keys_on_nokey", 0


def memory(node: Node) -> Fields:
    figures = Memory(node)
    used, resident = figures.used, figures.resident
    for name, size in (("", used), ("_rss", resident), ("_peak", figures.peak)):
        yield f"used_memory{name}", size
        yield f"used_memory{name}_human", human(size)
    yield "used_memory_swap", figures.swapped
    yield "used_memory_peak_perc", f"{figures.peak_percentage:.2f}%"
    yield "used_memory_overhead", figures.overhead
    yield "used_memory_startup", 0
    yield "used_memory_dataset", figures.dataset
    yield "used_memory_dataset_perc", f"{figures.dataset_percentage:.2f}%"
    yield "allocator_allocated", used
    yield "allocator_active", resident
    yield "allocator_resident", resident
    total = total_memory()
    yield "total_system_memory", total
    yield "total_system_memory_human", human(total)
    yield from no_scripts()
    limit = node.config.number("maxmemory")
    yield "maxmemory", limit
    yield "maxmemory_human", human(limit)
    yield "maxmemory_policy", node.config.text("maxmemory-policy")
    yield "allocator_frag_ratio", f"{figures.fragmentation:.2f}"
    yield "allocator_frag_bytes", max(0, resident - used)
    yield "allocator_rss_ratio", "1.00"
    yield "allocator_rss_bytes", 0
    yield "rss_overhead_ratio", "1.00"
    yield "rss_overhead_bytes", 0
    yield "mem_fragmentation_ratio", f"{figures.fragmentation:.2f}"
    yield "mem_fragmentation_bytes", max(0, resident - used)
    yield "mem_not_counted_for_evict", 0
    yield "mem_replication_backlog", node.replication.backlog.length if node.replication.backlog else 0
    yield "mem_total_replication_buffers", 0
    yield "mem_clients_slaves", 0
    yield "mem_clients_normal", figures.clients
    yield "mem_cluster_links", figures.links
    yield "mem_aof_buffer", node.append_only.pending
    yield "mem_allocator", "libc"
    yield "active_defrag_running", 0
    yield "lazyfree_pending_objects", node.upkeep.pending
    yield "lazyfreed_objects", node.upkeep.freed


def no_scripts() -> Fields:
    """There is no scripting yet, so it costs nothing."""
    yield "used_memory_lua", 0
    yield "used_memory_vm_eval", 0
    yield "used_memory_lua_human", "0B"
    yield "used_memory_scripts_eval", 0
    yield "number_of_cached_scripts", 0
    yield "number_of_functions", 0
    yield "number_of_libraries", 0
    yield "used_memory_vm_functions", 0
    yield "used_memory_vm_total", 0
    yield "used_memory_vm_total_human", "0B"
    yield "used_memory_functions", 0
    yield "used_memory_scripts", 0
    yield "used_memory_scripts_human", "0B"


def persistence(node: Node) -> Fields:
    snapshots, recovery = node.snapshots, node.recovery
    running = snapshots.running
    yield "loading", int(recovery.loading)
    yield "async_loading", 0
    yield "current_cow_peak", 0
    yield "current_cow_size", 0
    yield "current_cow_size_age", 0
    yield "current_fork_perc", f"{100 * running.keys / max(snapshots.total, 1):.2f}" if running else "0.00"
    yield "current_save_keys_processed", running.keys if running else 0
    yield "current_save_keys_total", snapshots.total if running else 0
    yield "rdb_changes_since_last_save", snapshots.unsaved
    yield "rdb_bgsave_in_progress", int(running is not None)
    yield "rdb_last_save_time", node.last_save()
    yield "rdb_last_bgsave_status", "ok" if snapshots.succeeded else "err"
    yield "rdb_last_bgsave_time_sec", snapshots.seconds
    yield "rdb_current_bgsave_time_sec", int(time.monotonic() - running.began) if running else -1
    yield "rdb_saves", snapshots.saves
    yield "rdb_last_cow_size", snapshots.copied
    yield "rdb_last_load_keys_expired", recovery.expired
    yield "rdb_last_load_keys_loaded", recovery.loaded
    if recovery.loading:
        yield "loading_start_time", recovery.began_ms // 1000
        yield "loading_total_bytes", recovery.size
        yield "loading_loaded_bytes", recovery.position
        yield "loading_loaded_perc", f"{100 * recovery.fraction:.2f}"
        yield "loading_eta_seconds", recovery.eta_s
    yield from append_only(node)
    yield "module_fork_in_progress", 0
    yield "module_fork_last_cow_size", 0


def append_only(node: Node) -> Fields:
    log = node.append_only
    running, state = log.running, log.state
    yield "aof_enabled", int(log.appender is not None)
    yield "aof_rewrite_in_progress", int(running is not None or log.adopting)
    yield "aof_rewrite_scheduled", int(log.scheduled)
    yield "aof_last_rewrite_time_sec", log.seconds
    yield "aof_current_rewrite_time_sec", int(running.seconds) if running else -1
    yield "aof_last_bgrewrite_status", "err" if log.base_error else "ok"
    yield "aof_rewrites", log.rewrites
    yield "aof_rewrites_consecutive_failures", log.failures
    yield "aof_last_write_status", "err" if log.error else "ok"
    yield "aof_last_cow_size", log.copied
    if log.appender is not None:
        yield "aof_current_size", state.size
        yield "aof_base_size", state.base_size
        yield "aof_pending_rewrite", 0
        yield "aof_buffer_length", log.pending
        yield "aof_pending_bio_fsync", int(bool(log.marks))
        yield "aof_delayed_fsync", log.delayed


def stats(node: Node) -> Fields:
    yield from traffic(node)
    yield "expired_keys", sum(keyspace.expired for keyspace in node.databases)
    yield "expired_stale_perc", f"{100 * node.expiry.stale_fraction:.2f}"
    yield "expired_time_cap_reached_count", node.expiry.timeouts
    yield "expire_cycle_cpu_milliseconds", node.expiry.spent_ns // 1_000_000
    yield "evicted_keys", evicted_keys(node.databases)
    yield "evicted_clients", 0
    yield "total_eviction_exceeded_time", 0
    yield "current_eviction_exceeded_time", 0
    yield "keyspace_hits", sum(keyspace.hits for keyspace in node.databases)
    yield "keyspace_misses", sum(keyspace.misses for keyspace in node.databases)
    yield "pubsub_channels", len(node.pubsub.tables["channel"])
    yield "pubsub_patterns", len(node.pubsub.tables["pattern"])
    yield "pubsubshard_channels", len(node.pubsub.tables["shard"])
    for name in NOTHING_OF_THE_KIND:
        yield name, 0
    yield "tracking_total_keys", len(node.tracking.readers)
    yield "tracking_total_items", node.tracking.items
    yield "tracking_total_prefixes", len(node.tracking.prefixes)
    yield "unexpected_error_replies", 0
    yield "total_error_replies", sum(node.dispatcher.errors.values())
    yield "dump_payload_sanitizations", node.dispatcher.commands[b"restore"].calls
    yield "total_reads_processed", node.clients.traffic.reads
    yield "total_writes_processed", node.clients.traffic.writes
    yield "io_threaded_reads_processed", 0
    yield "io_threaded_writes_processed", 0
    yield "reply_buffer_shrinks", 0
    yield "reply_buffer_expands", 0
    yield "client_output_buffer_limit_disconnections", node.clients.output_limit_disconnections
    for reason, count in node.access.denials.counts.items():
        word = "cmd" if reason is Reason.COMMAND else reason.name.lower()
        yield f"acl_access_denied_{word}", count
    yield "latest_fork_usec", node.latest_fork_us
    yield "total_forks", node.forks
    yield "loop_delay_usec", round(node.loop_delay.last * 1e6)
    yield "loop_delay_max_usec", round(node.loop_delay.longest * 1e6)


NOTHING_OF_THE_KIND = (
    "migrate_cached_sockets",
    "slave_expires_tracked_keys",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
)
"""A node does not defragment, nor does it migrate by keeping sockets; a replica has no keys of its own."""


def traffic(node: Node) -> Fields:
    registry, rates = node.clients, node.cron.rates
    yield "total_connections_received", registry.connections_received
    yield "total_commands_processed", node.dispatcher.processed
    yield "instantaneous_ops_per_sec", round(rates.get("commands"))
    yield "total_net_input_bytes", registry.traffic.bytes_in
    yield "total_net_output_bytes", registry.traffic.bytes_out
    yield "total_net_repl_input_bytes", node.replication.bytes_in
    yield "total_net_repl_output_bytes", node.replication.replicas.bytes_out
    yield "instantaneous_input_kbps", f"{rates.get('input') / 1024:.2f}"
    yield "instantaneous_output_kbps", f"{rates.get('output') / 1024:.2f}"
    yield "instantaneous_input_repl_kbps", "0.00"
    yield "instantaneous_output_repl_kbps", "0.00"
    yield "rejected_connections", registry.rejected_connections
    yield "sync_full", node.replication.replicas.full_syncs
    yield "sync_full_resumed", node.replication.replicas.resumed_full_syncs
    yield "sync_partial_ok", node.replication.replicas.partial_syncs
    yield "sync_partial_err", node.replication.replicas.refused_partial_syncs


def replication(node: Node) -> Fields:
    role = node.role()
    yield "role", role[0]
    if role[0] == "slave":
        yield "master_host", role[1]
        yield "master_port", role[2]
        yield from link_fields(node)
    replicas = node.replication.replicas.listed
    yield "connected_slaves", len(replicas)
    for index, feed in enumerate(replicas):
        host, _, port = feed.address.rpartition(":")
        state = "online" if feed.online else "wait_bgsave" if feed.state == "snapshot" else "send_bulk"
        lag = int(time.monotonic() - feed.heard) if feed.online else -1
        yield f"slave{index}", f"ip={host},port={port},state={state},offset={max(feed.acknowledged, 0)},lag={lag}"
    history, backlog = node.replication.history, node.replication.backlog
    yield "master_failover_state", "no-failover"
    yield "master_replid", history.id
    yield "master_replid2", history.id2
    yield "master_repl_offset", node.replication.offset
    yield "second_repl_offset", history.until + 1 if history.until >= 0 else -1
    yield "repl_backlog_active", int(backlog is not None)
    yield "repl_backlog_size", node.config.number("repl-backlog-size")
    yield "repl_backlog_first_byte_offset", backlog.start + 1 if backlog else 0
    yield "repl_backlog_histlen", backlog.length if backlog else 0


def link_fields(node: Node) -> Fields:
    """Of a replica's link to its master."""
    link = node.replication.master_link
    up = link is not None and link.state == "connected"
    yield "master_link_status", "up" if up else "down"
    if link is None:
        return
    yield "master_last_io_seconds_ago", int(time.monotonic() - link.heard) if up else -1
    yield "master_sync_in_progress", int(link.incoming is not None)
    yield "slave_read_repl_offset", node.replication.offset + (link.applier.waiting if link.applier else 0)
    yield "slave_repl_offset", node.replication.offset
    if link.incoming is not None:
        incoming = link.incoming
        yield "master_sync_total_bytes", max(incoming.size, 0)
        yield "master_sync_read_bytes", incoming.received
        yield "master_sync_left_bytes", max(incoming.size - incoming.received, 0)
    if not up:
        yield "master_link_down_since_seconds", int(time.monotonic() - link.down_since)
        # Clients cut values at commas.
        yield "master_link_error", " ".join(link.error.replace(",", ";").split())
    yield "slave_priority", node.config.number("replica-priority")
    yield "slave_read_only", 1
    yield "replica_announced", 1


def cpu(node: Node) -> Fields:  # noqa: ARG001
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "used_cpu_sys", f"{mine.ru_stime:.6f}"
    yield "used_cpu_user", f"{mine.ru_utime:.6f}"
    yield "used_cpu_sys_children", f"{children.ru_stime:.6f}"
    yield "used_cpu_user_children", f"{children.ru_utime:.6f}"
    if hasattr(resource, "RUSAGE_THREAD"):
        main = resource.getrusage(resource.RUSAGE_THREAD)
        yield "used_cpu_sys_main_thread", f"{main.ru_stime:.6f}"
        yield "used_cpu_user_main_thread", f"{main.ru_utime:.6f}"


def modules(node: Node) -> Fields:  # noqa: ARG001
    return ()


def used_entries(node: Node) -> Iterable[Entry]:
    return (entry for entry in node.dispatcher.all() if entry.calls or entry.rejected or entry.failed)


def command_stats(node: Node) -> Fields:
    for entry in used_entries(node):
        usec = entry.nanoseconds // 1000
        mean = entry.nanoseconds / 1000 / entry.calls if entry.calls else 0
        yield (
            f"cmdstat_{entry.command.name}",
            f"calls={entry.calls},usec={usec},usec_per_call={mean:.2f},"
            f"rejected_calls={entry.rejected},failed_calls={entry.failed}",
        )


def error_stats(node: Node) -> Fields:
    for code, count in sorted(node.dispatcher.errors.items()):
        yield f"errorstat_{code}", f"count={count}"


def latency_stats(node: Node) -> Fields:
    wanted = [float(word) for word in node.config.text("latency-tracking-info-percentiles").split()]
    for name, counts in node.durations():
        figures = zip(wanted, percentiles(counts, wanted), strict=True)
        text = ",".join(f"p{percentage_text(percentage)}={microseconds:.3f}" for percentage, microseconds in figures)
        yield f"latency_percentiles_usec_{name}", text


def cluster(node: Node) -> Fields:
    yield "cluster_enabled", int(node.cluster_enabled)
    if node.cluster_enabled:
        yield from lease_report.fields(node)


def keyspace(node: Node) -> Fields:
    for index, database in enumerate(node.databases):
        if database.shown:
            yield (
                f"db{index}",
                f"keys={database.shown},expires={database.shown_volatile},avg_ttl={database.average_ttl(TTL_SAMPLES)}",
            )


SECTIONS: dict[str, Callable[[Node], Fields]] = {
    "server": server,
    "clients": clients,
    "memory": memory,
    "persistence": persistence,
    "stats": stats,
    "replication": replication,
    "cpu": cpu,
    "modules": modules,
    "commandstats": command_stats,
    "errorstats": error_stats,
    "latencystats": latency_stats,
    "cluster": cluster,
    "keyspace": keyspace,
}
TITLES = {"cpu": "CPU"}


def human(count: int) -> str:
    """Bytes as Redis prints them: `512B`, `1.50M`."""
    if count < 1024:
        return f"{count}B"
    size = float(count)
    units = iter("KMGTP")
    unit = ""
    while size >= 1024:
        size /= 1024
        unit = next(units)
    return f"{size:.2f}{unit}"
