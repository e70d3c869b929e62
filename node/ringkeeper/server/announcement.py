"""Tells clients that asked for it that slots are served elsewhere, so that they need not run into a redirection first.

They subscribe to `CHANNEL`, on any node: with RESP3 what they get is a push, which does not disturb the replies of the
same connection, with RESP2 a message as any other. It comes when the node that they are connected to has taken a
topology, and says what has changed by it: `{"epoch": 42, "slots": [[0, 99, "10.0.0.7", 6379]]}`, the masters of slots
from first to last; `"slots": null` where that would be more than `MOST_RANGES` ranges, and CLUSTER SLOTS tells all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ringkeeper.cluster.view import changed_masters
from ringkeeper.commands.pubsub import OWN_CHANNELS

if TYPE_CHECKING:
    from ringkeeper.cluster.topology import Topology
    from ringkeeper.server.pubsub import PubSub

CHANNEL = OWN_CHANNELS + b"topology"
MOST_RANGES = 1000


def announce(pubsub: PubSub, former: Topology | None, topology: Topology) -> None:
    """To the subscribers of this node; nothing is made of it where there are none."""
    if former is topology or not pubsub.is_heard(CHANNEL):
        return
    ranges = changed_masters(former, topology)
    slots = [[first, last, master.address, master.port] for first, last, master in ranges]
    told = {"epoch": topology.epoch, "slots": slots if len(slots) <= MOST_RANGES else None}
    pubsub.deliver(CHANNEL, json.dumps(told, separators=(",", ":")).encode())
