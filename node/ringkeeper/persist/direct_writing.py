# cython: boundscheck=False, wraparound=False
"""Collections written as RDB from the memory in which they lie: no object is made, and no reference counted.

So a forked child, which has its parent's memory as long as neither writes to it, copies nothing of what it saves. That
is why objects are reached by pointers here: to bind one to a variable, or to hand on what an attribute names, counts a
reference. This file is the compiled form only; `values.py` says the same in objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.resp.doubles import format_double

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_GET_SIZE
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc, PyMem_Realloc
    from cython.cimports.libc.stdlib import qsort
    from cython.cimports.libc.string import memcpy
    from cython.cimports.ringkeeper.persist.direct_writing import ListPointer, Place, Pointer
    from cython.cimports.ringkeeper.persist.writer import Writer
    from cython.cimports.ringkeeper.store.table import integer_in
    from cython.cimports.ringkeeper.types.chunk import Chunk
    from cython.cimports.ringkeeper.types.hash import Hash
    from cython.cimports.ringkeeper.types.list import List
    from cython.cimports.ringkeeper.types.set import Set
    from cython.cimports.ringkeeper.types.zset import SortedSet
    from cython.cimports.ringkeeper.types.zset_tree import Node
else:
    Writer = Chunk = Hash = List = Set = SortedSet = Node = Any
    ListPointer = Pointer = Place = Any

END = cython.declare(cython.int, 0xFF)
UNCOUNTED = cython.declare(cython.Py_ssize_t, 0xFFFF)
LISTPACK_HEAD = cython.declare(cython.Py_ssize_t, 6)
MOST_BESIDE = cython.declare(cython.Py_ssize_t, 11)
"""Bytes that an entry of a listpack takes beside its text."""
EXACT = cython.declare(cython.double, 2.0**53)
PLAIN = cython.declare(cython.int, 1)
PACKED = cython.declare(cython.int, 2)
"""How a chunk of a list is kept."""


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def bytes_at(items: ListPointer, at: cython.Py_ssize_t) -> cython.p_const_uchar:
    item: Pointer = items.ob_item[at]
    return cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(cython.cast(bytes, item)))


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def size_at(items: ListPointer, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    item: Pointer = items.ob_item[at]
    return PyBytes_GET_SIZE(cython.cast(bytes, item))


@cython.final
@cython.cclass
class Listpack:
    """One that is being made: `begin`, `add` each element, `write_to`. `persist/packed.py` describes the format."""

    if TYPE_CHECKING:
        data: Any
        used: int
        room: int
        count: int

    def __dealloc__(self) -> None:
        PyMem_Free(self.data)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def begin(self) -> cython.int:
        self.used = LISTPACK_HEAD
        self.count = 0
        return self.reserve(1)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def reserve(self, count: cython.Py_ssize_t) -> cython.int:
        if self.used + count > self.room:
            room: cython.Py_ssize_t = max(2 * self.room, self.used + count, 1024)
            block: cython.p_void = PyMem_Realloc(self.data, room)
            if block is cython.NULL:
                raise MemoryError
            self.data = cython.cast(cython.p_uchar, block)
            self.room = room
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def add(self, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.int:
        shift: cython.int
        head: cython.Py_ssize_t = 1
        if 0 < size <= 20 and text[0] <= 0x39:
            is_integer: cython.bint = False
            number: cython.longlong = integer_in(text, size, cython.address(is_integer))
            if is_integer:
                return self.add_integer(number)
        self.reserve(size + MOST_BESIDE + 1)
        entry: cython.p_uchar = self.data + self.used
        if size < 64:
            entry[0] = cython.cast(cython.uchar, 0x80 | size)
        elif size < 4096:
            head = 2
            entry[0] = cython.cast(cython.uchar, 0xE0 | size >> 8)
            entry[1] = cython.cast(cython.uchar, size & 0xFF)
        else:
            head = 5
            entry[0] = 0xF0
            for shift in range(4):
                entry[1 + shift] = cython.cast(cython.uchar, size >> 8 * shift & 0xFF)
        memcpy(entry + head, text, size)
        self.end_entry(head + size)
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def add_integer(self, number: cython.longlong) -> cython.int:
        width: cython.int
        at: cython.int
        self.reserve(MOST_BESIDE + 1)
        entry: cython.p_uchar = self.data + self.used
        if 0 <= number < 128:
            entry[0] = cython.cast(cython.uchar, number)
            self.end_entry(1)
        elif -4096 <= number < 4096:
            entry[0] = cython.cast(cython.uchar, 0xC0 | (number >> 8 & 0x1F))
            entry[1] = cython.cast(cython.uchar, number & 0xFF)
            self.end_entry(2)
        else:
            width = 2 if -(1 << 15) <= number < 1 << 15 else 3 if -(1 << 23) <= number < 1 << 23 else 4
            if not -(1 << 31) <= number < 1 << 31:
                width = 8
            entry[0] = cython.cast(cython.uchar, 0xF4 if width == 8 else 0xF1 + width - 2)
            for at in range(width):
                entry[1 + at] = cython.cast(cython.uchar, number >> 8 * at & 0xFF)
            self.end_entry(1 + width)
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def add_score(self, score: cython.double) -> cython.int:
        if -EXACT <= score <= EXACT and score != 0.0:
            whole: cython.longlong = cython.cast(cython.longlong, score)
            if whole == score:
                return self.add_integer(whole)
        text: bytes = format_double(score)
        return self.add(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(text)), len(text))

    @cython.cfunc
    @cython.exceptval(check=False)
    def end_entry(self, size: cython.Py_ssize_t) -> cython.void:
        """Put an entry's size behind it: seven bits a byte, the highest first."""
        shift: cython.int = 0
        self.used += size
        if size > 127:
            shift = 7 if size < 16383 else 14 if size < 2097151 else 21 if size < 268435455 else 28
        self.data[self.used] = cython.cast(cython.uchar, size >> shift)
        self.used += 1
        while shift:
            shift -= 7
            self.data[self.used] = cython.cast(cython.uchar, 0x80 | (size >> shift & 0x7F))
            self.used += 1
        self.count += 1

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def write_to(self, out: Writer) -> cython.int:
        at: cython.int
        count: cython.Py_ssize_t = min(self.count, UNCOUNTED)
        self.reserve(1)
        self.data[self.used] = END
        self.used += 1
        for at in range(4):
            self.data[at] = cython.cast(cython.uchar, self.used >> 8 * at & 0xFF)
        self.data[4] = cython.cast(cython.uchar, count & 0xFF)
        self.data[5] = cython.cast(cython.uchar, count >> 8)
        out.string(self.data, self.used)
        return 0


@cython.cfunc
def maker_of(out: Writer) -> Listpack:
    """Each writer has one, which makes one after the other: another thread may write while a chunk is handed on."""
    if out.maker is None:
        out.maker = Listpack()
    maker: Listpack = cython.cast(Listpack, out.maker)
    return maker


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_list(out: Writer, value: List) -> cython.int:
    chunks: cython.Py_ssize_t = 0
    none: Pointer = cython.cast(Pointer, None)
    chunk: Pointer = cython.cast(Pointer, value.first)
    while chunk != none:
        chunks += 1
        chunk = cython.cast(Pointer, cython.cast(Chunk, chunk).next)
    out.length(chunks)
    chunk = cython.cast(Pointer, value.first)
    while chunk != none:
        write_chunk(out, cython.cast(Chunk, chunk))
        chunk = cython.cast(Pointer, cython.cast(Chunk, chunk).next)
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_chunk(out: Writer, chunk: Chunk) -> cython.int:
    length: cython.Py_ssize_t
    at: cython.Py_ssize_t = chunk.start
    maker: Listpack = maker_of(out)
    element: Pointer
    if chunk.element is not None:
        element = cython.cast(Pointer, chunk.element)
        length = PyBytes_GET_SIZE(cython.cast(bytes, element))
        out.length(PLAIN)
        out.string(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(cython.cast(bytes, element))), length)
        return 0
    out.length(PACKED)
    maker.begin()
    while at < chunk.end:
        length = chunk.length_at(at)
        maker.add(chunk.body_at(at, length), length)
        at += chunk.entry_at(at)
    return maker.write_to(out)


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_set(out: Writer, value: Set) -> cython.int:
    """As members one after the other."""
    at: cython.Py_ssize_t = 0
    out.length(value.length())
    if value.rows is None:
        while at < value.size:
            out.string(value.pack + at + 1, value.pack[at])
            at += 1 + value.pack[at]
        return 0
    members: ListPointer = cython.cast(ListPointer, value.rows.members)
    for at in range(value.length()):
        out.string(bytes_at(members, at), size_at(members, at))
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def by_value(first: Place, second: Place) -> cython.int:
    one: cython.longlong = cython.cast(cython.p_longlong, first)[0]
    other: cython.longlong = cython.cast(cython.p_longlong, second)[0]
    return (one > other) - (one < other)


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_intset(out: Writer, value: Set) -> cython.int:
    """Of a set of integers of 64 bits, at least one: in one string, in ascending order. O(n log n)."""
    maker: Listpack = maker_of(out)
    at: cython.Py_ssize_t = 0
    number: cython.Py_ssize_t
    shift: cython.int
    count: cython.Py_ssize_t = value.length()
    is_integer: cython.bint = False
    numbers: cython.p_longlong = cython.cast(cython.p_longlong, PyMem_Malloc(count * 8))
    if numbers is cython.NULL:
        raise MemoryError
    for number in range(count):
        if value.rows is None:
            numbers[number] = integer_in(value.pack + at + 1, value.pack[at], cython.address(is_integer))
            at += 1 + value.pack[at]
        else:
            rows: ListPointer = cython.cast(ListPointer, value.rows.members)
            numbers[number] = integer_in(bytes_at(rows, number), size_at(rows, number), cython.address(is_integer))
    qsort(numbers, count, 8, by_value)
    widest: cython.longlong = max(numbers[count - 1], -1 - numbers[0])
    width: cython.int = 2 if widest < 1 << 15 else 4 if widest < 1 << 31 else 8
    maker.used = 0
    maker.reserve(8 + count * width)
    for shift in range(4):
        maker.data[shift] = cython.cast(cython.uchar, width >> 8 * shift & 0xFF)
        maker.data[4 + shift] = cython.cast(cython.uchar, count >> 8 * shift & 0xFF)
    at = 8
    for number in range(count):
        for shift in range(0, 8 * width, 8):
            maker.data[at] = cython.cast(cython.uchar, numbers[number] >> shift & 0xFF)
            at += 1
    PyMem_Free(numbers)
    out.string(maker.data, at)
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_expiring_hash(out: Writer, value: Hash) -> cython.int:
    """Valkey's form, every field with its expiry. Fields are looked up, so references are counted here."""
    at: cython.Py_ssize_t = 0
    out.length(value.length())
    if value.rows is None:
        while at < value.size:
            field: bytes = value.text(at)
            out.text(field)
            at = value.behind(at)
            out.string(value.pack + at + 1, value.pack[at])
            at = value.behind(at)
            out.milliseconds(value.expiries.get(field, -1))
        return 0
    for at in range(value.length()):
        field = value.rows.members[at]
        out.text(field)
        values: ListPointer = cython.cast(ListPointer, value.rows.values)
        out.string(bytes_at(values, at), size_at(values, at))
        out.milliseconds(value.expiries.get(field, -1))
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_hash(out: Writer, value: Hash, packed: cython.bint) -> cython.int:
    """In one string, or as fields and values in turn: of one whose fields do not expire."""
    maker: Listpack = maker_of(out)
    at: cython.Py_ssize_t = 0
    if packed:
        maker.begin()
    else:
        out.length(value.length())
    if value.rows is None:
        while at < value.size:
            if packed:
                maker.add(value.pack + at + 1, value.pack[at])
            else:
                out.string(value.pack + at + 1, value.pack[at])
            at += 1 + value.pack[at]
    else:
        members: ListPointer = cython.cast(ListPointer, value.rows.members)
        values: ListPointer = cython.cast(ListPointer, value.rows.values)
        for at in range(value.length()):
            if packed:
                maker.add(bytes_at(members, at), size_at(members, at))
                maker.add(bytes_at(values, at), size_at(values, at))
            else:
                out.string(bytes_at(members, at), size_at(members, at))
                out.string(bytes_at(values, at), size_at(values, at))
    if packed:
        maker.write_to(out)
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_sorted_set(out: Writer, value: SortedSet, packed: cython.bint) -> cython.int:
    """In one string, the lowest first, or as members and scores in turn, the highest first."""
    maker: Listpack = maker_of(out)
    at: cython.Py_ssize_t = 0
    offsets = cython.declare(cython.ushort[256])
    count: cython.Py_ssize_t = 0
    if packed:
        maker.begin()
    else:
        out.length(value.length())
    if value.indexed is not None:
        root: Pointer = cython.cast(Pointer, value.indexed.tree.root)
        if packed:
            write_node_packed(maker, cython.cast(Node, root))
        else:
            write_node(out, cython.cast(Node, root))
    else:
        while at < value.size:
            if packed:
                maker.add(value.pack + at + 1, value.pack[at])
                at += 1 + value.pack[at]
                maker.add_score(value.score_at(at))
            else:
                offsets[count] = cython.cast(cython.ushort, at)
                count += 1
                at += 1 + value.pack[at]
            at += 1 + value.pack[at]
    while count > 0:
        count -= 1
        at = offsets[count]
        out.string(value.pack + at + 1, value.pack[at])
        out.double(value.score_at(at + 1 + value.pack[at]))
    if packed:
        maker.write_to(out)
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_node(out: Writer, node: Node) -> cython.int:
    at: cython.Py_ssize_t
    members: ListPointer = cython.cast(ListPointer, node.members)
    for at in range(node.count - 1, -1, -1):
        if node.leaf:
            out.string(bytes_at(members, at), size_at(members, at))
            out.double(node.scores[at])
        else:
            child: Pointer = cython.cast(ListPointer, node.children).ob_item[at]
            write_node(out, cython.cast(Node, child))
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_node_packed(maker: Listpack, node: Node) -> cython.int:
    at: cython.Py_ssize_t
    members: ListPointer = cython.cast(ListPointer, node.members)
    for at in range(node.count):
        if node.leaf:
            maker.add(bytes_at(members, at), size_at(members, at))
            maker.add_score(node.scores[at])
        else:
            child: Pointer = cython.cast(ListPointer, node.children).ob_item[at]
            write_node_packed(maker, cython.cast(Node, child))
    return 0
