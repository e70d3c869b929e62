"""A look at every client about once a second, a few of them in each round: what it tells costs nobody O(clients).

What it says of their buffers is therefore up to a second old.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringkeeper.server.clients import ClientRegistry
    from ringkeeper.server.session import Session

log = logging.getLogger(__name__)


class Survey:
    """One a node."""

    def __init__(self, clients: ClientRegistry) -> None:
        self.clients = clients
        self.input = 0
        self.output = 0
        """Bytes that waited in all clients' buffers."""
        self.longest_input = 0
        self.longest_output = 0
        self.rest: Iterator[Session] = iter(())
        self.each_round = 0
        self.seen = (0, 0, 0, 0)
        """The figures of the turn that is under way."""
        self.stranded: set[Session] = set()
        """Whose transports had been closing at the last look, with nothing left to send."""

    @property
    def buffered(self) -> int:
        return self.input + self.output

    def round(self, rounds_a_second: int) -> None:
        """Look at the next clients; behind the last one, publish what was seen and begin again."""
        for _ in range(self.each_round):
            session = next(self.rest, None)
            if session is None:
                self.input, self.output, self.longest_input, self.longest_output = self.seen
                self.begin(rounds_a_second)
                return
            self.look_at(session)
        if not self.each_round:
            self.begin(rounds_a_second)

    def begin(self, rounds_a_second: int) -> None:
        sessions = list(self.clients.sessions.values())
        self.rest = iter(sessions)
        self.stranded = {session for session in self.stranded if session.id in self.clients.sessions}
        self.each_round = len(sessions) // max(1, rounds_a_second - 1) + 1
        self.seen = (0, 0, 0, 0)

    def look_at(self, session: Session) -> None:
        if session.closing:
            return
        waiting_in, waiting_out = session.reader.buffered, session.output_bytes
        if session.transport.is_closing() and not waiting_out:
            self.strand(session)
            return
        all_in, all_out, longest_in, longest_out = self.seen
        self.seen = (
            all_in + waiting_in,
            all_out + waiting_out,
            max(longest_in, waiting_in),
            max(longest_out, waiting_out),
        )
        idle = self.clients.idle_seconds
        if idle and session.last_active < self.clients.clock.now_ms - idle * 1000 and not is_expecting(session):
            log.debug("Closing idle client %s", session.address)
            session.close()

    def strand(self, session: Session) -> None:
        """A transport that closes with nothing to send tells its session at once, unless there was no memory for that:
        then it never does, and whoever is seen so twice would wait forever."""
        if session not in self.stranded:
            self.stranded.add(session)
            return
        self.stranded.discard(session)
        log.warning("Client %s lost its transport without being told and is closed", session.id)
        session.shut()


def is_expecting(session: Session) -> bool:
    """Whether it waits, listens or is another node: the directive `timeout` is not for such."""
    return bool(
        session.wait or session.is_subscribed or session.monitoring or session.peer is not None or session.replica
    )
