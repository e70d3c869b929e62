"""Where Redis 7.0 or Valkey 9.1 is known to answer otherwise than a node, and why that stays so.

`python tests/differential/known.py` prints the table of docs/compatibility.md. Anything else that differs is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringkeeper.resp.values import NullArray

Excuse = Callable[[list[bytes], Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Known:
    peers: str
    """`redis`, `valkey` or both: beside whom it shows."""
    where: str
    theirs: str
    here: str
    why: str
    excuses: Excuse
    """Whether this explains a command's two replies, theirs first, as `compare.normal` leaves them."""


def named(*names: bytes) -> Callable[[list[bytes]], bool]:
    return lambda command: bool(command) and command[0].lower() in names


def encodings(*pairs: tuple[bytes, bytes]) -> Excuse:
    """Of OBJECT ENCODING: what they call it, and we."""
    return lambda command, theirs, ours: named(b"object")(command) and (theirs, ours) in pairs


NOT_IN_A_CLUSTER = [
    ("error", f"ERR {what} is not allowed in cluster mode")
    for what in ("SELECT", "MOVE", "SWAPDB", "Copying to another database")
]
NO_PATTERN_IN_A_CLUSTER = [("error", f"ERR {what} option of SORT denied in Cluster mode.") for what in ("BY", "GET")]
WRONG_TYPE = ("error", "WRONGTYPE Operation against a key holding the wrong kind of value")
NOT_AN_INTEGER = ("error", "ERR value is not an integer or out of range")

RANK_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807"


def is_error(reply: Any) -> bool:
    return isinstance(reply, tuple) and reply[0] == "error"


def reads_cursors_otherwise(command: list[bytes], theirs: Any, ours: Any) -> bool:
    cursor = command[1:2] if named(b"scan")(command) else command[2:3]
    scans = named(b"scan", b"hscan", b"sscan", b"zscan")(command)
    plain = [str(int(word)).encode() for word in cursor if word.isdigit()]
    return scans and plain != cursor and ("error", "ERR invalid cursor") in (theirs, ours)


def is_nil(reply: Any) -> bool:
    return reply is None or isinstance(reply, NullArray)


KNOWN = [
    Known(
        "redis", "`OBJECT ENCODING` of small sets and lists", "`hashtable`, `quicklist`", "`listpack`",
        "Redis 7.2 and Valkey have compact sets and lists",
        encodings((b"hashtable", b"listpack"), (b"quicklist", b"listpack")),
    ),
    Known(
        "redis",
        "`OBJECT ENCODING` of a sorted set that one command made of more pairs than `zset-max-listpack-entries`, but "
        "of few members", "`listpack`", "`skiplist`", "Redis 7.2 and Valkey choose by the pairs that are named",
        encodings((b"listpack", b"skiplist")),
    ),
    Known(
        "redis", "`BITCOUNT`, `BITPOS` of no key or of no string, with a bad range", "0, -1, `WRONGTYPE`",
        "what is wrong with the range", "as Redis 7.2 and Valkey, which look at the range first",
        lambda command, theirs, ours: named(b"bitcount", b"bitpos")(command) and is_error(ours)
        and theirs in (0, -1, WRONG_TYPE),
    ),
    Known(
        "redis", "a time to wait that is infinite or too long", "`ERR timeout is negative`",
        "`ERR timeout is out of range`", "as Redis 7.2 and Valkey",
        lambda _, theirs, ours: theirs == ("error", "ERR timeout is negative")
        and ours == ("error", "ERR timeout is out of range"),
    ),
    Known(
        "redis", "`LPOS` with a `RANK` of -2^63, `LREM` with such a count", "takes it", "`ERR value is out of range`",
        "as Redis 7.2 and Valkey",
        lambda command, _, ours: named(b"lpos", b"lrem")(command) and is_error(ours)
        and ours[1].startswith(RANK_OUT_OF_RANGE),
    ),
    Known(
        "valkey", "`SCAN` with a `TYPE` that there is not", "`ERR unknown type name`, before all else that is wrong",
        "no keys, or what else is wrong", "as Redis",
        lambda command, theirs, _: named(b"scan")(command) and is_error(theirs)
        and theirs[1].startswith("ERR unknown type name"),
    ),
    Known(
        "valkey", "`BITCOUNT`, `BITPOS` with a bad number and a bad unit", "names the unit", "names the number",
        "as Redis",
        lambda command, theirs, ours: named(b"bitcount", b"bitpos")(command)
        and theirs == ("error", "ERR syntax error") and ours == NOT_AN_INTEGER,
    ),
    Known(
        "valkey", "`BITCOUNT key start`", "takes the end as given", "a syntax error", "as Redis",
        lambda command, _, ours: named(b"bitcount")(command) and len(command) == 3
        and ours == ("error", "ERR syntax error"),
    ),
    Known(
        "valkey", "a cursor that is no plain number",
        "takes a space before it, refuses the empty one and signs", "the reverse", "as Redis",
        reads_cursors_otherwise,
    ),
    Known(
        "valkey", "`GETEX` of no key or of no string, with a bad time", "names the time", "nil, `WRONGTYPE`",
        "as Redis",
        lambda command, theirs, ours: named(b"getex")(command) and is_error(theirs)
        and (is_nil(ours) or ours == WRONG_TYPE),
    ),
    Known(
        "valkey", "`EXEC` in a cluster, after an error, of commands on several slots", "`EXECABORT`", "`CROSSSLOT`",
        "as Redis, which looks at the slots first",
        lambda command, theirs, ours: named(b"exec")(command) and is_error(theirs)
        and theirs[1].startswith("EXECABORT") and is_error(ours) and ours[1].startswith("CROSSSLOT"),
    ),
    Known(
        "valkey", "`SORT` with a pattern of keys in a cluster", "where the pattern keeps to the slot", "refused",
        "as Redis 7.2",
        lambda command, theirs, ours: named(b"sort", b"sort_ro")(command) and ours in NO_PATTERN_IN_A_CLUSTER
        and is_error(theirs) and "denied in Cluster mode" in theirs[1],
    ),
    Known(
        "valkey", "`SELECT`, `MOVE`, `SWAPDB`, `COPY … DB` in a cluster", "as `cluster-databases` allows", "refused",
        "a cluster has one database, as with Redis",
        lambda command, theirs, ours: named(b"select", b"move", b"swapdb", b"copy")(command)
        and (ours in NOT_IN_A_CLUSTER or theirs == ("error", "ERR DB index is out of range")),
    ),
    Known(
        "valkey", "`OBJECT ENCODING` of strings of some 40 to 64 bytes", "`embstr` by the size of key and value",
        "`embstr` up to 44 bytes", "as Redis", encodings((b"embstr", b"raw"), (b"raw", b"embstr")),
    ),
]  # fmt: skip


def is_known(peer: str, command: list[bytes], theirs: Any, ours: Any) -> bool:
    return any(peer in known.peers.split() and known.excuses(command, theirs, ours) for known in KNOWN)


def table() -> str:
    """Markdown."""
    rows = [[known.peers.capitalize(), known.where, known.theirs, known.here, known.why] for known in KNOWN]
    head = ["beside", "where", "they", "here", "why"]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    print(table(), end="")
