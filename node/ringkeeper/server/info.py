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
from ringkeeper.server.config import percentage_text
from ringkeeper.server.dispatch import Entry

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

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
    yield "multiplexing_api", "uvloop"
    yield "process_id", os.getpid()
    yield "run_id", node.run_id
    yield "tcp_port", node.port
    yield "admin_port", node.admin_port
    yield "server_time_usec", node.now_us()
    yield "uptime_in_seconds", uptime
    yield "uptime_in_days", uptime // 86400
    yield "hz", config.number("hz")
    yield "configured_hz", config.number("hz")
    yield "executable", sys.executable
    yield "config_file", config.file or ""


def clients(node: Node) -> Fields:
    registry = node.clients
    sessions = registry.all()
    yield "connected_clients", len(registry.sessions) - len(node.peers.inbound)
    yield "cluster_connections", node.peers.connections
    yield "maxclients", registry.max_clients
    yield "client_recent_max_input_buffer", max((session.reader.buffered for session in sessions), default=0)
    yield "client_recent_max_output_buffer", max((session.output_bytes for session in sessions), default=0)
    yield "blocked_clients", node.waiting.count
    yield "tracking_clients", len(node.tracking.sessions)
    yield "pubsub_clients", sum(session.is_subscribed for session in sessions)
    yield "watching_clients", sum(session.watched is not None for session in sessions)
    yield "clients_in_timeout_table", 0


def memory(node: Node) -> Fields:
    used, peak, rss = node.used_bytes, max(node.peak_bytes, node.used_bytes), resident_bytes()
    limit = node.config.number("maxmemory")
    yield "used_memory", used
    yield "used_memory_human", human(used)
    yield "used_memory_rss", rss
    yield "used_memory_rss_human", human(rss)
    yield "used_memory_peak", peak
    yield "used_memory_peak_human", human(peak)
    yield "used_memory_peak_perc", f"{used / peak if peak else 1:.2%}"
    yield "used_memory_dataset", used
    total = total_memory()
    yield "total_system_memory", total
    yield "total_system_memory_human", human(total)
    yield "maxmemory", limit
    yield "maxmemory_human", human(limit)
    yield "maxmemory_policy", node.config.text("maxmemory-policy")
    yield "mem_fragmentation_ratio", f"{rss / used if used else 0:.2f}"
    yield "mem_allocator", "libc"


def persistence(node: Node) -> Fields:
    yield "loading", 0
    yield "async_loading", 0
    yield "rdb_changes_since_last_save", sum(keyspace.dirty for keyspace in node.databases)
    yield "rdb_bgsave_in_progress", 0
    yield "rdb_last_save_time", int(time.time() - (time.monotonic() - node.started))
    yield "rdb_last_bgsave_status", "ok"
    yield "aof_enabled", 0
    yield "aof_rewrite_in_progress", 0
    yield "aof_last_write_status", "ok"


def stats(node: Node) -> Fields:
    registry = node.clients
    yield "total_connections_received", registry.connections_received
    yield "total_commands_processed", node.dispatcher.processed
    yield "instantaneous_ops_per_sec", node.cron.operations_per_second
    yield "total_net_input_bytes", registry.bytes_in
    yield "total_net_output_bytes", registry.bytes_out
    yield "rejected_connections", registry.rejected_connections
    yield "sync_full", 0
    yield "sync_partial_ok", 0
    yield "sync_partial_err", 0
    yield "expired_keys", sum(keyspace.expired for keyspace in node.databases)
    yield "evicted_keys", 0
    yield "keyspace_hits", sum(keyspace.hits for keyspace in node.databases)
    yield "keyspace_misses", sum(keyspace.misses for keyspace in node.databases)
    yield "pubsub_channels", len(node.pubsub.tables["channel"])
    yield "pubsub_patterns", len(node.pubsub.tables["pattern"])
    yield "pubsubshard_channels", len(node.pubsub.tables["shard"])
    yield "latest_fork_usec", 0
    yield "total_forks", 0
    yield "total_error_replies", sum(node.dispatcher.errors.values())
    yield "tracking_total_keys", len(node.tracking.readers)
    yield "tracking_total_items", node.tracking.items
    yield "tracking_total_prefixes", len(node.tracking.prefixes)
    for reason, count in node.access.denials.counts.items():
        word = "cmd" if reason is Reason.COMMAND else reason.name.lower()
        yield f"acl_access_denied_{word}", count
    yield "client_output_buffer_limit_disconnections", registry.output_limit_disconnections
    yield "loop_delay_usec", round(node.cron.delay_seconds * 1e6)
    yield "loop_delay_max_usec", round(node.cron.longest_delay_seconds * 1e6)


def replication(node: Node) -> Fields:
    role = node.role()
    yield "role", role[0]
    if role[0] == "slave":
        yield "master_host", role[1]
        yield "master_port", role[2]
        yield "master_link_status", "down"
    yield "connected_slaves", 0
    yield "master_failover_state", "no-failover"
    yield "master_replid", node.run_id
    yield "master_repl_offset", 0
    yield "second_repl_offset", -1
    yield "repl_backlog_active", 0


def cpu(node: Node) -> Fields:  # noqa: ARG001
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "used_cpu_sys", f"{mine.ru_stime:.6f}"
    yield "used_cpu_user", f"{mine.ru_utime:.6f}"
    yield "used_cpu_sys_children", f"{children.ru_stime:.6f}"
    yield "used_cpu_user_children", f"{children.ru_utime:.6f}"


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


def keyspace(node: Node) -> Fields:
    for index, database in enumerate(node.databases):
        if len(database):
            yield f"db{index}", f"keys={len(database)},expires={database.volatile},avg_ttl=0"


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


def resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def total_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
