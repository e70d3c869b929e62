"""Lists of byte strings: a chain of chunks, each some kilobytes long, cut and joined where Redis cuts its quicklist.

A list within the limit is one chunk, which Redis calls a `listpack`; beyond it it is a `quicklist`, and turns back when
it has shrunk to one chunk of half the limit. So its encoding depends on where its chunks end. That is why they follow
Redis's rules to the byte, and why every chunk knows how long it would be as a listpack. How the elements lie in a chunk
is told at the head of `chunk.py`.

Where memory cannot be had, an operation that adds something raises `MemoryError` and leaves the list as it was; what
only takes away or tidies up goes without.
"""

from __future__ import annotations

from collections.abc import Iterator

import cython

if not cython.compiled:
    from ringkeeper.types.chunk import Chunk, chunk_of, plain_chunk
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.memory import block_size
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.ringkeeper.types.chunk import (  # type: ignore[no-redef]
        Chunk,
        chunk_of,
        plain_chunk,
    )
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.memory import block_size  # type: ignore[no-redef]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""

LISTPACK_OVERHEAD = cython.declare(cython.Py_ssize_t, 7)
"""Header and end mark."""
ESTIMATED_OVERHEAD = cython.declare(cython.Py_ssize_t, 8)
"""What Redis assumes that an element needs beside its bytes when it asks whether there is room."""
SAFETY_LIMIT = cython.declare(cython.Py_ssize_t, 8192)
"""Bytes of a chunk where the limit is a number of elements."""

LISTPACK, QUICKLIST = "listpack", "quicklist"

Elements = list[bytes]
Pair = tuple[int, int]
Place = tuple[Chunk, int]
Number = int
"""By these names, Cython takes the types from `list.pxd`."""


@cython.cfunc
@cython.exceptval(check=False)
def byte_limit(limit: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The bytes that a negative `list-max-listpack-size` stands for."""
    return 2048 << min(-limit, 5)


@cython.cfunc
@cython.exceptval(check=False)
def exceeds(limit: cython.Py_ssize_t, size: cython.Py_ssize_t, count: cython.Py_ssize_t) -> cython.bint:
    """Whether so many bytes and elements are too much for one chunk."""
    if limit < 0:
        return size > byte_limit(limit)
    return size > SAFETY_LIMIT or count > max(limit, 1)


@cython.cfunc
@cython.exceptval(check=False)
def is_large(limit: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.bint:
    """Whether an element of that length is kept in a chunk of its own, as it is."""
    return length > (byte_limit(limit) if limit < 0 else SAFETY_LIMIT)


@cython.final
@cython.no_gc
@cython.cclass
class List:
    """O(1) each where nothing else is said, to move or walk through a chunk included. A number in the middle is sought
    from the nearer end.

    "O(chunks)" is the number of elements divided by those in a chunk of 8 KiB: a hundred of 70 bytes.
    """

    def __init__(self, limits: Limits) -> None:
        self.first: Chunk | None = None
        self.last: Chunk | None = None
        self.count = 0
        self.memory = OBJECT_BYTES
        self.limits = limits
        self.compact = True
        """It is one chunk, however long."""
        self.limit = 0
        """Of a list that is not compact: `list-max-listpack-size` when it ceased to be so. It stays."""

    def __dealloc__(self) -> None:
        self.take_apart()

    @property
    def kind(self) -> str:
        return "list"

    @property
    def encoding(self) -> str:
        return LISTPACK if self.compact else QUICKLIST

    @property
    def chunks(self) -> list[Chunk]:
        """O(chunks)."""
        chunk: Chunk | None = self.first
        found: list[Chunk] = []
        while chunk is not None:
            found.append(chunk)
            chunk = chunk.next
        return found

    def __len__(self) -> int:
        return int(self.count)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            yield from chunk.elements

    # At the ends

    def push(self, elements: Elements, left: cython.bint, start: cython.Py_ssize_t = 0) -> None:
        """Put those from `start` on in front, each before the one before it, or behind. O(1) each."""
        at: cython.Py_ssize_t
        count: cython.Py_ssize_t = self.count
        compact: cython.bint = self.compact
        if compact:
            self.make_room(elements, start)
        try:
            for at in range(start, len(elements)):
                self.push_one(elements[at], left)
        except MemoryError:
            self.drop(self.count - count, left)
            self.compact = compact
            raise

    @cython.cfunc
    def push_one(self, element: bytes, left: cython.bint) -> None:
        end: Chunk | None = self.first if left else self.last
        if end is not None and (self.compact or self.has_room(end, len(element))):
            self.put_into(end, end.start if left else end.end, element)
        else:
            self.link(self.new_chunk(element), self.last if not left else None)
            if end is not None:
                self.close(end)
        self.count += 1

    @cython.cfunc
    def put_into(self, chunk: Chunk, offset: cython.Py_ssize_t, element: bytes) -> None:
        room: cython.Py_ssize_t = chunk.room
        chunk.put(offset, element, not self.compact)
        if chunk.room != room:
            self.memory += block_size(chunk.room) - block_size(room)

    @cython.cfunc
    def link(self, chunk: Chunk, before: Chunk | None) -> cython.void:
        """Put a chunk behind another, or before all."""
        behind: Chunk | None = self.first if before is None else before.next
        chunk.previous = before
        chunk.next = behind
        if before is None:
            self.first = chunk
        else:
            before.next = chunk
        if behind is None:
            self.last = chunk
        else:
            behind.previous = chunk
        self.memory += chunk.memory()

    @cython.cfunc
    def unlink(self, chunk: Chunk) -> cython.void:
        """Take a chunk away."""
        before: Chunk | None = chunk.previous
        behind: Chunk | None = chunk.next
        if before is None:
            self.first = behind
        else:
            before.next = behind
        if behind is None:
            self.last = before
        else:
            behind.previous = before
        chunk.next = chunk.previous = None
        self.memory -= chunk.memory()

    @cython.cfunc
    @cython.exceptval(check=False)
    def close(self, chunk: Chunk) -> cython.void:
        """A chunk that is no longer at the end is not expected to grow."""
        room: cython.Py_ssize_t = chunk.room
        chunk.fit()
        self.memory += block_size(chunk.room) - block_size(room)

    @cython.cfunc
    @cython.exceptval(check=False)
    def relax(self, chunk: Chunk) -> cython.void:
        """After a chunk has lost something."""
        room: cython.Py_ssize_t = chunk.room
        chunk.relax()
        if chunk.room != room:
            self.memory += block_size(chunk.room) - block_size(room)

    def pop(self, left: cython.bint) -> bytes:
        """The first element or the last, of a list that is not empty."""
        element: bytes = self.pop_one(left)
        chunk: Chunk | None = self.first if left else self.last
        if chunk is not None:
            self.relax(chunk)
        self.shrink()
        return element

    def drop_end(self, left: bool) -> None:
        """As `pop`, without a look at the element: needs no memory."""
        self.drop(1, left)
        self.shrink()

    @cython.cfunc
    def pop_one(self, left: cython.bint) -> bytes:
        """As `pop`, but the chunk keeps its room."""
        chunk: Chunk = cython.cast(Chunk, self.first if left else self.last)
        element: bytes = chunk.pop(left)
        self.count -= 1
        if chunk.count == 0:
            self.unlink(chunk)
        return element

    def pop_many(self, count: int, left: cython.bint) -> list[bytes]:
        """So many elements from one end, that end's first; or all. O(count)."""
        count = min(count, int(self.count))
        if count == 0:
            return []
        elements = self.range(0, count - 1) if left else self.range(self.count - count, self.count - 1)
        if not left:
            elements.reverse()
        self.drop(count, left)
        self.shrink()
        return elements

    def rotate(self, from_left: cython.bint, to_left: cython.bint) -> bytes:
        """Move an element from one end to the same or the other; which it was."""
        chunk: Chunk = cython.cast(Chunk, self.first if from_left else self.last)
        element: bytes = self.pop_one(from_left)
        try:
            self.push([element], to_left)
        except MemoryError:
            emptied: cython.bint = chunk.count == 0
            chunk.put_back(element, from_left)
            if emptied:
                self.link(chunk, None if from_left else self.last)
            self.count += 1
            raise
        if chunk.count:
            self.relax(chunk)
        self.shrink()
        return element

    def trim(self, start: int, stop: int) -> int:
        """Keep what `range` would return; how many elements are gone. O(n) of those."""
        start, stop = self.bounds(start, stop)
        before: cython.Py_ssize_t = self.count
        if start > stop:
            self.take_apart()
            self.count = 0
            self.memory = OBJECT_BYTES
        else:
            self.drop(start, True)
            self.drop(before - 1 - stop, False)
            self.shrink()
        return int(before - self.count)

    @cython.cfunc
    @cython.exceptval(check=False)
    def take_apart(self) -> cython.void:
        """Unlink all chunks: neighbours hold each other, and the cyclic collector does not know them."""
        chunk: Chunk | None = self.first
        self.first = self.last = None
        while chunk is not None:
            behind: Chunk | None = chunk.next
            chunk.next = chunk.previous = None
            chunk = behind

    @cython.cfunc
    def drop(self, count: cython.Py_ssize_t, left: cython.bint) -> cython.void:
        """So many elements of one end, or all."""
        self.count -= count
        while count > 0:
            chunk: Chunk = cython.cast(Chunk, self.first if left else self.last)
            if chunk.count > count:
                chunk.drop(count, left)
                self.relax(chunk)
                return
            count -= chunk.count
            self.unlink(chunk)

    # By number, negative ones counted from the end

    def get(self, index: int) -> bytes | None:
        """O(chunks)."""
        if index < 0:
            index += self.count
        if not 0 <= index < self.count:
            return None
        chunk, number = self.locate(index)
        element: bytes = cython.cast(Chunk, chunk).text_at(cython.cast(Chunk, chunk).offset_of(number))
        return element

    @cython.cfunc
    def locate(self, index: cython.Py_ssize_t) -> Place:
        """The chunk of an index that exists, and the number in it."""
        chunk: Chunk
        if index <= self.count // 2:
            chunk = cython.cast(Chunk, self.first)
            while index >= chunk.count:
                index -= chunk.count
                chunk = cython.cast(Chunk, chunk.next)
            return chunk, index
        chunk = cython.cast(Chunk, self.last)
        begin: cython.Py_ssize_t = self.count - chunk.count
        while begin > index:
            chunk = cython.cast(Chunk, chunk.previous)
            begin -= chunk.count
        return chunk, index - begin

    @cython.cfunc
    def bounds(self, start: Number, stop: Number) -> Pair:
        """As numbers from the beginning; the stop, which belongs to the range, is before the start if it is empty."""
        start = max(start + self.count, 0) if start < 0 else start
        stop = stop + self.count if stop < 0 else min(stop, self.count - 1)
        return start, stop

    def range(self, start: int, stop: int) -> list[bytes]:
        """From one number to another, both included. O(elements + chunks)."""
        start, stop = self.bounds(start, stop)
        found: list[bytes] = []
        if start > stop:
            return found
        place, at = self.locate(start)
        chunk: Chunk = place
        number: cython.Py_ssize_t = at
        left: cython.Py_ssize_t = stop + 1 - start
        while True:
            end: cython.Py_ssize_t = min(chunk.count, number + left)
            found += chunk.texts(number, end)
            left -= end - number
            if left == 0:
                return found
            chunk = cython.cast(Chunk, chunk.next)
            number = 0

    def bulks(self, start: int, stop: int) -> tuple[int, bytes]:
        """How many elements `range` would return, and these as bulk strings of RESP. O(elements + chunks)."""
        start, stop = self.bounds(start, stop)
        if start > stop:
            return 0, b""
        count: cython.Py_ssize_t = stop + 1 - start
        if not cython.compiled:
            texts = self.range(start, stop)
            return count, b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in texts])
        place, at = self.locate(start)
        return count, self.encode(place, at, count)

    @cython.cfunc
    def encode(self, chunk: Chunk, number: cython.Py_ssize_t, count: cython.Py_ssize_t) -> bytes:
        """So many elements from a place on as bulk strings. Compiled only."""
        begin: Chunk = chunk
        first: cython.Py_ssize_t = number
        size: cython.Py_ssize_t = 0
        left: cython.Py_ssize_t = count
        end: cython.Py_ssize_t
        while left > 0:
            end = min(chunk.count, number + left)
            size += chunk.bulks_size(number, end)
            left -= end - number
            chunk = cython.cast(Chunk, chunk.next)
            number = 0
        encoded: bytes = PyBytes_FromStringAndSize(cython.NULL, size)
        target: cython.p_char = PyBytes_AS_STRING(encoded)
        chunk = begin
        number = first
        while count > 0:
            end = min(chunk.count, number + count)
            target = chunk.write_bulks(target, number, end)
            count -= end - number
            chunk = cython.cast(Chunk, chunk.next)
            number = 0
        return encoded

    def set(self, index: int, element: bytes) -> bool:
        """Put another element at a number; whether there is such a number. O(chunks)."""
        compact: cython.bint = self.compact
        if index < 0:
            index += self.count
        if compact:
            self.make_room([element], 0)
        if not 0 <= index < self.count:
            return False
        try:
            chunk, number = self.locate(index)
            self.replace(chunk, number, element)
        except MemoryError:
            self.compact = compact
            raise
        self.shrink()
        return True

    @cython.cfunc
    def replace(self, chunk: Chunk, number: cython.Py_ssize_t, element: bytes) -> None:
        """A chunk may grow beyond the limit by it, but a large element goes into one of its own."""
        large: cython.bint = not self.compact and is_large(self.limit, len(element))
        if (chunk.element is not None) != large:
            self.insert_at(chunk, number, element, True)
            after: Chunk = cython.cast(Chunk, chunk.next)
            if not self.remove_at(chunk, number):
                self.join_around(after)
            return
        before: cython.Py_ssize_t = chunk.memory()
        chunk.replace(number, element)
        chunk.relax()
        self.memory += chunk.memory() - before

    @cython.cfunc
    def remove_at(self, chunk: Chunk, number: cython.Py_ssize_t) -> cython.bint:
        """Whether the chunk went with the element."""
        self.count -= 1
        if chunk.count == 1:
            self.unlink(chunk)
            return True
        chunk.cut(chunk.offset_of(number))
        self.relax(chunk)
        return False

    # By content

    def insert(self, pivot: bytes, element: bytes, after: cython.bint) -> bool:
        """Put an element beside the first that equals `pivot`; whether there is one. O(n)."""
        chunk: Chunk | None = self.first
        compact: cython.bint = self.compact
        if compact:
            self.make_room([element], 0)
        while chunk is not None:
            number: cython.Py_ssize_t = chunk.index_of(pivot)
            if number >= 0:
                try:
                    self.insert_at(chunk, number, element, after)
                except MemoryError:
                    self.compact = compact
                    raise
                return True
            chunk = chunk.next
        return False

    def remove(self, element: bytes, count: int) -> int:
        """Remove so many that equal `element`, the last ones if negative, all if 0; how many there were. O(n)."""
        forward: cython.bint = count >= 0
        before: cython.Py_ssize_t = self.count
        left: cython.Py_ssize_t = min(abs(count), before) or before
        chunk: Chunk | None = self.first if forward else self.last
        while chunk is not None and left:
            beside: Chunk | None = chunk.next if forward else chunk.previous
            skip: cython.Py_ssize_t = 0
            if not forward:
                skip = max(chunk.occurrences(element) - left, 0)
            removed: cython.Py_ssize_t = chunk.remove(element, skip, left)
            if removed:
                left -= removed
                self.count -= removed
                if chunk.count:
                    self.relax(chunk)
                else:
                    self.unlink(chunk)
            chunk = beside
        if before > self.count:
            self.shrink()
        return int(before - self.count)

    def positions(self, element: bytes, rank: int, count: int, most: int) -> list[int]:
        """Numbers of elements that equal `element`: from its occurrence `rank` on, which begins with 1 or, to go
        from the end, with -1; `count` of them, looking at `most` elements (0: without a bound). O(n)."""
        forward: cython.bint = rank > 0
        looked: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = min(most, self.count) or self.count
        # Those passed over are counted down from `wanted` as well; no more of either than there are elements.
        to_skip: cython.Py_ssize_t = min(abs(rank) - 1, self.count)
        wanted: cython.Py_ssize_t = to_skip + (min(count, self.count) or self.count)
        chunk: Chunk | None = self.first if forward else self.last
        found: list[int] = []
        while chunk is not None and looked < end and wanted:
            part: cython.Py_ssize_t = min(chunk.count, end - looked)
            for number in chunk.matches(element, forward, part, wanted):
                wanted -= 1
                if to_skip:
                    to_skip -= 1
                else:
                    found.append(looked + number if forward else self.count - 1 - looked - number)
            looked += part
            chunk = chunk.next if forward else chunk.previous
        return found

    # Where chunks begin and end

    @cython.cfunc
    def new_chunk(self, element: bytes) -> Chunk:
        large: cython.bint = not self.compact and is_large(self.limit, len(element))
        chunk: Chunk
        chunk = plain_chunk(element) if large else chunk_of([element], 0)
        return chunk

    @cython.cfunc
    def has_room(self, chunk: Chunk, length: cython.Py_ssize_t) -> cython.bint:
        """Whether an element of that length may join a chunk."""
        if chunk.element is not None or is_large(self.limit, length):
            return False
        return not exceeds(self.limit, chunk.size + length + ESTIMATED_OVERHEAD, chunk.count + 1)

    @cython.cfunc
    def insert_at(self, chunk: Chunk, number: cython.Py_ssize_t, element: bytes, after: cython.bint) -> None:
        """Put an element behind a place or before it."""
        length: cython.Py_ssize_t = len(element)
        cut: cython.Py_ssize_t = number + 1 if after else number
        if self.compact or self.has_room(chunk, length):
            self.put_into(chunk, chunk.offset_of(cut), element)
        elif 0 < cut < chunk.count:
            self.split(chunk, cut, element, after)
        else:
            beside: Chunk | None = chunk.next if after else chunk.previous
            if beside is not None and self.has_room(beside, length):
                self.put_into(beside, beside.start if after else beside.end, element)
            else:
                self.link(self.new_chunk(element), chunk if after else chunk.previous)
        self.count += 1

    @cython.cfunc
    def split(self, chunk: Chunk, cut: cython.Py_ssize_t, element: bytes, after: cython.bint) -> None:
        """Cut a chunk and put an element between: with what is behind it if it goes after its neighbour."""
        second: Chunk = chunk.tail(cut)
        moved: cython.Py_ssize_t = second.count
        large: cython.bint = is_large(self.limit, len(element))
        third: Chunk | None = plain_chunk(element) if large else None
        if not large:
            if after:
                second.put(second.start, element, True)
            else:
                self.put_into(chunk, chunk.offset_of(cut), element)
        chunk.drop(moved, False)
        self.relax(chunk)
        self.link(second, chunk)
        if third is not None:
            self.link(third, chunk)
        else:
            self.join_around(chunk if after else second)

    @cython.cfunc
    def join_around(self, chunk: Chunk) -> cython.void:
        """Join a chunk's neighbours with theirs, then it with them, where that fits: in Redis's order."""
        before: Chunk | None = chunk.previous
        behind: Chunk | None = chunk.next
        if before is not None and before.previous is not None:
            self.join(before.previous)
        if behind is not None:
            self.join(behind)
        before = chunk.previous
        if before is not None and self.join(before):
            chunk = before
        self.join(chunk)

    @cython.cfunc
    def join(self, chunk: Chunk) -> cython.bint:
        """Make one of a chunk and the next if both are there and fit, and there is memory; whether they did."""
        second: Chunk | None = chunk.next
        if second is None or chunk.element is not None or second.element is not None:
            return False
        if exceeds(self.limit, chunk.size + second.size - LISTPACK_OVERHEAD, chunk.count + second.count):
            return False
        room: cython.Py_ssize_t = chunk.room
        if not chunk.absorb(second):
            return False
        self.memory += block_size(chunk.room) - block_size(room)
        self.unlink(second)
        return True

    @cython.cfunc
    def make_room(self, elements: Elements, start: cython.Py_ssize_t) -> cython.void:
        """See to it that those from `start` on can be added to a compact list: it is so no longer if they are too much
        for it."""
        at: cython.Py_ssize_t
        limit: cython.Py_ssize_t = self.limits.list_max_listpack_size
        size: cython.Py_ssize_t = LISTPACK_OVERHEAD if self.first is None else self.first.size
        for at in range(start, len(elements)):
            size += len(elements[at])
        if exceeds(limit, size, self.count + len(elements) - start):
            self.compact = False
            self.limit = limit

    @cython.cfunc
    @cython.exceptval(check=False)
    def shrink(self) -> cython.void:
        """A list that has shrunk to one chunk of half the limit becomes compact again."""
        chunk: Chunk | None = self.first
        if self.compact or chunk is None or chunk.next is not None:
            return
        limit: cython.Py_ssize_t = self.limits.list_max_listpack_size
        fits: cython.bint = 2 * chunk.size <= byte_limit(limit) if limit < 0 else 2 * self.count <= max(limit, 1)
        self.compact = fits and chunk.element is None

    # From elsewhere

    def fill(self, elements: list[bytes]) -> None:
        """Give an empty list its elements, as Redis does where it cannot know how many will come: compact at last only
        if they are one chunk within the limit. O(n)."""
        self.begin_filling()
        self.push(elements, False)
        self.end_filling()

    def begin_filling(self) -> None:
        self.compact = False
        self.limit = self.limits.list_max_listpack_size

    def add_chunk(self, elements: list[bytes], plain: cython.bint) -> None:
        """Put a chunk behind the others while the list is filled, which may be as long as it likes. O(its length)."""
        start: cython.Py_ssize_t = 0
        while start < len(elements):
            chunk: Chunk = plain_chunk(elements[0]) if plain else chunk_of(elements, start)
            start += chunk.count
            self.count += chunk.count
            self.link(chunk, self.last)

    def end_filling(self) -> None:
        chunk: Chunk | None = self.last
        if chunk is not None:
            self.close(chunk)
        if chunk is None or chunk.previous is not None:
            self.compact = not self.count
            return
        fits: cython.bint = chunk.size <= byte_limit(self.limit) if self.limit < 0 else self.count <= max(self.limit, 1)
        self.compact = fits and chunk.element is None

    # All of it

    def copy(self) -> List:
        """O(n)."""
        other: List = List(self.limits)
        chunk: Chunk | None = self.first
        while chunk is not None:
            other.link(chunk.twin(), other.last)
            chunk = chunk.next
        other.count = self.count
        other.compact = self.compact
        other.limit = self.limit
        return other

    def shed(self, count: int) -> int:
        """As `Collection.shed`."""
        going: cython.Py_ssize_t = min(count, len(self))
        self.drop(going, False)
        return int(going)

    def check(self) -> None:
        chunk: Chunk
        before: Chunk | None = None
        expected = OBJECT_BYTES
        count = 0
        for chunk in self.chunks:
            chunk.check()
            assert chunk.previous is before
            count += chunk.count
            expected += chunk.memory()
            before = chunk
        assert self.last is before
        assert count == self.count, (count, self.count)
        assert self.memory == expected, (self.memory, expected)
        assert self.first is self.last or not self.compact
