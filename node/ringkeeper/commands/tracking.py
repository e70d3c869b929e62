"""CLIENT TRACKING and its relatives, and CLIENT UNBLOCK."""

from __future__ import annotations

from ringkeeper.commands.clients import too_many
from ringkeeper.commands.context import Context, TrackingState
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError, SetReply

CLIENT = "noscript loading stale"


@command(
    "CLIENT|TRACKING",
    arity=-3,
    flags=CLIENT,
    group="connection",
    since="6.0.0",
    complexity="O(1). Some options may introduce additional complexity.",
    summary="Controls server-assisted client-side caching for the connection.",
)
def client_tracking(context: Context, args: Arguments) -> Reply:
    wanted = tracking_options(args[3:], context)
    word = args[2].lower()
    if word == b"on":
        check_options(wanted, context.tracking.state(context.client))
        context.tracking.enable(context.client, wanted)
    elif word == b"off":
        context.tracking.disable(context.client)
    else:
        raise ReplyError(SYNTAX)
    return OK


def tracking_options(words: Arguments, context: Context) -> TrackingState:
    wanted = TrackingState()
    index = 0
    while index < len(words):
        word = words[index].lower()
        more = index + 1 < len(words)
        if word == b"redirect" and more:
            index += 1
            if wanted.redirect:
                raise ReplyError("ERR A client can only redirect to a single other client")
            wanted.redirect = integer(words[index])
            if context.clients.find(wanted.redirect) is None:
                raise ReplyError("ERR The client ID you want redirect to does not exist")
        elif word == b"bcast":
            wanted.broadcast = True
        elif word == b"optin":
            wanted.opt_in = True
        elif word == b"optout":
            wanted.opt_out = True
        elif word == b"noloop":
            wanted.no_loop = True
        elif word == b"prefix" and more:
            index += 1
            wanted.prefixes.append(words[index])
        else:
            raise ReplyError(SYNTAX)
        index += 1
    return wanted


def check_options(wanted: TrackingState, present: TrackingState | None) -> None:
    if wanted.prefixes and not wanted.broadcast:
        raise ReplyError("ERR PREFIX option requires BCAST mode to be enabled")
    if present is not None and present.broadcast != wanted.broadcast:
        raise ReplyError(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it"
            " with a different mode."
        )
    if wanted.broadcast and (wanted.opt_in or wanted.opt_out):
        raise ReplyError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if wanted.opt_in and wanted.opt_out:
        raise ReplyError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if present is not None and ((wanted.opt_in and present.opt_out) or (wanted.opt_out and present.opt_in)):
        raise ReplyError(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling"
            " it with a different mode."
        )


@command(
    "CLIENT|CACHING",
    arity=3,
    flags=CLIENT,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Instructs the server whether to track the keys in the next request.",
)
def client_caching(context: Context, args: Arguments) -> Reply:
    state = context.tracking.state(context.client)
    if state is None:
        raise ReplyError(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode"
            " enabled"
        )
    word = args[2].lower()
    if word == b"yes":
        if not state.opt_in:
            raise ReplyError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        state.caching = True
    elif word == b"no":
        if not state.opt_out:
            raise ReplyError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        state.caching = False
    else:
        raise ReplyError(SYNTAX)
    return OK


@command(
    "CLIENT|GETREDIR",
    arity=2,
    flags=CLIENT,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns the client ID to which the connection's tracking notifications are redirected.",
)
def client_getredir(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    state = context.tracking.state(context.client)
    return -1 if state is None else state.redirect


@command(
    "CLIENT|TRACKINGINFO",
    arity=2,
    flags=CLIENT,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns information about server-assisted client-side caching for the connection.",
)
def client_trackinginfo(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    state = context.tracking.state(context.client)
    if state is None:
        return {b"flags": SetReply([b"off"]), b"redirect": -1, b"prefixes": []}
    flags = [b"on"]
    flags += [b"bcast"] if state.broadcast else []
    flags += [b"optin", *([b"caching-yes"] if state.caching else [])] if state.opt_in else []
    flags += [b"optout", *([b"caching-no"] if state.caching is False else [])] if state.opt_out else []
    flags += [b"noloop"] if state.no_loop else []
    flags += [b"broken_redirect"] if state.broken else []
    return {b"flags": SetReply(flags), b"redirect": state.redirect, b"prefixes": state.prefixes}


@command(
    "CLIENT|UNBLOCK",
    arity=-3,
    flags="admin noscript loading stale",
    group="connection",
    since="5.0.0",
    complexity="O(log N) where N is the number of client connections",
    summary="Unblocks a client blocked by a blocking command from a different connection.",
)
def client_unblock(context: Context, args: Arguments) -> Reply:
    with_error = False
    if len(args) > 4:
        raise too_many(args)
    if len(args) == 4:
        if args[3].lower() not in (b"timeout", b"error"):
            raise ReplyError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        with_error = args[3].lower() == b"error"
    id_ = integer(args[2])
    client = context.clients.find(id_)
    return int(client is not None and context.clients.unblock(client, with_error=with_error))
