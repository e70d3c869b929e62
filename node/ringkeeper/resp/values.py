"""What a command answers, as Python values, and the two ways in which a conversation goes wrong.

| value                     | RESP2              | RESP3             |
|---------------------------|--------------------|-------------------|
| `bytes`, `bytearray`      | bulk string        | the same          |
| `str`                     | bulk string, UTF-8 | the same          |
| `int`                     | integer            | the same          |
| `None`                    | null bulk string   | null              |
| `list`, `tuple`           | array              | the same          |
| `float`                   | bulk string        | double            |
| `bool`                    | integer 0 or 1     | boolean           |
| `dict`                    | array of 2n values | map               |
| `Simple`                  | simple string      | the same          |
| `NullArray`               | null array         | null              |
| `SetReply`                | array              | set               |
| `Verbatim`                | bulk string        | verbatim string   |
| `Push`                    | array              | push              |
| `ReplyError` (an element) | error              | the same          |
| `Bulks`                   | array              | array, set or map |
| `Raw`                     | its bytes, as is   | its bytes, as is  |

Source: the Redis serialization protocol specification.
"""

from __future__ import annotations

from typing import Any, Final


class Simple:
    """A status line such as `+OK`; its text holds neither CR nor LF."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Simple({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Simple) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class NullArray:
    """The null that RESP2 writes as `*-1`: a timed-out blocking pop, an aborted EXEC."""

    __slots__ = ()


class SetReply(list[Any]):
    """An unordered collection: a RESP3 set."""


class Push(list[Any]):
    """An out-of-band message; its first element names its kind."""


class Verbatim:
    """Text for people (`INFO`, `CLIENT LIST`), `kind` being three letters such as `txt`."""

    __slots__ = ("kind", "text")

    def __init__(self, text: bytes, kind: bytes = b"txt") -> None:
        self.text = text
        self.kind = kind


class Bulks:
    """An array, a set or a map (`kind` is RESP3's byte for it) of bulk strings, `count` of them, that are encoded."""

    __slots__ = ("count", "data", "kind")

    def __init__(self, kind: int, count: int, data: bytes) -> None:
        self.kind = kind
        self.count = count
        self.data = data


ARRAY, SET, MAP = 0x2A, 0x7E, 0x25


class Raw:
    """A reply that is already rendered for the session's protocol, sent as it is (`CLUSTER SLOTS`)."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class ReplyError(Exception):
    """An error that the client is told of: its text starts with a code such as `ERR` or `WRONGTYPE`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def code(self) -> str:
        return self.text.partition(" ")[0]


class ProtocolError(Exception):
    """The peer broke the protocol: it is told the text once and the connection closes.

    The text goes behind `-ERR Protocol error: `, as Redis writes it.
    """


class TooLargeError(Exception):
    """A command had a word longer than is kept. It was read to its end: the next one can follow."""


OK: Final = Simple(b"OK")
PONG: Final = Simple(b"PONG")
NULL_ARRAY: Final = NullArray()
