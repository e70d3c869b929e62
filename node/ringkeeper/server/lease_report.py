"""What a node tells of its lease: at `/control/state`, in INFO and at `/metrics`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ringkeeper.server import lease_layout

if TYPE_CHECKING:
    from ringkeeper.server.metrics import Figures
    from ringkeeper.server.node import Node


def document(node: Node) -> dict[str, Any]:
    """For `/control/state`. `holds`: whether this node may serve, as far as a lease is concerned."""
    lease, keeper, words = node.lease, node.lease_keeper, node.lease.words
    return {
        "needed": lease.needed,
        "holds": lease.allows(),
        "remainingMs": lease.remaining_ns() // 1_000_000 if lease.needed else None,
        "term": lease.term,
        "released": lease.released,
        "promisedTerm": words[lease_layout.PROMISED_TERM],
        "epoch": words[lease_layout.EPOCH],
        "operatorHeardMs": heard_ms(node),
        "grants": words[lease_layout.GRANTS],
        "sent": words[lease_layout.SENT],
        "received": words[lease_layout.RECEIVED],
        "timesLost": node.fence.times,
        "process": keeper.pid if keeper is not None else None,
        "restarts": keeper.restarts if keeper is not None else 0,
    }


def heard_ms(node: Node) -> int | None:
    """How long ago the operator was heard; None if never."""
    then = node.lease.words[lease_layout.OPERATOR_HEARD]
    return (time.monotonic_ns() - then) // 1_000_000 if then else None


def fields(node: Node) -> list[tuple[str, object]]:
    """For INFO's section `cluster`."""
    lease = node.lease
    return [
        ("lease_needed", int(lease.needed)),
        ("lease_held", int(lease.needed and lease.holds())),
        ("lease_remaining_ms", lease.remaining_ns() // 1_000_000 if lease.needed else 0),
        ("lease_times_lost", node.fence.times),
        ("lease_promised_term", lease.words[lease_layout.PROMISED_TERM]),
    ]


def counters(node: Node) -> Figures:
    words, keeper = node.lease.words, node.lease_keeper
    return (
        ("lease_lost", "Times that this master's lease ran out.", node.fence.times),
        ("lease_process_restarts", "Lease processes that died and were started again.",
         keeper.restarts if keeper is not None else 0),
        ("lease_grants", "Grants of the operator and of voters.", words[lease_layout.GRANTS]),
        ("lease_datagrams_sent", "Heartbeats and answers sent.", words[lease_layout.SENT]),
        ("lease_datagrams_unsent", "Datagrams that the system did not take.", words[lease_layout.UNSENT]),
        ("lease_datagrams_received", "Datagrams received, of whomever.", words[lease_layout.RECEIVED]),
        ("lease_datagrams_forged", "Datagrams dropped: their sender does not have the admin token.",
         words[lease_layout.FORGED]),
        ("lease_datagrams_malformed", "Datagrams dropped: with the token, and no message.",
         words[lease_layout.MALFORMED]),
        ("lease_promises_not_kept", "Promises not given, since the disk did not take them.",
         words[lease_layout.KEEPING_FAILED]),
    )  # fmt: skip


def gauges(node: Node) -> Figures:
    lease = node.lease
    heard = heard_ms(node)
    return (
        ("lease_needed", "Whether this node serves under a lease: it is the master of a shard with voters.",
         lease.needed),
        ("lease_remaining_seconds", "How long its lease lasts; 0 when there is none, or none is needed.",
         lease.remaining_ns() / 1e9 if lease.needed else 0),
        ("lease_operator_heard_seconds", "How long ago the operator was heard; -1 for never.",
         -1 if heard is None else heard / 1000),
        ("lease_promised_term", "The highest term that this node has promised; 0 for none.",
         lease.words[lease_layout.PROMISED_TERM]),
    )  # fmt: skip
