"""Lists of byte strings: a row of chunks, each some kilobytes long, cut and joined where Redis cuts its quicklist.

A list within the limit is one chunk, which Redis calls a `listpack`; beyond it it is a `quicklist`, and turns back when
it has shrunk to one chunk of half the limit. So its encoding depends on where its chunks end. That is why they follow
Redis's rules to the byte, and why every chunk knows how long it would be as a listpack
(https://github.com/antirez/listpack/blob/master/listpack.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain

import cython

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.memory import list_memory, text_memory
else:
    from cython.cimports.cpython.sequence import PySequence_GetItem
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.memory import list_memory, text_memory  # type: ignore[no-redef]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""
CHUNK_BYTES = cython.declare(cython.Py_ssize_t, 48)
"""A chunk's object, without its list of elements."""
DEQUE_BYTES = cython.declare(cython.Py_ssize_t, 240)
DEQUE_BLOCK = cython.declare(cython.Py_ssize_t, 544)
"""A deque without its blocks, and a block, which holds 64 items (`Modules/_collectionsmodule.c`)."""
FEW = cython.declare(cython.Py_ssize_t, 64)
"""Chunks up to which a list of them is as fast as a deque, which takes 800 bytes at least."""

LISTPACK_OVERHEAD = cython.declare(cython.Py_ssize_t, 7)
"""Header and end mark."""
ESTIMATED_OVERHEAD = cython.declare(cython.Py_ssize_t, 8)
"""What Redis assumes that an element needs beside its bytes when it asks whether there is room."""
SAFETY_LIMIT = cython.declare(cython.Py_ssize_t, 8192)
"""Bytes of a chunk where the limit is a number of elements."""

LISTPACK, QUICKLIST = "listpack", "quicklist"

Elements = list[bytes]
Pair = tuple[int, int]
Number = int
"""By these names, Cython takes the types from `list.pxd`."""


@cython.cfunc
@cython.locals(data=cython.p_const_uchar)
def packed_size(element: bytes) -> cython.Py_ssize_t:
    """Bytes of the element in a listpack: numbers are packed, and each entry says how long it is at its end as well."""
    length: cython.Py_ssize_t = len(element)
    if 0 < length <= 20:
        data = element
        if data[0] <= 0x39:
            packed: cython.Py_ssize_t = packed_integer(element)
            if packed:
                return packed + 1
    entry: cython.Py_ssize_t = length + (1 if length < 64 else 2 if length < 4096 else 5)
    if entry < 128:
        return entry + 1
    if entry < 16383:
        return entry + 2
    return entry + (3 if entry < 2097151 else 4 if entry < 268435455 else 5)


@cython.cfunc
@cython.locals(data=cython.p_const_uchar, number=cython.ulonglong)
def packed_integer(element: bytes) -> cython.Py_ssize_t:
    """Bytes of a signed 64-bit number in its one canonical form; 0 if the element is none."""
    data = element
    length: cython.Py_ssize_t = len(element)
    start: cython.Py_ssize_t = 1 if data[0] == 0x2D else 0
    if length - start == 0 or length - start > 19:
        return 0
    if data[start] == 0x30:
        return 1 if length == 1 else 0
    number = 0
    i: cython.Py_ssize_t
    for i in range(start, length):
        if not 0x30 <= data[i] <= 0x39:
            return 0
        number = number * 10 + (data[i] - 0x30)
    if not start and number < 128:
        return 1
    # -4096 is as short as 4095.
    number -= start
    if number < 1 << 12:
        return 2
    if number < 1 << 15:
        return 3
    if number < 1 << 23:
        return 4
    if number < 1 << 31:
        return 5
    return 9 if number < 1 << 63 else 0


@cython.cfunc
def packed_length(elements: list[bytes]) -> cython.Py_ssize_t:
    """Bytes of all of them in a listpack, without header and end. O(n)."""
    element: bytes
    total: cython.Py_ssize_t = 0
    for element in elements:
        total += packed_size(element)
    return total


@cython.cfunc
def texts_memory(elements: list[bytes]) -> cython.Py_ssize_t:
    """Bytes of all of them as objects. O(n)."""
    element: bytes
    total: cython.Py_ssize_t = 0
    for element in elements:
        total += text_memory(len(element))
    return total


@cython.cfunc
def byte_limit(limit: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The bytes that a negative `list-max-listpack-size` stands for."""
    return 2048 << min(-limit, 5)


@cython.cfunc
def exceeds(limit: cython.Py_ssize_t, size: cython.Py_ssize_t, count: cython.Py_ssize_t) -> cython.bint:
    """Whether so many bytes and elements are too much for one chunk."""
    if limit < 0:
        return size > byte_limit(limit)
    return size > SAFETY_LIMIT or count > max(limit, 1)


@cython.cfunc
def is_large(limit: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.bint:
    """Whether an element of that length is kept in a chunk of its own, as it is."""
    return length > (byte_limit(limit) if limit < 0 else SAFETY_LIMIT)


@cython.final
@cython.no_gc
@cython.cclass
class Chunk:
    """Some neighbours of a list."""

    def __init__(self, elements: list[bytes], size: int, *, plain: bool = False) -> None:
        self.elements = elements
        self.size = size
        """Bytes as a listpack."""
        self.plain = plain
        """It holds one large element, and `size` is that one's length."""


@cython.cfunc
def chunk_of(elements: list[bytes]) -> Chunk:
    return Chunk(elements, LISTPACK_OVERHEAD + packed_length(elements))


@cython.final
@cython.no_gc
@cython.cclass
class List:
    """O(1) each where nothing else is said. A number in the middle is sought from the nearer end.

    "O(chunks)" is the number of elements divided by those in a chunk of 8 KiB: a hundred of 70 bytes.
    """

    def __init__(self, limits: Limits) -> None:
        self.chunks: list[Chunk] | deque[Chunk] = []
        """A deque once there were more than `FEW`."""
        self.count = 0
        self.memory = OBJECT_BYTES + list_memory(cython.cast(list, self.chunks))
        self.limits = limits
        self.compact = True
        """It is one chunk, however long."""
        self.limit = 0
        """Of a list that is not compact: `list-max-listpack-size` when it ceased to be so. It stays."""

    @property
    def kind(self) -> str:
        return "list"

    @property
    def encoding(self) -> str:
        return LISTPACK if self.compact else QUICKLIST

    def __len__(self) -> int:
        return int(self.count)

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable([chunk.elements for chunk in self.chunks])

    # At the ends

    def push(self, elements: Elements, left: cython.bint, start: cython.Py_ssize_t = 0) -> None:
        """Put those from `start` on in front, each before the one before it, or behind. O(1) each."""
        at: cython.Py_ssize_t
        if self.compact:
            self.make_room(elements, start)
        for at in range(start, len(elements)):
            self.push_one(elements[at], left)

    @cython.cfunc
    def push_one(self, element: bytes, left: cython.bint) -> cython.void:
        chunk: Chunk | None = None
        length: cython.Py_ssize_t = len(element)
        if self.count:
            chunk = self.end_chunk(left)
            if not self.compact and not self.has_room(chunk, length):
                chunk = None
        self.count += 1
        self.memory += text_memory(length)
        if chunk is None:
            self.enter_chunk(0 if left else len(self.chunks), self.new_chunk(element))
        else:
            self.put_into(chunk, 0 if left else len(chunk.elements), element)

    @cython.cfunc
    def put_into(self, chunk: Chunk, offset: cython.Py_ssize_t, element: bytes) -> cython.void:
        """Let a chunk have one more element, which is counted already."""
        before: cython.Py_ssize_t = list_memory(chunk.elements)
        if offset == len(chunk.elements):
            chunk.elements.append(element)
        else:
            chunk.elements.insert(offset, element)
        chunk.size += packed_size(element)
        self.memory += list_memory(chunk.elements) - before

    @cython.cfunc
    def enter_chunk(self, position: cython.Py_ssize_t, chunk: Chunk) -> cython.void:
        """Put a chunk before the one of that position. Its elements are counted already."""
        before: cython.Py_ssize_t = self.row_memory()
        if position == len(self.chunks):
            self.chunks.append(chunk)
        else:
            self.chunks.insert(position, chunk)
        if len(self.chunks) > FEW and type(self.chunks) is list:
            self.chunks = deque(self.chunks)
        self.memory += self.row_memory() - before + CHUNK_BYTES + list_memory(chunk.elements)

    @cython.cfunc
    def leave_chunk(self, position: cython.Py_ssize_t) -> cython.void:
        """Take a chunk away, but go on counting its elements."""
        before: cython.Py_ssize_t = self.row_memory()
        chunk: Chunk = self.chunks[position]
        del self.chunks[position]
        self.memory += self.row_memory() - before - CHUNK_BYTES - list_memory(chunk.elements)

    @cython.cfunc
    def row_memory(self) -> cython.Py_ssize_t:
        """The bytes of what holds the chunks."""
        if type(self.chunks) is list:
            return list_memory(cython.cast(list, self.chunks))
        return DEQUE_BYTES + DEQUE_BLOCK * (len(self.chunks) // 64 + 1)

    @cython.cfunc
    def end_chunk(self, left: cython.bint) -> Chunk:
        """The first or the last, of a list that is not empty."""
        chunk: Chunk = PySequence_GetItem(self.chunks, 0 if left else -1) if cython.compiled else self.chunks[left - 1]
        return chunk

    def pop(self, left: cython.bint) -> bytes:
        """The first element or the last, of a list that is not empty."""
        element: bytes = self.pop_one(left)
        self.shrink()
        return element

    @cython.cfunc
    def pop_one(self, left: cython.bint) -> bytes:
        chunk: Chunk = self.end_chunk(left)
        before: cython.Py_ssize_t = list_memory(chunk.elements)
        element: bytes = chunk.elements.pop(0) if left else chunk.elements.pop()
        self.count -= 1
        self.memory += list_memory(chunk.elements) - before - text_memory(len(element))
        if chunk.elements:
            chunk.size -= packed_size(element)
        else:
            self.leave_chunk(0 if left else len(self.chunks) - 1)
        return element

    def pop_many(self, count: int, left: cython.bint) -> list[bytes]:
        """So many elements from one end, that end's first; or all. O(count)."""
        elements = [self.pop_one(left) for _ in range(min(count, self.count))]
        self.shrink()
        return elements

    def rotate(self, from_left: cython.bint, to_left: cython.bint) -> bytes:
        """Move an element from one end to the same or the other; which it was."""
        element: bytes = self.pop_one(from_left)
        self.push([element], to_left)
        self.shrink()
        return element

    def trim(self, start: int, stop: int) -> int:
        """Keep what `range` would return; how many elements are gone. O(n) of those."""
        start, stop = self.bounds(start, stop)
        before: cython.Py_ssize_t = self.count
        if start > stop:
            self.clear()
        else:
            self.drop(start, True)
            self.drop(before - 1 - stop, False)
            self.shrink()
        return int(before - self.count)

    @cython.cfunc
    def clear(self) -> cython.void:
        self.chunks = []
        self.count = 0
        self.memory = OBJECT_BYTES + self.row_memory()

    @cython.cfunc
    def drop(self, count: cython.Py_ssize_t, left: cython.bint) -> cython.void:
        """So many elements of one end, fewer than there are."""
        while count > 0:
            chunk: Chunk = self.chunks[0 if left else -1]
            length: cython.Py_ssize_t = len(chunk.elements)
            if length > count:
                before: cython.Py_ssize_t = list_memory(chunk.elements)
                gone: list[bytes] = chunk.elements[:count] if left else chunk.elements[length - count :]
                chunk.elements = chunk.elements[count:] if left else chunk.elements[: length - count]
                chunk.size -= packed_length(gone)
                self.memory += list_memory(chunk.elements) - before
            else:
                gone = chunk.elements
                self.leave_chunk(0 if left else len(self.chunks) - 1)
            self.count -= len(gone)
            self.memory -= texts_memory(gone)
            count -= len(gone)

    # By number, negative ones counted from the end

    def get(self, index: int) -> bytes | None:
        """O(chunks)."""
        if index < 0:
            index += self.count
        if not 0 <= index < self.count:
            return None
        position, offset = self.locate(index)
        chunk: Chunk = self.chunks[position]
        element: bytes = chunk.elements[offset]
        return element

    @cython.cfunc
    def locate(self, index: cython.Py_ssize_t) -> Pair:
        """The chunk of an index that exists, and the place in it."""
        chunk: Chunk
        position: cython.Py_ssize_t = 0
        if index <= self.count // 2:
            for chunk in self.chunks:
                if index < len(chunk.elements):
                    break
                index -= len(chunk.elements)
                position += 1
            return position, index
        position = len(self.chunks)
        begin: cython.Py_ssize_t = self.count
        for chunk in reversed(self.chunks):
            position -= 1
            begin -= len(chunk.elements)
            if begin <= index:
                break
        return position, index - begin

    @cython.cfunc
    def bounds(self, start: Number, stop: Number) -> Pair:
        """As numbers from the beginning; the stop, which belongs to the range, is before the start if it is empty."""
        start = max(start + self.count, 0) if start < 0 else start
        stop = stop + self.count if stop < 0 else min(stop, self.count - 1)
        return start, stop

    def range(self, start: int, stop: int) -> list[bytes]:
        """From one number to another, both included. O(elements + chunks)."""
        start, stop = self.bounds(start, stop)
        if start > stop:
            return []
        chunk: Chunk
        begin: cython.Py_ssize_t = 0
        first: cython.Py_ssize_t = start
        last: cython.Py_ssize_t = stop
        found: list[bytes] = []
        if first <= self.count - 1 - last:
            for chunk in self.chunks:
                end: cython.Py_ssize_t = begin + len(chunk.elements)
                if end > first:
                    found += chunk.elements[max(first - begin, 0) : last + 1 - begin]
                if end > last:
                    break
                begin = end
            return found
        parts: list[list[bytes]] = []
        begin = self.count
        for chunk in reversed(self.chunks):
            begin -= len(chunk.elements)
            if begin <= last:
                parts.append(chunk.elements[max(first - begin, 0) : last + 1 - begin])
            if begin <= first:
                break
        for part in reversed(parts):
            found += part
        return found

    def set(self, index: int, element: bytes) -> bool:
        """Put another element at a number; whether there is such a number. O(chunks)."""
        if index < 0:
            index += self.count
        if self.compact:
            self.make_room([element], 0)
        if not 0 <= index < self.count:
            return False
        position, offset = self.locate(index)
        self.replace(position, offset, element)
        self.shrink()
        return True

    @cython.cfunc
    def replace(self, position: cython.Py_ssize_t, offset: cython.Py_ssize_t, element: bytes) -> cython.void:
        """A chunk may grow beyond the limit by it, but a large element goes into one of its own."""
        chunk: Chunk = self.chunks[position]
        old: bytes = chunk.elements[offset]
        large: cython.bint = not self.compact and is_large(self.limit, len(element))
        if chunk.plain != large:
            self.insert_at(position, offset, element, True)
            if not self.remove_at(position, offset):
                self.join_around(position + 1)
            return
        chunk.elements[offset] = element
        chunk.size += len(element) - len(old) if large else packed_size(element) - packed_size(old)
        self.memory += text_memory(len(element)) - text_memory(len(old))

    @cython.cfunc
    def remove_at(self, position: cython.Py_ssize_t, offset: cython.Py_ssize_t) -> cython.bint:
        """Whether the chunk went with the element."""
        chunk: Chunk = self.chunks[position]
        before: cython.Py_ssize_t = list_memory(chunk.elements)
        old: bytes = chunk.elements.pop(offset)
        self.count -= 1
        self.memory += list_memory(chunk.elements) - before - text_memory(len(old))
        if chunk.elements:
            chunk.size -= packed_size(old)
            return False
        self.leave_chunk(position)
        return True

    # By content

    def insert(self, pivot: bytes, element: bytes, after: cython.bint) -> bool:
        """Put an element beside the first that equals `pivot`; whether there is one. O(n)."""
        chunk: Chunk
        each: bytes
        if self.compact:
            self.make_room([element], 0)
        position: cython.Py_ssize_t
        offset: cython.Py_ssize_t
        for position, chunk in enumerate(self.chunks):
            for offset, each in enumerate(chunk.elements):
                if each == pivot:
                    self.insert_at(position, offset, element, after)
                    return True
        return False

    def remove(self, element: bytes, count: int) -> int:
        """Remove so many that equal `element`, the last ones if negative, all if 0; how many there were. O(n)."""
        chunk: Chunk
        each: bytes
        forward: cython.bint = count >= 0
        left: cython.Py_ssize_t = min(abs(count), self.count) or self.count
        before: cython.Py_ssize_t = self.count
        emptied: cython.bint = False
        for chunk in self.chunks if forward else reversed(self.chunks):
            kept: list[bytes] = []
            for each in chunk.elements if forward else reversed(chunk.elements):
                if left and each == element:
                    left -= 1
                else:
                    kept.append(each)
            removed: cython.Py_ssize_t = len(chunk.elements) - len(kept)
            if removed:
                size: cython.Py_ssize_t = list_memory(chunk.elements)
                chunk.elements = kept if forward else kept[::-1]
                self.memory += list_memory(chunk.elements) - size
                chunk.size -= removed * packed_size(element)
                self.count -= removed
                emptied = emptied or not kept
            if not left:
                break
        self.memory -= (before - self.count) * text_memory(len(element))
        if emptied:
            self.drop_empty_chunks()
        if before > self.count:
            self.shrink()
        return int(before - self.count)

    @cython.cfunc
    def drop_empty_chunks(self) -> cython.void:
        chunk: Chunk
        self.memory -= self.row_memory()
        full: list[Chunk] = []
        for chunk in self.chunks:
            if chunk.elements:
                full.append(chunk)
            else:
                self.memory -= CHUNK_BYTES + list_memory(chunk.elements)
        self.chunks = full if len(full) <= FEW else deque(full)
        self.memory += self.row_memory()

    def positions(self, element: bytes, rank: int, count: int, most: int) -> list[int]:
        """Numbers of elements that equal `element`: from its occurrence `rank` on, which begins with 1 or, to go
        from the end, with -1; `count` of them, looking at `most` elements (0: without a bound). O(n)."""
        chunk: Chunk
        each: bytes
        forward: cython.bint = rank > 0
        to_skip: cython.Py_ssize_t = abs(rank) - 1
        looked: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = min(most, self.count) or self.count
        found: list[int] = []
        for chunk in self.chunks if forward else reversed(self.chunks):
            for each in chunk.elements if forward else reversed(chunk.elements):
                if looked == end:
                    return found
                if each == element:
                    if to_skip:
                        to_skip -= 1
                    else:
                        found.append(looked if forward else self.count - 1 - looked)
                        if len(found) == count:
                            return found
                looked += 1
        return found

    # Where chunks begin and end

    @cython.cfunc
    def new_chunk(self, element: bytes) -> Chunk:
        if not self.compact and is_large(self.limit, len(element)):
            return Chunk([element], len(element), plain=True)
        return Chunk([element], LISTPACK_OVERHEAD + packed_size(element))

    @cython.cfunc
    def has_room(self, chunk: Chunk, length: cython.Py_ssize_t) -> cython.bint:
        """Whether an element of that length may join a chunk."""
        if chunk.plain or is_large(self.limit, length):
            return False
        return not exceeds(self.limit, chunk.size + length + ESTIMATED_OVERHEAD, len(chunk.elements) + 1)

    @cython.cfunc
    def insert_at(
        self, position: cython.Py_ssize_t, offset: cython.Py_ssize_t, element: bytes, after: cython.bint
    ) -> cython.void:
        """Put an element behind a place or before it. O(chunks) if that takes a new chunk."""
        chunk: Chunk = self.chunks[position]
        length: cython.Py_ssize_t = len(element)
        cut: cython.Py_ssize_t = offset + 1 if after else offset
        self.count += 1
        self.memory += text_memory(length)
        if self.compact or self.has_room(chunk, length):
            self.put_into(chunk, cut, element)
            return
        if cut == 0 or cut == len(chunk.elements):
            beside: cython.Py_ssize_t = position + 1 if after else position - 1
            if 0 <= beside < len(self.chunks):
                chunk = self.chunks[beside]
                if self.has_room(chunk, length):
                    self.put_into(chunk, 0 if after else len(chunk.elements), element)
                    return
            self.enter_chunk(position + 1 if after else position, self.new_chunk(element))
            return
        self.split(position, cut, element, after)

    @cython.cfunc
    def split(
        self, position: cython.Py_ssize_t, cut: cython.Py_ssize_t, element: bytes, after: cython.bint
    ) -> cython.void:
        """Cut a chunk and put an element between: with what is behind it if it goes after its neighbour."""
        chunk: Chunk = self.chunks[position]
        first: Chunk = chunk_of(chunk.elements[:cut])
        second: Chunk = chunk_of(chunk.elements[cut:])
        self.memory += list_memory(first.elements) - list_memory(chunk.elements)
        self.chunks[position] = first
        self.enter_chunk(position + 1, second)
        if is_large(self.limit, len(element)):
            self.enter_chunk(position + 1, self.new_chunk(element))
            return
        if after:
            self.put_into(second, 0, element)
        else:
            self.put_into(first, len(first.elements), element)
        self.join_around(position if after else position + 1)

    @cython.cfunc
    def join_around(self, position: cython.Py_ssize_t) -> cython.void:
        """Join a chunk's neighbours with theirs, then it with them, where that fits: in Redis's order."""
        if self.join(position - 2):
            position -= 1
        self.join(position + 1)
        if self.join(position - 1):
            position -= 1
        self.join(position)

    @cython.cfunc
    def join(self, position: cython.Py_ssize_t) -> cython.bint:
        """Make one of a chunk and the next if both are there and fit; whether they did."""
        if position < 0 or position + 1 >= len(self.chunks):
            return False
        first: Chunk = self.chunks[position]
        second: Chunk = self.chunks[position + 1]
        size: cython.Py_ssize_t = first.size + second.size - LISTPACK_OVERHEAD
        if first.plain or second.plain or exceeds(self.limit, size, len(first.elements) + len(second.elements)):
            return False
        before: cython.Py_ssize_t = list_memory(first.elements)
        self.leave_chunk(position + 1)
        first.elements += second.elements
        first.size = size
        self.memory += list_memory(first.elements) - before
        return True

    @cython.cfunc
    def make_room(self, elements: Elements, start: cython.Py_ssize_t) -> cython.void:
        """See to it that those from `start` on can be added to a compact list: it is so no longer if they are too much
        for it."""
        at: cython.Py_ssize_t
        limit: cython.Py_ssize_t = self.limits.list_max_listpack_size
        size: cython.Py_ssize_t = LISTPACK_OVERHEAD
        if self.count:
            chunk: Chunk = self.chunks[0]
            size = chunk.size
        for at in range(start, len(elements)):
            size += len(elements[at])
        if exceeds(limit, size, self.count + len(elements) - start):
            self.compact = False
            self.limit = limit

    @cython.cfunc
    def shrink(self) -> cython.void:
        """A list that has shrunk to one chunk of half the limit becomes compact again."""
        if self.compact or len(self.chunks) != 1:
            return
        chunk: Chunk = self.chunks[0]
        limit: cython.Py_ssize_t = self.limits.list_max_listpack_size
        fits: cython.bint = 2 * chunk.size <= byte_limit(limit) if limit < 0 else 2 * self.count <= max(limit, 1)
        self.compact = fits and not chunk.plain

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
        chunk: Chunk = Chunk(elements, len(elements[0]), plain=True) if plain else chunk_of(elements)
        self.count += len(elements)
        self.memory += texts_memory(elements)
        self.enter_chunk(len(self.chunks), chunk)

    def end_filling(self) -> None:
        if len(self.chunks) != 1:
            self.compact = not self.count
            return
        chunk: Chunk = self.chunks[0]
        fits: cython.bint = chunk.size <= byte_limit(self.limit) if self.limit < 0 else self.count <= max(self.limit, 1)
        self.compact = fits and not chunk.plain

    # All of it

    def copy(self) -> List:
        """O(n)."""
        chunk: Chunk
        other: List = List(self.limits)
        for chunk in self.chunks:
            other.enter_chunk(len(other.chunks), Chunk(chunk.elements[:], chunk.size, plain=chunk.plain))
            other.memory += texts_memory(chunk.elements)
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
        expected = OBJECT_BYTES + self.row_memory() + CHUNK_BYTES * len(self.chunks)
        count = 0
        for chunk in self.chunks:
            assert chunk.elements, "an empty chunk"
            size = len(chunk.elements[0]) if chunk.plain else LISTPACK_OVERHEAD + packed_length(chunk.elements)
            assert chunk.size == size, (chunk.size, size)
            assert len(chunk.elements) == 1 or not chunk.plain
            count += len(chunk.elements)
            expected += list_memory(chunk.elements) + texts_memory(chunk.elements)
        assert count == self.count, (count, self.count)
        assert self.memory == expected, (self.memory, expected)
        assert len(self.chunks) <= 1 or not self.compact
