"""What DUMP gives and RESTORE takes: a value with its form before it and a footer behind it.

The footer is the version of RDB (2 bytes) and the CRC-64 of all before it (8), both with the lowest byte first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ringkeeper.persist.crc64 import crc64
from ringkeeper.persist.reader import MOST_GROWN, Corrupt, Reader
from ringkeeper.persist.values import HASH_2, form_of, read_value, write_value
from ringkeeper.persist.writer import Writer
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Limits

log = logging.getLogger(__name__)

FOOTER: Final = 10
VERSION: Final = 10
"""Redis 7.0's."""
NEWEST_VERSION: Final = 11
"""Redis 7.2's. From 12 on Redis and Valkey have gone apart; what Valkey writes is 80."""
VALKEY_VERSION: Final = 80

NO_BOUND: Final = 1 << 62
"""Bytes that the compressed strings of a value may grow to that is here already."""

WRONG_FOOTER: Final = "ERR DUMP payload version or checksum are wrong"
BAD_DATA: Final = "ERR Bad data format"


def dump(value: Value, compressing: bool = True) -> bytes:
    """O(size of the value)."""
    form = form_of(value)
    writer = Writer(None, compressing)
    writer.byte(form)
    write_value(writer, value, form)
    body = writer.whole() + (VALKEY_VERSION if form == HASH_2 else VERSION).to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def restore(payload: bytes, limits: Limits, room: int = MOST_GROWN) -> Value:
    """The value; raises `ReplyError` for a payload that is none. O(size of the value).

    `room` is what its compressed strings may grow to. What stands between the value and the footer is ignored.
    """
    end = len(payload) - FOOTER
    if end < 0:
        raise ReplyError(WRONG_FOOTER)
    version = int.from_bytes(payload[end : end + 2], "little")
    if version > NEWEST_VERSION and version != VALKEY_VERSION:
        raise ReplyError(WRONG_FOOTER)
    if crc64(payload[:-8]) != int.from_bytes(payload[-8:], "little"):
        raise ReplyError(WRONG_FOOTER)
    reader = Reader(payload, 0, end, room)
    try:
        return read_value(reader, reader.byte(), limits)
    except Corrupt as why:
        log.debug("Bad data in a payload of RESTORE, near byte %d: %s", reader.at, why)
        raise ReplyError(BAD_DATA) from None


class Payloads:
    """Implements `commands.context.Serializer`."""

    def __init__(
        self,
        limits: Limits,
        room: Callable[[], int] = lambda: MOST_GROWN,
        compressing: Callable[[], bool] = lambda: True,
    ) -> None:
        self.limits = limits
        self.room = room
        self.compressing = compressing

    def dump(self, value: Value) -> bytes:
        return dump(value, self.compressing())

    def restore(self, payload: bytes) -> Value:
        return restore(payload, self.limits, self.room())

    def read_back(self, value: Value) -> Value:
        return restore(dump(value), self.limits, NO_BOUND)
