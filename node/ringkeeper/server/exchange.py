"""Nodes hand the topology to each other: each asks one other node a second, in turn, for a newer epoch than its own.

So a node that the operator could not reach learns of a change as long as any of its peers did.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

from ringkeeper.cluster.topology import Node as Peer
from ringkeeper.cluster.topology import TopologyError
from ringkeeper.server.admin import LARGEST_DOCUMENT, read_document
from ringkeeper.server.membership import TopologyRefusedError

if TYPE_CHECKING:
    from ringkeeper.server.membership import Membership

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0


async def exchange(membership: Membership, interval_seconds: float) -> None:
    """Ask until cancelled. A peer that does not answer is nothing to warn of: the operator watches it."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        asked = 0
        while True:
            await asyncio.sleep(interval_seconds)
            peers = membership.peers()
            if not peers:
                continue
            peer = peers[asked % len(peers)]
            asked += 1
            try:
                await ask(membership, session, peer)
            except (aiohttp.ClientError, OSError, TimeoutError, TopologyError, TopologyRefusedError) as error:
                log.debug("No topology from %s: %s", peer.name, error or type(error).__name__)


async def ask(membership: Membership, session: aiohttp.ClientSession, peer: Peer) -> None:
    """Take the peer's topology if its epoch is above ours."""
    assert membership.token is not None
    host = f"[{peer.address}]" if ":" in peer.address else peer.address
    headers = {
        "Authorization": f"Bearer {membership.token.decode('utf-8', 'surrogateescape')}",
        "If-None-Match": f'"{membership.epoch}"',
    }
    url = f"http://{host}:{peer.admin_port}/control/topology"
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        if response.status != 200:
            if response.status not in (304, 404):
                log.debug("No topology from %s: status %d", peer.name, response.status)
            return
        data = await response.content.read(LARGEST_DOCUMENT + 1)
        while not response.content.at_eof() and len(data) <= LARGEST_DOCUMENT:
            data += await response.content.read(LARGEST_DOCUMENT + 1 - len(data))
    if len(data) > LARGEST_DOCUMENT:
        raise TopologyError(f"topology: longer than {LARGEST_DOCUMENT} bytes")
    topology = await asyncio.to_thread(read_document, data)
    if topology.epoch > membership.epoch:
        epoch = await membership.offer(topology, data)
        log.info("Took topology epoch %d from %s", epoch, peer.name)
