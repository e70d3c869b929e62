"""The last bytes of the stream of changes, for replicas that were away, and for those that take it at their own pace.

All replicas read the same chunks, each from its own offset: a slow one costs no copy of its own. What is older than
`size` bytes goes, unless a replica has still to be sent it.
"""

from __future__ import annotations

from bisect import bisect_right

WHOLE = 16 * 1024
"""Bytes from which what comes is kept as it came; less is put together."""
CHUNK = 64 * 1024
"""Bytes up to which it is."""


class Backlog:
    """Offsets count the bytes of the whole history: `start` is the first byte's that is held, `end` behind the last."""

    def __init__(self, size: int, offset: int) -> None:
        self.size = size
        self.end = offset
        self.chunks: list[bytes | bytearray] = []
        self.starts: list[int] = []
        """Of the chunks."""

    @property
    def start(self) -> int:
        return self.starts[0] if self.starts else self.end

    @property
    def length(self) -> int:
        return self.end - self.start

    def holds(self, offset: int) -> bool:
        """Whether all from there on is here. O(1)."""
        return self.start <= offset <= self.end

    def append(self, data: bytes | bytearray) -> None:
        """The data is the backlog's from now on."""
        last = self.chunks[-1] if self.chunks else b""
        if len(data) >= WHOLE or not isinstance(last, bytearray) or len(last) >= CHUNK:
            self.starts.append(self.end)
            self.chunks.append(data if len(data) >= WHOLE else bytearray(data))
        else:
            last += data
        self.end += len(data)

    def read(self, offset: int, most: int) -> bytes:
        """From an offset on, up to the end of the chunk; empty at the end. O(log chunks + bytes)."""
        if offset == self.end:
            return b""
        index = bisect_right(self.starts, offset) - 1
        begin = offset - self.starts[index]
        with memoryview(self.chunks[index]) as chunk:
            return bytes(chunk[begin : begin + most])

    def read_all(self, offset: int) -> bytes:
        """From an offset on, to the end."""
        parts = []
        while part := self.read(offset, CHUNK):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def trim(self, needed: int) -> None:
        """Let go of what is too old, and before an offset that somebody has still to be sent. O(chunks that go)."""
        bound = min(self.end - self.size, needed)
        gone = bisect_right(self.starts, bound) - 1
        if gone > 0:
            del self.chunks[:gone], self.starts[:gone]

    def resize(self, size: int) -> None:
        self.size = size

    def check(self) -> None:
        """Assert every invariant, for tests."""
        offset = self.start
        for start, chunk in zip(self.starts, self.chunks, strict=True):
            assert start == offset
            assert len(chunk)
            offset += len(chunk)
        assert offset == self.end
