"""`/metrics`: it says what INFO says, its histograms hold every call, and a scrape keeps nobody waiting."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from laptop import eventually
from members import http
from prometheus_client.parser import text_string_to_metric_families
from server_process import DEADLINE, serving

from ringkeeper.commands.durations import longest_counted
from ringkeeper.server import info, metrics
from ringkeeper.server.config import read_arguments
from ringkeeper.server.dispatch import DURATIONS
from ringkeeper.server.loop_delay import BOUNDS, INTERVAL, LoopDelay
from ringkeeper.server.metrics import DURATIONS_US, ENDS, LABELS, NodeCollector, render
from ringkeeper.server.namespaces import figures_of
from ringkeeper.server.node import Node
from ringkeeper.store import namespace_text
from ringkeeper.store.namespaces import Namespace, Namespaces

Samples = dict[tuple[str, tuple[str, ...]], float]
"""By name, and the values of its labels in their order."""


def samples_of(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.values())
            assert key not in found, f"{key} is told twice"
            found[key] = sample.value
    return found


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(
        read_arguments(
            ["--port", "0", "--bind", "127.0.0.1", "--admin-port", "0", "--dir", str(tmp_path), "--appendonly", "yes"]
        ),
        asyncio.get_running_loop(),
    )
    node.admin_port = 0
    await node.start()
    yield node
    await node.stop()


async def tell(node: Node, *lines: str) -> None:
    """Send inline commands, and wait until all of them were answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    for line in (*lines, "ECHO done"):
        writer.write(line.encode() + b"\r\n")
    await reader.readuntil(b"done\r\n")
    writer.close()


async def stay(node: Node, *lines: str) -> asyncio.StreamWriter:
    """Send inline commands and remain connected."""
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"HELLO 3\r\n" + b"".join(line.encode() + b"\r\n" for line in lines))
    return writer


async def wait_for(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not check():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


LINES = (
    "SET k v EX 1000", "SET gone v PX 1", "GET k", "GET nothing", "GET", "LPUSH k x", "NOSUCH", "CONFIG GET port",
    "ACL SETUSER weak on >p +get ~*", "AUTH weak wrong",
)  # fmt: skip

TWINS: dict[str, tuple[str, str, float]] = {
    "replication_full_syncs_total": ("stats", "sync_full", 1),
    "replication_partial_syncs_total": ("stats", "sync_partial_ok", 1),
    "replication_partial_syncs_refused_total": ("stats", "sync_partial_err", 1),
    "replication_received_bytes_total": ("stats", "total_net_repl_input_bytes", 1),
    "replication_sent_bytes_total": ("stats", "total_net_repl_output_bytes", 1),
    "replication_offset": ("replication", "master_repl_offset", 1),
    "replication_backlog_bytes": ("replication", "repl_backlog_histlen", 1),
    "replicas": ("replication", "connected_slaves", 1),
    "commands_processed_total": ("stats", "total_commands_processed", 1),
    "connections_total": ("stats", "total_connections_received", 1),
    "connections_rejected_total": ("stats", "rejected_connections", 1),
    "output_limit_disconnections_total": ("stats", "client_output_buffer_limit_disconnections", 1),
    "network_input_bytes_total": ("stats", "total_net_input_bytes", 1),
    "network_output_bytes_total": ("stats", "total_net_output_bytes", 1),
    "network_reads_total": ("stats", "total_reads_processed", 1),
    "network_writes_total": ("stats", "total_writes_processed", 1),
    "keyspace_hits_total": ("stats", "keyspace_hits", 1),
    "keyspace_misses_total": ("stats", "keyspace_misses", 1),
    "expired_keys_total": ("stats", "expired_keys", 1),
    "evicted_keys_total": ("stats", "evicted_keys", 1),
    "expire_cycle_seconds_total": ("stats", "expire_cycle_cpu_milliseconds", 1e-3),
    "expire_cycle_timeouts_total": ("stats", "expired_time_cap_reached_count", 1),
    "expired_stale_ratio": ("stats", "expired_stale_perc", 1e-2),
    "lazyfreed_objects_total": ("memory", "lazyfreed_objects", 1),
    "lazyfree_pending_objects": ("memory", "lazyfree_pending_objects", 1),
    "connected_clients": ("clients", "connected_clients", 1),
    "blocked_clients": ("clients", "blocked_clients", 1),
    "pubsub_clients": ("clients", "pubsub_clients", 1),
    "watching_clients": ("clients", "watching_clients", 1),
    "tracking_clients": ("clients", "tracking_clients", 1),
    "tracking_keys": ("stats", "tracking_total_keys", 1),
    "client_longest_input_buffer_bytes": ("clients", "client_recent_max_input_buffer", 1),
    "client_longest_output_buffer_bytes": ("clients", "client_recent_max_output_buffer", 1),
    "pubsub_channels": ("stats", "pubsub_channels", 1),
    "pubsub_patterns": ("stats", "pubsub_patterns", 1),
    "max_clients": ("clients", "maxclients", 1),
    "loop_delay_max_seconds": ("stats", "loop_delay_max_usec", 1e-6),
    "uptime_seconds": ("server", "uptime_in_seconds", 1),
    "wall_clock_difference_seconds": ("server", "wall_clock_difference_ms", 1e-3),
    "memory_used_bytes": ("memory", "used_memory", 1),
    "memory_peak_bytes": ("memory", "used_memory_peak", 1),
    "memory_max_bytes": ("memory", "maxmemory", 1),
    "memory_overhead_bytes": ("memory", "used_memory_overhead", 1),
    "memory_dataset_bytes": ("memory", "used_memory_dataset", 1),
    "memory_resident_bytes": ("memory", "used_memory_rss", 1),
    "memory_swapped_bytes": ("memory", "used_memory_swap", 1),
    "memory_fragmentation_ratio": ("memory", "mem_fragmentation_ratio", 1),
    "memory_clients_bytes": ("memory", "mem_clients_normal", 1),
    "memory_links_bytes": ("memory", "mem_cluster_links", 1),
    "loading": ("persistence", "loading", 1),
    "snapshots_total": ("persistence", "rdb_saves", 1),
    "snapshot_running": ("persistence", "rdb_bgsave_in_progress", 1),
    "snapshot_last_timestamp_seconds": ("persistence", "rdb_last_save_time", 1),
    "snapshot_last_duration_seconds": ("persistence", "rdb_last_bgsave_time_sec", 1),
    "snapshot_last_copied_bytes": ("persistence", "rdb_last_cow_size", 1),
    "snapshot_unsaved_changes": ("persistence", "rdb_changes_since_last_save", 1),
    "append_only": ("persistence", "aof_enabled", 1),
    "append_only_bytes": ("persistence", "aof_current_size", 1),
    "append_only_base_bytes": ("persistence", "aof_base_size", 1),
    "append_only_pending_bytes": ("persistence", "aof_buffer_length", 1),
    "append_only_rewrites_total": ("persistence", "aof_rewrites", 1),
    "append_only_rewrite_running": ("persistence", "aof_rewrite_in_progress", 1),
    "append_only_rewrite_last_duration_seconds": ("persistence", "aof_last_rewrite_time_sec", 1),
    "append_only_rewrite_last_copied_bytes": ("persistence", "aof_last_cow_size", 1),
    "append_only_delays_total": ("persistence", "aof_delayed_fsync", 1),
}
"""A metric without labels, the field of INFO that tells the same, and the latter's unit in the former's."""
NEARLY = {
    "memory_resident_bytes": (0.1, 0), "memory_fragmentation_ratio": (0.1, 0), "uptime_seconds": (0, 1),
    "wall_clock_difference_seconds": (0, 0.1), "snapshot_last_timestamp_seconds": (0, 1),
    "expire_cycle_seconds_total": (0, 1e-3), "expired_stale_ratio": (0, 1e-4), "loop_delay_max_seconds": (0, 1e-6),
}  # fmt: skip
"""What goes on between two looks, or what INFO rounds: by what part of it, or how much, they may differ."""
ALONE = {
    "acl_denied", "cpu_seconds", "error_replies", "keys", "keys_volatile", "command_calls", "command_errors",
    "command_duration_seconds",
}  # fmt: skip
"""Families with labels, which `test_what_has_labels_agrees` compares."""
NOT_TOLD_BY_INFO = {
    "client_input_buffer_bytes", "client_output_buffer_bytes", "loop_delay_seconds", "node_info", "peer_link_up",
    "peer_link_waiting_bytes", "pubsub_dropped", "pubsub_forwarded", "pubsub_received", "ready", "slots_served",
    "topology_epoch", "tracking_table_bytes", "namespace_keys", "namespace_memory_bytes", "namespace_hits",
    "namespace_misses", "namespace_evicted_keys", "namespace_expired_keys", "namespace_memory_max_bytes",
    "disk_failing", "loading_ratio", "snapshot_failures", "snapshot_last_succeeded", "append_only_behind_seconds",
    "append_only_rewrite_failures", "append_only_rewrite_last_succeeded", "append_only_sync_seconds", "lease_lost",
    "lease_process_restarts", "lease_grants", "lease_datagrams_sent", "lease_datagrams_unsent",
    "lease_datagrams_received", "lease_datagrams_forged", "lease_datagrams_malformed", "lease_promises_not_kept",
    "replicas_online", "replica_lag_bytes", "replica_lag_seconds", "replication_link_up",
    "replication_link_lag_seconds", "replication_lost_bytes",
    "migration_sent_bytes", "migration_received_bytes", "migration_held_seconds", "migration_failures",
    "migration_slots_leaving", "migration_slots_coming", "migration_lag_bytes",
    "lease_needed", "lease_remaining_seconds", "lease_operator_heard_seconds", "lease_promised_term",
}  # fmt: skip


def info_of(node: Node) -> dict[str, dict[str, str]]:
    return {section: {name: str(value) for name, value in fields(node)} for section, fields in info.SECTIONS.items()}


def metrics_of(node: Node) -> Samples:
    """At one moment, unlike `render`."""
    found: Samples = {}
    for metric in NodeCollector(node).pieces():
        for sample in metric.samples:
            found[sample.name.removeprefix("ringkeeper_"), tuple(sample.labels.values())] = sample.value
    return found


async def test_whatever_both_tell_is_the_same(node: Node) -> None:
    node.config.set([("maxmemory", "100mb"), ("maxclients", "77")])
    await tell(node, *LINES)
    modes = ("BLPOP l 0",), ("SUBSCRIBE a b c", "PSUBSCRIBE d* e*"), ("SUBSCRIBE d",), *[("WATCH k",)] * 3
    writers = [await stay(node, *lines) for lines in (*modes, *[("CLIENT TRACKING on BCAST",)] * 4)]
    states = node.clients.sessions, node.tracking.sessions, node.transactions.watching, node.clients.subscribed
    await wait_for(lambda: [len(each) for each in states] == [10, 4, 3, 2] and node.waiting.count == 1)
    await wait_for(lambda: len(node.pubsub.tables["pattern"]) == 2)
    told, texts = metrics_of(node), info_of(node)
    for writer in writers:
        writer.close()
    for name, (section, field, unit) in TWINS.items():
        part, most = NEARLY.get(name, (0, 0))
        assert told[name, ()] == pytest.approx(float(texts[section][field]) * unit, rel=part, abs=most), name
    assert told["keyspace_hits_total", ()] == 1
    assert told["max_clients", ()] == 77
    names = ("connected", "blocked", "pubsub", "watching", "tracking")
    assert [told[f"{name}_clients", ()] for name in names] == [10, 1, 2, 3, 4]
    assert (told["pubsub_channels", ()], told["pubsub_patterns", ()]) == (4, 2)
    for name in ("commands_processed_total", "network_input_bytes_total", "memory_used_bytes"):
        assert told[name, ()] > 0, name


async def test_every_family_has_a_twin_or_stands_alone(node: Node) -> None:
    twins = {name.removesuffix("_total") for name in TWINS}
    families = {metric.name.removeprefix("ringkeeper_") for metric in NodeCollector(node).pieces()}
    assert families == twins | ALONE | NOT_TOLD_BY_INFO


async def test_what_has_labels_agrees(node: Node) -> None:
    await tell(node, *LINES)
    told, texts = metrics_of(node), info_of(node)
    for name in ("set", "get", "lpush", "config|get"):
        figures = dict(pair.split("=") for pair in texts["commandstats"][f"cmdstat_{name}"].split(","))
        assert told["command_calls_total", (name,)] == int(figures["calls"])
        assert told["command_duration_seconds_sum", (name,)] == pytest.approx(int(figures["usec"]) / 1e6, abs=1e-6)
        assert told["command_errors_total", (name, "gate")] == int(figures["rejected_calls"])
        assert told["command_errors_total", (name, "command")] == int(figures["failed_calls"])
    assert told["command_errors_total", ("get", "gate")] == told["command_errors_total", ("lpush", "command")] == 1
    codes = {key[0]: value for (name, key), value in told.items() if name == "error_replies_total"}
    assert codes == {
        name.removeprefix("errorstat_"): int(text.removeprefix("count=")) for name, text in texts["errorstats"].items()
    }
    assert codes.keys() == {"ERR", "WRONGTYPE", "WRONGPASS"}
    assert told["acl_denied_total", ("auth",)] == int(texts["stats"]["acl_access_denied_auth"]) == 1
    keys = dict(pair.split("=") for pair in texts["keyspace"]["db0"].split(","))
    assert told["keys", ("0",)] == int(keys["keys"])
    assert told["keys_volatile", ("0",)] == int(keys["expires"])
    for mode, field in (("user", "used_cpu_user"), ("system", "used_cpu_sys")):
        assert told["cpu_seconds_total", (mode,)] == pytest.approx(float(texts["cpu"][field]), abs=1)


async def test_a_histogram_holds_every_call_and_its_quantiles_agree_with_info(node: Node) -> None:
    await tell(node, *["PING"] * 20, "DEBUG SLEEP 0.03", *["SET k v"] * 50)
    told = metrics_of(node)
    for entry in node.dispatcher.all():
        if not entry.calls:
            continue
        name = entry.command.name
        buckets = [told["command_duration_seconds_bucket", (name, label)] for label in LABELS]
        assert buckets == list(accumulate(entry.grouped(ENDS)))
        assert buckets[-1] == told["command_duration_seconds_count", (name,)] == entry.calls == sum(entry.histogram())
    ends = (*ENDS, DURATIONS)
    counted = next(entry for entry in node.dispatcher.all() if entry.command.name == "set").histogram()
    assert next(entry for entry in node.dispatcher.all() if entry.command.name == "set").grouped(ENDS) == [
        sum(counted[start:end]) for start, end in zip((0, *ends), ends, strict=False)
    ]


def test_a_bucket_holds_nothing_longer_than_its_bound_and_misses_less_than_a_part_in_128() -> None:
    assert (DURATIONS_US[0], DURATIONS_US[-1]) == (10, 1_000_000)
    for bound, end in zip(DURATIONS_US, ENDS, strict=True):
        assert longest_counted(end - 1) <= bound * 1000 < longest_counted(end)
        assert longest_counted(end - 1) >= bound * 1000 * (1 - 1 / 128) - 1
    assert ENDS[-1] < DURATIONS, "what takes a second or longer is in no bucket but the last"


def test_percentiles_are_derivable_within_a_factor_of_two_and_a_half() -> None:
    assert all(after <= 2.5 * before for before, after in pairwise(DURATIONS_US))


# Loop delay


def test_a_stall_counts_for_as_long_as_it_lasts() -> None:
    delay = LoopDelay(asyncio.new_event_loop())
    due = delay.count(100.0, 100.0005)
    assert due == pytest.approx(100.0 + INTERVAL)
    assert delay.counts[0] == 1
    due = delay.count(due, due + 1.001)
    assert due > 101.02
    assert sum(delay.counts) == 1 + 51
    assert delay.longest == pytest.approx(1.001)
    assert delay.counts[BOUNDS.index(1.0)] == 25, "from 0.5 to 1 s: half of them"
    assert delay.counts[BOUNDS.index(2.0)] == 1
    assert delay.total == pytest.approx(51 * 0.5, rel=0.01)
    delay.count(due, due - 0.0004)
    assert delay.last == 0.0


def test_a_stalled_node_says_so_in_both_places(tmp_path: Path) -> None:
    with serving(tmp_path, "--enable-debug-command", "yes") as server:
        client = server.client()
        before = samples_of(http(server, "/metrics")[1])
        client.execute_command("DEBUG", "SLEEP", "0.4")
        told = samples_of(http(server, "/metrics")[1])
        assert told["ringkeeper_loop_delay_max_seconds", ()] > 0.3
        name = "ringkeeper_loop_delay_seconds_bucket"
        late = told[name, ("+Inf",)] - told[name, ("0.1",)] - before[name, ("+Inf",)] + before[name, ("0.1",)]
        assert late >= 14, "of 20 moments, those that had to wait for longer than 0.1 s"
        assert int(client.info("stats")["loop_delay_max_usec"]) > 300_000


# Namespaces


class Counting:
    """A database, as far as it tells of namespaces: number n has n keys and 10n bytes, the default one 1 and 10."""

    hits = misses = evicted = expired = 1

    def __init__(self, namespaces: Namespaces, *, used: bool = True) -> None:
        self.namespaces = namespaces
        self.hits = self.misses = self.evicted = self.expired = int(used)

    def __len__(self) -> int:
        return 0

    def space_figures(self) -> list[tuple[int, ...]]:
        assert self.hits, "one that was never used is not asked"
        return [(number or 1, 10 * (number or 1), 2, 3, 4, 5) for number in range(len(self.namespaces) + 1)]


def tenants(count: int) -> Namespaces:
    return Namespaces([Namespace(b"tenant:%d:" % number, 7000) for number in range(1, count + 1)])


def told_of(declared: Namespaces, databases: list[Any], most: int) -> Samples:
    found: Samples = {}
    for metric in metrics.namespaces(*figures_of(declared, databases, most), declared.items):
        for sample in metric.samples:
            assert (sample.name, tuple(sample.labels.values())) not in found
            found[sample.name, tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
@pytest.mark.parametrize("most", [0, 200, 10_000])
def test_a_row_for_each_namespace_up_to_a_number_and_one_for_the_rest(count: int, most: int) -> None:
    declared = tenants(count)
    told = told_of(declared, [Counting(declared), Counting(declared, used=False), Counting(declared)], most)
    keys = {labels[0]: value for (name, labels), value in told.items() if name == "ringkeeper_namespace_keys"}
    assert sum(keys.values()) == 2 * (1 + count * (count + 1) // 2)
    assert len(keys) == 1 + min(count, most) + (count > most)
    assert keys["…default"] == 2
    if count > most:
        assert keys["…other"] == 2 * sum(range(most + 1, count + 1))
    for family, each in (("hits_total", 2), ("misses_total", 3), ("evicted_keys_total", 4), ("expired_keys_total", 5)):
        values = [value for (name, _), value in told.items() if name == f"ringkeeper_namespace_{family}"]
        assert sum(values) == 2 * each * (count + 1)
    limited = [labels for name, labels in told if name == "ringkeeper_namespace_memory_max_bytes"]
    assert len(limited) == min(count, most)


def test_a_database_that_has_not_changed_over_yet_is_told_by_prefix() -> None:
    before = tenants(3)
    declared = Namespaces([Namespace(b"new:"), before.items[2], before.items[0]])
    told = told_of(declared, [Counting(before)], 200)
    keys = {labels[0]: value for (name, labels), value in told.items() if name == "ringkeeper_namespace_keys"}
    assert keys == {"…default": 1, "new:": 0, "tenant:3:": 3, "tenant:1:": 1}


def test_no_prefix_is_taken_for_a_label_made_here() -> None:
    prefixes = ["…default", "…other", "……other", "default", '\\"\n', "rest"]
    declared = Namespaces([Namespace(prefix.encode()) for prefix in prefixes])
    told = told_of(declared, [Counting(declared)], 5)
    names = [labels[0] for name, labels in told if name == "ringkeeper_namespace_keys"]
    assert names == ["…default", "……default", "……other", "………other", "default", '\\"\n', "…other"]


async def test_what_happens_to_a_namespaces_keys_is_counted_to_it(node: Node) -> None:
    declared = '[{"prefix":"a:","maxMemory":"64Ki","defaultTTL":"1ms"},{"prefix":"b:","maxMemory":"64Ki"}]'
    node.config.set([("namespaces", declared)])
    await tell(node, "SET a:1 v", "SET b:1 v", "SET c v", "GET b:1", "GET b:1", "GET b:2", "GET c", "GET d")
    await wait_for(lambda: node.databases[0].expired == 1)
    await tell(node, "GET a:1", *(f"SET b:{number} {'x' * 1000}" for number in range(200)), "SELECT 1", "SET c v")
    told = metrics_of(node)

    def figures(name: str) -> list[float]:
        return [told[f"namespace_{name}", (label,)] for label in ("…default", "a:", "b:")]

    assert figures("hits_total") == [1, 0, 2]
    assert figures("misses_total") == [1, 1, 1]
    assert figures("expired_keys_total") == [0, 1, 0]
    assert figures("evicted_keys_total")[:2] == [0, 0]
    assert told["namespace_evicted_keys_total", ("b:",)] == told["evicted_keys_total", ()] > 50
    assert figures("keys")[:2] == [2, 0]
    assert sum(figures("keys")) == told["keys", ("0",)] + told["keys", ("1",)]
    assert told["namespace_memory_bytes", ("b:",)] <= told["namespace_memory_max_bytes", ("b:",)] == 65536
    assert 60_000 < sum(figures("memory_bytes")) <= told["memory_used_bytes", ()], "the tables are nobody's own"


async def test_a_scrape_lets_others_go_first(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every command used and 10,000 namespaces, each shown: pieces are short, and the loop goes round between."""
    declared = namespace_text.render(tenants(10_000).items)
    node.config.set([("metrics-namespaces", "10000"), ("namespaces", declared)])
    monkeypatch.setattr(metrics, "SLICE_NS", -1)
    for entry in node.dispatcher.all():
        entry.calls = 1
    assert len(list(info.used_entries(node))) > 200
    lengths = [len(metric.samples) for metric in NodeCollector(node).pieces()]
    assert max(lengths) <= 20 * (len(LABELS) + 2)
    rounds = 0
    done = False

    def turn() -> None:
        nonlocal rounds
        rounds += 1
        if not done:
            node.loop.call_soon(turn)

    turn()
    text = (await render(node)).decode()
    done = True
    assert rounds >= len(lengths)
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "no family begins twice"
    assert len(samples_of(text)) == sum(lengths)


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_swap_is_that_of_the_process() -> None:
    from ringkeeper.server.memory import swapped_bytes

    status = Path(f"/proc/{os.getpid()}/status").read_text().split()
    assert swapped_bytes() == int(status[status.index("VmSwap:") + 1]) * 1024


def test_buffers_of_clients_are_told(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.connect() as slow, server.connect() as beginner:
        server.client().set("k", b"x" * 1_000_000)
        slow.sendall(b"GET k\r\n" * 40)
        beginner.sendall(b"*2\r\n$3\r\nGET\r\n$100000\r\n" + b"y" * 50_000)

        def told() -> bool:
            found = samples_of(http(server, "/metrics")[1])
            return (
                found["ringkeeper_client_output_buffer_bytes", ()] > 1_000_000
                and found["ringkeeper_client_input_buffer_bytes", ()] > 40_000
            )

        eventually(told, "both buffers are seen")
