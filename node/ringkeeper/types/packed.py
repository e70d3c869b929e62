# cython: boundscheck=False, wraparound=False, cdivision=True
"""Short texts, one behind the other in one block of memory, each behind a byte with its length.

That is what a small collection is: objects of their own would take several times as much. It is searched from the
beginning, which for so few bytes costs no more than hashing; `types/hash.py` and others say how many these are.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.types.memory import block_size, usable_size
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
    from cython.cimports.libc.string import memcmp, memcpy, memmove
    from cython.cimports.ringkeeper.types.memory import block_size, usable_size  # type: ignore[no-redef]


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def write_bulk(target: cython.p_char, source: cython.p_uchar) -> cython.p_char:
    """A packed text as a bulk string of RESP; where that ends. Compiled only."""
    length: cython.int = source[0]
    target[0] = 36
    target += 1
    if length >= 100:
        target[0] = 48 + length // 100
        target += 1
    if length >= 10:
        target[0] = 48 + length // 10 % 10
        target += 1
    target[0] = 48 + length % 10
    memcpy(target + 1, b"\r\n", 2)
    memcpy(target + 3, source + 1, length)
    memcpy(target + 3 + length, b"\r\n", 2)
    return target + 5 + length


@cython.no_gc
@cython.cclass
class PackedTexts:
    """Texts are named by the offset of their length. No operation checks that there is a text at an offset, nor that a
    text is at most 255 bytes long and all together 32767. O(size) each, which is a matter of some nanoseconds."""

    @cython.cfunc
    def begin(self, paired: cython.bint) -> cython.void:
        """Called once, by the constructor of a subclass."""
        if not cython.compiled:
            self.pack = bytearray()
        self.size = 0
        """Bytes of all of it."""
        self.count = 0
        """For a subclass: its members."""
        self.paired = paired
        self.compact = True

    def __dealloc__(self) -> None:
        PyMem_Free(self.pack)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def behind(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the next text stands."""
        return at + 1 + self.pack[at]

    @cython.cfunc
    def text(self, at: cython.Py_ssize_t) -> bytes:
        """O(its length)."""
        text: bytes
        if cython.compiled:
            text = PyBytes_FromStringAndSize(cython.cast(cython.p_char, self.pack) + at + 1, self.pack[at])
        else:
            text = bytes(self.pack[at + 1 : at + 1 + self.pack[at]])
        return text

    @cython.cfunc
    @cython.exceptval(check=False)
    def seek(self, text: bytes, others: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The offset of a text, or -1; behind each text that may be it, so many `others` (0 or 1) are passed over."""
        at: cython.Py_ssize_t = 0
        length: cython.Py_ssize_t = len(text)
        size: cython.Py_ssize_t = self.size
        if not cython.compiled:
            while at < size:
                if self.pack[at] == length and self.pack[at + 1 : at + 1 + length] == text:
                    return at
                at = self.behind(at)
                if others:
                    at = self.behind(at)
            return -1
        start: cython.p_const_uchar = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(text))
        # The last byte is what differs most often.
        last: cython.uchar = start[length - 1] if length else 0
        while at < size:
            here: cython.Py_ssize_t = self.pack[at]
            if here == length and self.pack[at + length] == last and memcmp(self.pack + at + 1, start, length) == 0:
                return at
            at += here + 1
            if others:
                at += 1 + self.pack[at]
        return -1

    @cython.cfunc
    def splice(self, at: cython.Py_ssize_t, old: cython.Py_ssize_t, new: cython.Py_ssize_t) -> None:
        """Let the bytes from an offset on be `new` ones instead of `old` ones, whatever they hold.

        Raises `MemoryError`, and nothing has changed then.
        """
        size: cython.Py_ssize_t = self.size + new - old
        if not cython.compiled:
            self.pack[at : at + old] = bytes(new)
            self.size = size
            return
        behind: cython.Py_ssize_t = self.size - at - old
        if block_size(size) == block_size(self.size):
            if behind:  # where nothing is packed there is no block either
                memmove(self.pack + at + new, self.pack + at + old, behind)
        else:
            # Not by `realloc`: it leaves what shrinks by a quarter where it is, as large as it was.
            block: cython.p_void = PyMem_Malloc(usable_size(size))
            if block is cython.NULL:
                raise MemoryError
            pack: cython.p_uchar = cython.cast(cython.p_uchar, block)
            if self.size:
                memcpy(pack, self.pack, at)
                memcpy(pack + at + new, self.pack + at + old, behind)
            PyMem_Free(self.pack)
            self.pack = pack
        self.size = size

    @cython.cfunc
    @cython.exceptval(check=False)
    def write(self, at: cython.Py_ssize_t, text: bytes) -> cython.Py_ssize_t:
        """Put a text where there is room for it; where it ends."""
        length: cython.Py_ssize_t = len(text)
        self.pack[at] = length
        if cython.compiled:
            memcpy(self.pack + at + 1, PyBytes_AS_STRING(text), length)
        else:
            self.pack[at + 1 : at + 1 + length] = text
        return at + 1 + length

    @cython.cfunc
    def replace_text(self, at: cython.Py_ssize_t, text: bytes) -> None:
        """Put another text in the place of one. Raises `MemoryError`, and nothing has changed then."""
        if self.pack[at] != len(text):
            self.splice(at, 1 + self.pack[at], 1 + len(text))
        self.write(at, text)

    def bulks(self, first: cython.Py_ssize_t, step: cython.Py_ssize_t) -> bytes:
        """Texts as the bulk strings of a reply: from the one with number `first` on, every `step`th of them."""
        at: cython.Py_ssize_t = 0
        number: cython.Py_ssize_t = -first
        if not cython.compiled:
            texts = []
            while at < self.size:
                texts.append(self.text(at))
                at = self.behind(at)
            return b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in texts[first::step]])
        encoded: bytes = PyBytes_FromStringAndSize(cython.NULL, self.bulks_size(first, step))
        target: cython.p_char = PyBytes_AS_STRING(encoded)
        while at < self.size:
            if number >= 0 and number % step == 0:
                target = write_bulk(target, self.pack + at)
            number += 1
            at = self.behind(at)
        return encoded

    @cython.cfunc
    @cython.exceptval(check=False)
    def bulks_size(self, first: cython.Py_ssize_t, step: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """How long `bulks` is."""
        at: cython.Py_ssize_t = 0
        total: cython.Py_ssize_t = 0
        number: cython.Py_ssize_t = -first
        while at < self.size:
            length: cython.Py_ssize_t = self.pack[at]
            if number >= 0 and number % step == 0:
                total += length + (6 if length < 10 else 7 if length < 100 else 8)
            number += 1
            at += 1 + length
        return total

    @cython.cfunc
    def copy_pack(self, other: PackedTexts) -> None:
        """Take over what another has, to an empty one."""
        if other.size:
            self.splice(0, 0, other.size)
            if cython.compiled:
                memcpy(self.pack, other.pack, other.size)
            else:
                self.pack[:] = other.pack
        self.count = other.count

    @cython.cfunc
    @cython.exceptval(check=False)
    def clear_pack(self) -> cython.void:
        if cython.compiled:
            PyMem_Free(self.pack)
            self.pack = cython.NULL
        else:
            self.pack = bytearray()
        self.size = self.count = 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def pack_memory(self) -> cython.Py_ssize_t:
        return block_size(self.size)
