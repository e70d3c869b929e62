"""LATENCY: how long commands take, and what stalled the node."""

from __future__ import annotations

from ringkeeper.commands.admin import container
from ringkeeper.commands.connection import text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.durations import cumulative
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.latency_report import graph, report
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import ReplyError, Verbatim

FLAGS = "admin noscript loading stale"
READING = "nondeterministic_output request_policy:all_nodes response_policy:special"

command(
    "LATENCY",
    arity=-2,
    flags="",
    group="server",
    since="2.8.13",
    complexity="Depends on subcommand.",
    summary="A container for latency diagnostics commands.",
)(container)


@command(
    "LATENCY|LATEST",
    arity=2,
    flags=FLAGS,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    tips=READING,
    summary="Returns the latest latency samples for all events.",
)
def latency_latest(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return [[name.encode(), *event.samples[-1], event.longest] for name, event in context.node.latency.all().items()]


@command(
    "LATENCY|HISTORY",
    arity=3,
    flags=FLAGS,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    tips=READING,
    summary="Returns timestamp-latency samples for an event.",
)
def latency_history(context: Context, args: Arguments) -> Reply:
    event = context.node.latency.all().get(text_of(args[2]))
    return [] if event is None else [list(sample) for sample in event.samples]


@command(
    "LATENCY|RESET",
    arity=-2,
    flags=FLAGS,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:agg_sum",
    summary="Resets the latency data for one or more events.",
)
def latency_reset(context: Context, args: Arguments) -> Reply:
    return context.node.latency.reset([text_of(word) for word in args[2:]])


@command(
    "LATENCY|HISTOGRAM",
    arity=-2,
    flags=FLAGS,
    group="server",
    since="7.0.0",
    complexity="O(N) where N is the number of commands with latency information being retrieved.",
    tips=READING,
    summary="Returns the cumulative distribution of latencies of a subset or all commands.",
)
def latency_histogram(context: Context, args: Arguments) -> Reply:
    """A container's name means its subcommands; names that nobody has called are left out."""
    wanted = {text_of(word).lower() for word in args[2:]}
    return {
        name.encode(): {b"calls": sum(counts), b"histogram_usec": cumulative(counts)}
        for name, counts in context.node.durations()
        if not wanted or name in wanted or name.partition("|")[0] in wanted
    }


@command(
    "LATENCY|GRAPH",
    arity=3,
    flags=FLAGS,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    tips=READING,
    summary="Returns a latency graph for an event.",
)
def latency_graph(context: Context, args: Arguments) -> Reply:
    name = text_of(args[2])
    event = context.node.latency.all().get(name)
    if event is None:
        raise ReplyError(f"ERR No samples available for event '{name}'")
    return Verbatim(graph(name, event, context.node.now_us() // 1_000_000).encode("utf-8", "replace"))


@command(
    "LATENCY|DOCTOR",
    arity=2,
    flags=FLAGS,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    tips=READING,
    summary="Returns a human-readable latency analysis report.",
)
def latency_doctor(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    settings = context.settings.get(["latency-monitor-threshold", "slowlog-log-slower-than"])
    threshold, slower_than = int(settings["latency-monitor-threshold"]), int(settings["slowlog-log-slower-than"])
    return Verbatim(report(context.node.latency.all(), threshold, slower_than).encode())


@command(
    "LATENCY|HELP",
    arity=2,
    flags="loading stale",
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def latency_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("LATENCY", LATENCY_HELP)


LATENCY_HELP = """
DOCTOR
    Return a human readable latency analysis report.
GRAPH <event>
    Return an ASCII latency graph for the <event> class.
HISTORY <event>
    Return time-latency samples for the <event> class.
LATEST
    Return the latest latency samples for all events.
RESET [<event> ...]
    Reset latency data of one or more <event> classes.
    (default: reset all data for all event classes)
HISTOGRAM [COMMAND ...]
    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.
    If no commands are specified then all histograms are replied.
"""
