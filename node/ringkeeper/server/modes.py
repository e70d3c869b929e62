"""The ways in which a session may differ from one that just sends commands: it queues, it subscribes, it tracks.

A session without any of them never comes here: `Session.execute_batch` calls the dispatcher itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringkeeper.commands.table import Arguments
from ringkeeper.resp.values import ReplyError, Simple
from ringkeeper.resp.writer import write
from ringkeeper.server.session import Session
from ringkeeper.server.transactions import ELSEWHERE

if TYPE_CHECKING:
    from ringkeeper.server.dispatch import Dispatcher
    from ringkeeper.server.tracking import TrackingTable

AT_ONCE = frozenset({b"exec", b"discard", b"multi", b"watch", b"quit", b"reset"})
"""Never queued by MULTI."""
WHILE_SUBSCRIBED = frozenset(
    {
        b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe", b"ssubscribe", b"sunsubscribe", b"ping", b"quit",
        b"reset",
    }
)  # fmt: skip
"""What a RESP2 connection may still say; in RESP3 messages are pushes and everything may be said."""
QUEUED = Simple(b"QUEUED")
KEYSPACE = frozenset({"readonly", "write"})
PUBLISHING = frozenset({"publish", "spublish"})
NOT_FOR_MONITORS = ReplyError("ERR Replica can't interact with the keyspace")
"""To Redis a monitor is a kind of replica."""


class Modes:
    """One a node."""

    def __init__(self, dispatcher: Dispatcher, tracking: TrackingTable) -> None:
        self.dispatcher = dispatcher
        self.tracking = tracking

    def execute(self, session: Session, args: Arguments, out: bytearray) -> bool:
        """As `Dispatcher.execute`, for a session in some mode."""
        keyspace = session.context.keyspace
        keyspace.touching = not session.no_touch
        self.execute_in_mode(session, args, out)
        keyspace.touching = True
        return self.dispatcher.turn_over

    def execute_in_mode(self, session: Session, args: Arguments, out: bytearray) -> None:
        name = args[0].lower()
        if session.is_subscribed and session.protocol == 2:
            if name not in WHILE_SUBSCRIBED and not session.executing:
                self.refuse_while_subscribed(session, args, out)
                return
            if name == b"ping" and len(args) <= 2 and session.transaction is None:
                self.ping(session, args, out)
                return
        if session.monitoring and (refusal := self.refusal_to_monitor(session, args)) is not None:
            self.dispatcher.refuse(session, refusal, out, "exec" if name == b"exec" else "")
        elif session.transaction is not None and name not in AT_ONCE:
            self.queue(session, args, out)
        elif session.tracking is not None:
            self.execute_tracked(session, args, out)
        else:
            self.dispatcher.execute(session, session.context, args, out, session.restricted)

    def refuse_while_subscribed(self, session: Session, args: Arguments, out: bytearray) -> None:
        refusal = self.dispatcher.objection_to(session, args)
        if refusal is None:
            name = self.dispatcher.find(args).command.name
            refusal = ReplyError(
                f"ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed"
                " in this context"
            )
        self.dispatcher.refuse(session, refusal, out, "exec" if args[0].lower() == b"exec" else "")

    def refusal_to_monitor(self, session: Session, args: Arguments) -> ReplyError | None:
        try:
            command = self.dispatcher.find(args).command
        except ReplyError:
            return None
        if not command.flags & KEYSPACE and command.name not in PUBLISHING:
            return None
        return self.dispatcher.objection_to(session, args) or NOT_FOR_MONITORS

    def ping(self, session: Session, args: Arguments, out: bytearray) -> None:
        """The same command as ever; its answer looks like a message, for a client that reads nothing else."""
        length = len(out)
        self.dispatcher.execute(session, session.context, args, out, session.restricted)
        if out[length : length + 1] != b"-":
            del out[length:]
            write(out, [b"pong", args[1] if len(args) == 2 else b""], 2)

    def queue(self, session: Session, args: Arguments, out: bytearray) -> None:
        transaction, dispatcher = session.transaction, self.dispatcher
        refusal = dispatcher.objection_to(session, args)
        if refusal is not None:
            if refusal.code in ELSEWHERE:
                refusal = transaction.told(refusal, dispatcher.find(args).command, args)
            dispatcher.refuse(session, refusal, out)
            return
        if not (transaction.aborted or session.watch_touched):  # EXEC will run none, nor look at more keys
            transaction.add(dispatcher.find(args).command, args)
        write(out, QUEUED, session.protocol)

    def execute_tracked(self, session: Session, args: Arguments, out: bytearray) -> None:
        """A read that fails is remembered as well, unless a gate refused it."""
        dispatcher = self.dispatcher
        processed = dispatcher.processed
        dispatcher.execute(session, session.context, args, out, session.restricted)
        tracking = session.tracking
        command = dispatcher.last
        if tracking is None or command is None:
            return
        if "readonly" in command.flags and dispatcher.processed != processed and command.name != "exec":
            self.tracking.remember(session, [args[position] for position in command.key_positions(args)])
        if not session.executing and session.transaction is None and command.name != "client|caching":
            tracking.caching = None
