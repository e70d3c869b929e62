# cython: boundscheck=False, wraparound=False, cdivision=True
"""Members with scores, a few of them, packed in one block of memory: what a small sorted set is made of.

They stand in order, each member before its score, and are searched from the beginning. A score is a text of 0, 1, 2 or
4 bytes if it is an integer that fits there (0 takes none), else of the 8 bytes of a double.
"""

from __future__ import annotations

from typing import Any

import cython

from ringkeeper.types.zset_tree import FLAT, MEMBERS, PAIRS

if not cython.compiled:
    import struct
    from math import copysign

    from ringkeeper.types.packed import PackedTexts
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.libc.math import copysign  # type: ignore[no-redef]
    from cython.cimports.libc.string import memcmp, memcpy, memmove
    from cython.cimports.ringkeeper.types.packed import PackedTexts  # type: ignore[no-redef]

ADDED, UPDATED, UNCHANGED = 2, 1, 0
"""What `SortedSet.add` did."""

MOST = cython.declare(cython.Py_ssize_t, 128)
"""Packed members. `docs/memory.md` has what finding one among so many costs."""
LONGEST = cython.declare(cython.Py_ssize_t, 255)
"""Bytes of a packed member: its length is a byte."""
LARGEST = cython.declare(cython.Py_ssize_t, 8192)
"""Bytes of all that is packed. A change may move them all, which takes some 100 ns."""
LONGEST_SCORE = cython.declare(cython.Py_ssize_t, 9)
"""Bytes of a score, with its length."""
AS_MEMBERS = cython.declare(cython.int, MEMBERS)
AS_FLAT = cython.declare(cython.int, FLAT)
AS_PAIRS = cython.declare(cython.int, PAIRS)


@cython.cfunc
@cython.exceptval(check=False)
def score_size(score: cython.double) -> cython.Py_ssize_t:
    """The bytes of a score, without its length."""
    if score >= -2147483648.0 and score <= 2147483647.0:
        whole: cython.longlong = cython.cast(cython.longlong, score) if cython.compiled else int(score)
        if whole == score:
            if whole == 0:
                return 8 if copysign(1.0, score) < 0 else 0
            if whole >= -128 and whole <= 127:
                return 1
            return 2 if whole >= -32768 and whole <= 32767 else 4
    return 8


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def score_in(pack: cython.p_uchar, at: cython.Py_ssize_t) -> cython.double:
    """The score at an offset of a pack."""
    size: cython.int = pack[at]
    if not cython.compiled:
        text = bytes(pack[at + 1 : at + 1 + size])
        return struct.unpack("=d", text)[0] if size == 8 else float(int.from_bytes(text, "little", signed=True))
    if size == 8:
        score: cython.double = 0.0
        memcpy(cython.address(score), pack + at + 1, 8)
        return score
    if size == 1:
        return cython.cast(cython.schar, pack[at + 1])
    if size == 2:
        short: cython.short = 0
        memcpy(cython.address(short), pack + at + 1, 2)
        return short
    if size == 4:
        whole: cython.int = 0
        memcpy(cython.address(whole), pack + at + 1, 4)
        return whole
    return 0.0


@cython.no_gc
@cython.cclass
class PackedScores(PackedTexts):
    """Members and scores are named by the offsets of their lengths. O(size) where nothing else is said."""

    @cython.cfunc
    @cython.exceptval(check=False)
    def score_at(self, at: cython.Py_ssize_t) -> cython.double:
        """The score at an offset. O(1)."""
        return score_in(self.pack, at)

    @cython.cfunc
    @cython.exceptval(check=False)
    def write_score(self, at: cython.Py_ssize_t, score: cython.double) -> cython.Py_ssize_t:
        """Put a score where there is room for it; where it ends. O(1)."""
        size: cython.Py_ssize_t = score_size(score)
        self.pack[at] = size
        if not cython.compiled:
            text = struct.pack("=d", score) if size == 8 else int(score).to_bytes(size, "little", signed=True)
            self.pack[at + 1 : at + 1 + size] = text
        elif size == 8:
            memcpy(self.pack + at + 1, cython.address(score), 8)
        elif size == 4:
            whole: cython.int = cython.cast(cython.int, score)
            memcpy(self.pack + at + 1, cython.address(whole), 4)
        elif size == 2:
            short: cython.short = cython.cast(cython.short, score)
            memcpy(self.pack + at + 1, cython.address(short), 2)
        elif size == 1:
            self.pack[at + 1] = cython.cast(cython.uchar, cython.cast(cython.schar, score))
        return at + 1 + size

    # Where an entry stands: a member and its score

    @cython.cfunc
    @cython.exceptval(check=False)
    def precedes(self, at: cython.Py_ssize_t, member: bytes, after: cython.bint) -> cython.bint:
        """Whether the member at an offset comes before another in the order of their bytes; with `after`, the same one
        does too."""
        there: cython.Py_ssize_t = len(member)
        here: cython.Py_ssize_t = self.pack[at]
        if not cython.compiled:
            found = bytes(self.pack[at + 1 : at + 1 + here])
            return found <= member if after else found < member
        shared: cython.Py_ssize_t = here if here < there else there
        order: cython.int = memcmp(self.pack + at + 1, PyBytes_AS_STRING(member), shared)
        if order != 0:
            return order < 0
        return here <= there if after else here < there

    @cython.cfunc
    @cython.exceptval(check=False)
    def place(self, score: cython.double, member: bytes, after: cython.bint) -> cython.Py_ssize_t:
        """The offset behind all that come before (score, member); with `after`, behind that one too if it is here."""
        at: cython.Py_ssize_t = 0
        while at < self.size:
            here: cython.Py_ssize_t = at + 1 + self.pack[at]
            found: cython.double = score_in(self.pack, here)
            if found > score or (found == score and not self.precedes(at, member, after)):
                break
            at = here + 1 + self.pack[here]
        return at

    @cython.cfunc
    @cython.exceptval(check=False)
    def lower(self, score: cython.double, after: cython.bint) -> cython.Py_ssize_t:
        """How many entries have a lower score; with `after`, a lower one or this one."""
        rank: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        while at < self.size:
            at += 1 + self.pack[at]
            found: cython.double = score_in(self.pack, at)
            if found > score or (found == score and not after):
                break
            at += 1 + self.pack[at]
            rank += 1
        return rank

    @cython.cfunc
    @cython.exceptval(check=False)
    def rank_at(self, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """How many entries stand before an offset."""
        rank: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        while at < end:
            at += 1 + self.pack[at]
            at += 1 + self.pack[at]
            rank += 1
        return rank

    @cython.cfunc
    @cython.exceptval(check=False)
    def offset_of(self, rank: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the entry of a rank stands, or the end."""
        at: cython.Py_ssize_t = 0
        if rank >= self.count:
            return self.size
        while rank > 0:
            at += 1 + self.pack[at]
            at += 1 + self.pack[at]
            rank -= 1
        return at

    # Changes. Each may raise `MemoryError`, and nothing has changed then.

    @cython.cfunc
    @cython.exceptval(check=False)
    def fits(self, at: cython.Py_ssize_t, member: bytes) -> cython.bint:
        """Whether a member, which is packed at that offset or new (-1), may be packed with any score. O(1)."""
        if at >= 0:
            return self.size - 1 - self.pack[self.behind(at)] + LONGEST_SCORE <= LARGEST
        if len(member) > LONGEST or self.count >= MOST:
            return False
        return self.size + 1 + len(member) + LONGEST_SCORE <= LARGEST

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def put(self, at: cython.Py_ssize_t, member: bytes, score: cython.double) -> cython.int:
        """Give a member that fits a score, its offset or -1 being known: `ADDED`, `UPDATED` or `UNCHANGED`."""
        if at >= 0:
            return self.change(at, member, score)
        at = self.place(score, member, False)
        self.splice(at, 0, 2 + len(member) + score_size(score))
        self.write_score(self.write(at, member), score)
        self.count += 1
        return ADDED

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def change(self, at: cython.Py_ssize_t, member: bytes, score: cython.double) -> cython.int:
        """As `put`, of a member at an offset."""
        here: cython.Py_ssize_t = self.behind(at)
        if self.score_at(here) == score:
            return UNCHANGED
        to: cython.Py_ssize_t = self.place(score, member, False)
        old: cython.Py_ssize_t = self.pack[here]
        new: cython.Py_ssize_t = score_size(score)
        if new != old:
            self.splice(here, 1 + old, 1 + new)
            if to > at:
                to += new - old
        self.move_entry(at, self.write_score(here, score), to)
        return UPDATED

    @cython.cfunc
    @cython.exceptval(check=False)
    def move_entry(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, to: cython.Py_ssize_t) -> cython.void:
        """Let the entry from an offset to its end stand before what stands at another, which is no part of it."""
        length: cython.Py_ssize_t = end - at
        if not cython.compiled:
            entry = self.pack[at:end]
            del self.pack[at:end]
            to = to if to <= at else to - length
            self.pack[to:to] = entry
            return
        kept = cython.declare(cython.uchar[265])
        memcpy(kept, self.pack + at, length)
        if to <= at:
            memmove(self.pack + to + length, self.pack + to, at - to)
            memcpy(self.pack + to, kept, length)
        else:
            memmove(self.pack + at, self.pack + end, to - end)
            memcpy(self.pack + to - length, kept, length)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def take(self, at: cython.Py_ssize_t) -> cython.bint:
        """Remove the entry at an offset; whether there is one: not if that is -1."""
        if at < 0:
            return False
        self.splice(at, self.behind(self.behind(at)) - at, 0)
        self.count -= 1
        return True

    @cython.cfunc
    def cut(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        """Remove the entries of these ranks."""
        first: cython.Py_ssize_t = self.offset_of(start)
        self.splice(first, self.offset_of(stop) - first, 0)
        self.count -= stop - start

    # All of it

    @cython.cfunc
    def packed_range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, form: cython.int) -> Any:
        """What has these ranks, in one of the forms of `zset_tree`."""
        found: list[Any] = []
        at: cython.Py_ssize_t = self.offset_of(start)
        end: cython.Py_ssize_t = self.offset_of(stop)
        while at < end:
            member: bytes = self.text(at)
            at += 1 + self.pack[at]
            if form == AS_MEMBERS:
                found.append(member)
            elif form == AS_FLAT:
                found.append(member)
                found.append(score_in(self.pack, at))
            elif form == AS_PAIRS:
                found.append([member, score_in(self.pack, at)])
            else:
                found.append((member, score_in(self.pack, at)))
            at += 1 + self.pack[at]
        return found

    def check(self) -> None:
        """Assert every invariant. O(n)."""
        entries = [(score, member) for member, score in self.packed_range(0, self.count, 3)]
        assert entries == sorted(entries)
        assert len(entries) == self.count == len({member for _, member in entries}) <= MOST
        assert max((len(member) for _, member in entries), default=0) <= LONGEST
        assert self.size == sum(2 + len(member) + score_size(score) for score, member in entries) <= LARGEST
