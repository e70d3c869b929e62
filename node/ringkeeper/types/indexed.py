"""Members, each with a value or none: what hashes and sets are made of.

While they are few and short, members and values stand packed in one block of memory, in the order in which they came.
When there are too many for that, or one is too long, they become objects in rows with an index, for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import cython

if not cython.compiled:
    from ringkeeper.types.memory import list_memory, text_memory
    from ringkeeper.types.packed import PackedTexts
    from ringkeeper.types.rows import IndexedRows
else:
    from cython.cimports.ringkeeper.types.memory import list_memory, text_memory  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.packed import PackedTexts  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.rows import IndexedRows  # type: ignore[no-redef]

TAG = cython.declare(cython.longlong, 0xFFFFFFFF)
"""The bits of a hash by which `IndexedRows` finds a member."""
LONGEST = cython.declare(cython.Py_ssize_t, 255)
"""Bytes of a packed member or value: its length is a byte."""
LARGEST = cython.declare(cython.Py_ssize_t, 8192)
"""Bytes of all that is packed. A change may move them all, which takes some 100 ns."""
MOST = cython.declare(cython.Py_ssize_t, 128)
"""Packed members. Going through so many takes some 200 ns more than hashing, and less than Redis takes to go through
its listpack of as many; `docs/memory.md` has figures."""
Texts = list[bytes]
ROWS_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object `Rows` itself."""


@cython.final
@cython.no_gc
@cython.cclass
class Rows(IndexedRows):
    """The form with an object for each member and value.

    Scanning goes from the end of the row to its beginning, and members only ever move towards the beginning, so none
    that stays is missed. Nor is one seen twice by the scan that asked last: `border` is where it stands, and a gap
    before that is filled from just before it, which leaves the new gap at the border, where the scan has been.
    """

    def __init__(self, paired: bool) -> None:
        self.begin_rows()
        self.values: list[bytes] | None = [] if paired else None
        """As in the row of members; None in a set, whose members have none."""
        self.cursor = 0
        """The last one given out by `scan`; 0 if that scan came to its end."""
        self.border = 0
        """What that cursor means now: the members before have not been seen by that scan."""

    @cython.cfunc
    def add(self, member: bytes, tag: cython.longlong, value: bytes | None) -> None:
        """A member that is not here."""
        self.append_row(member, tag)
        if self.values is not None:
            self.values.append(cython.cast(bytes, value))

    @cython.cfunc
    def take(self, row: cython.Py_ssize_t, tag: cython.longlong) -> None:
        """Remove a member that is here."""
        if row < self.border:
            self.border -= 1
            if row < self.border:
                self.exchange(row, self.border)
                if self.values is not None:
                    self.values[row], self.values[self.border] = self.values[self.border], self.values[row]
                row = self.border
        self.remove_row(row, tag)
        if self.values is not None:
            last: bytes = self.values.pop()
            if row < len(self.values):
                self.values[row] = last

    @cython.cfunc
    @cython.exceptval(check=False)
    def memory(self) -> cython.Py_ssize_t:
        """Without members and values themselves."""
        return ROWS_BYTES + self.rows_memory() + (0 if self.values is None else list_memory(self.values))

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count)."""
        length = len(self.members)
        end = length if cursor == 0 else min(self.border if cursor == self.cursor else cursor, length)
        start = max(end - max(count, 1), 0)
        self.cursor = self.border = start
        return start, self.members[start:end]

    def copy(self) -> Rows:
        """One that shares nothing but the texts. O(n)."""
        other: Rows = Rows(self.values is not None)
        other.copy_rows(self)
        if self.values is not None:
            other.values = self.values[:]
        return other

    def shed(self, count: int) -> int:
        """Remove some of the last members, which the index goes on naming; how many. O(count)."""
        gone = len(self.members)
        del self.members[-count:]
        if self.values is not None:
            del self.values[-count:]
        return gone - len(self.members)

    def check(self) -> None:
        IndexedRows.check(self)
        assert self.values is None or len(self.members) == len(self.values)
        assert 0 <= self.border <= len(self.members)


@cython.no_gc
@cython.cclass
class IndexedTable(PackedTexts):
    """O(1) each where nothing else is said, `MOST` and `LONGEST` being constants.

    `memory` is kept up with every change; a subclass says at first what its own object takes.
    """

    def __init__(self, paired: bool) -> None:
        """`paired`: every member has a value. Else none has any."""
        self.begin_table(paired)

    @cython.cfunc
    def begin_table(self, paired: cython.bint) -> cython.void:
        """What the constructor does, for those of the subclasses."""
        self.begin(paired)
        self.rows: Rows | None = None
        """The members, once they are packed no longer."""
        self.memory = 0

    def __len__(self) -> int:
        return int(self.length())

    @cython.cfunc
    def length(self) -> cython.Py_ssize_t:
        return self.count if self.rows is None else len(self.rows.members)

    def __contains__(self, member: bytes) -> bool:
        return self.has(member)

    def has(self, member: bytes) -> bool:
        if self.rows is None:
            return bool(self.seek(member, self.paired) >= 0)
        return bool(self.rows.row_of(member, hash(member) & TAG) >= 0)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.listed() if self.rows is None else self.rows.members)

    def get(self, member: bytes) -> bytes | None:
        """Its value; None if there is no such member, or if none has any."""
        at: cython.Py_ssize_t
        value: bytes
        if not self.paired:
            return None
        if self.rows is None:
            at = self.seek(member, 1)
            return None if at < 0 else self.text(self.behind(at))
        at = self.rows.row_of(member, hash(member) & TAG)
        if at < 0 or self.rows.values is None:
            return None
        value = self.rows.values[at]
        return value

    def put(self, member: bytes, value: bytes | None) -> bool:
        """Give a member a value; whether it is new."""
        if self.rows is None:
            at: cython.Py_ssize_t = self.seek(member, self.paired)
            if at >= 0 and not self.paired:
                return False
            if self.fits(at, member, value):
                return bool(self.put_packed(at, member, value))
            self.form_rows()
        return bool(self.put_in_rows(self.rows, member, value))

    @cython.cfunc
    @cython.exceptval(check=False)
    def fits(self, at: cython.Py_ssize_t, member: bytes, value: bytes | None) -> cython.bint:
        """Whether a member, which is packed at that offset or new (-1), may be packed with that value."""
        size: cython.Py_ssize_t = self.size
        if value is not None:
            if len(value) > LONGEST:
                return False
            size += 1 + len(value)
        if at >= 0:
            return size - 1 - self.pack[self.behind(at)] <= LARGEST
        if len(member) > LONGEST or self.count >= MOST:
            return False
        return size + 1 + len(member) <= LARGEST

    @cython.cfunc
    def put_packed(self, at: cython.Py_ssize_t, member: bytes, value: bytes | None) -> cython.bint:
        """As `put`, where the offset of the member, or -1, is known."""
        before: cython.Py_ssize_t = self.pack_memory()
        if at >= 0:
            self.replace_text(self.behind(at), cython.cast(bytes, value))
        else:
            end: cython.Py_ssize_t = self.size
            self.splice(end, 0, 1 + len(member) + (0 if value is None else 1 + len(value)))
            end = self.write(end, member)
            if value is not None:
                self.write(end, value)
            self.count += 1
        self.memory += self.pack_memory() - before
        return at < 0

    @cython.cfunc
    def put_in_rows(self, rows: Rows, member: bytes, value: bytes | None) -> cython.bint:
        tag: cython.longlong = hash(member) & TAG
        row: cython.Py_ssize_t = rows.row_of(member, tag)
        if row < 0:
            before: cython.Py_ssize_t = rows.memory()
            rows.add(member, tag, value)
            self.memory += rows.memory() - before + text_memory(len(member))
            if value is not None:
                self.memory += text_memory(len(value))
            return True
        if rows.values is not None and value is not None:
            old: bytes = rows.values[row]
            self.memory += text_memory(len(value)) - text_memory(len(old))
            rows.values[row] = value
        return False

    @cython.cfunc
    def form_rows(self) -> None:
        """Unpack. Raises `MemoryError`, and nothing has changed then."""
        rows: Rows = Rows(bool(self.paired))
        member: bytes
        value: bytes | None = None
        texts: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        while at < self.size:
            member = self.text(at)
            at = self.behind(at)
            texts += text_memory(len(member))
            if self.paired:
                value = self.text(at)
                at = self.behind(at)
                texts += text_memory(len(value))
            rows.add(member, hash(member) & TAG, value)
        self.memory += rows.memory() + texts - self.pack_memory()
        self.clear_pack()
        self.rows = rows

    def pop(self, member: bytes) -> bool:
        """Remove a member; whether it was there."""
        at: cython.Py_ssize_t
        before: cython.Py_ssize_t
        rows: Rows | None = self.rows
        if rows is None:
            at = self.seek(member, self.paired)
            if at < 0:
                return False
            before = self.pack_memory()
            end: cython.Py_ssize_t = self.behind(at)
            if self.paired:
                end = self.behind(end)
            self.splice(at, end - at, 0)
            self.count -= 1
            self.memory += self.pack_memory() - before
            return True
        tag: cython.longlong = hash(member) & TAG
        at = rows.row_of(member, tag)
        if at < 0:
            return False
        before = rows.memory()
        if rows.values is not None:
            value: bytes = rows.values[at]
            before += text_memory(len(value))
        rows.take(at, tag)
        self.memory += rows.memory() - before - text_memory(len(member))
        return True

    @cython.cfunc
    def unpacked(self, first: cython.Py_ssize_t) -> Texts:
        """The packed members (`first` is 0) or their values (1). O(n)."""
        found: list[bytes] = []
        at: cython.Py_ssize_t = 0
        number: cython.Py_ssize_t = 0
        while at < self.size:
            if not self.paired or number == first:
                found.append(self.text(at))
            number = 1 - number
            at = self.behind(at)
        return found

    def listed(self) -> list[bytes]:
        """O(n)."""
        members: list[bytes] = self.unpacked(0) if self.rows is None else self.rows.members[:]
        return members

    def all_values(self) -> list[bytes]:
        """As `listed`. O(n)."""
        if not self.paired:
            return []
        values: list[bytes] = self.unpacked(1) if self.rows is None else (self.rows.values or [])[:]
        return values

    def as_dict(self) -> dict[bytes, bytes]:
        """Of a paired one. O(n)."""
        found: dict[bytes, bytes] = {}
        if self.rows is not None:
            return dict(zip(self.rows.members, self.rows.values or (), strict=True))
        at: cython.Py_ssize_t = 0
        while at < self.size:
            member: bytes = self.text(at)
            at = self.behind(at)
            found[member] = self.text(at)
            at = self.behind(at)
        return found

    def random(self, randomness: Random) -> bytes:
        """Any member, each as likely. For a table that is not empty."""
        member: bytes
        number: cython.Py_ssize_t = randomness.randrange(self.length())
        if self.rows is not None:
            member = self.rows.members[number]
            return member
        at: cython.Py_ssize_t = 0
        for _ in range(number * (2 if self.paired else 1)):
            at = self.behind(at)
        member = self.text(at)
        return member

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different members, in random order, or all. O(count)."""
        if count == 1 and self.length():
            return [self.random(randomness)]
        members = self.listed() if self.rows is None else self.rows.members
        if count >= len(members):
            return list(members)
        return randomness.sample(members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count).

        A member that is there throughout an iteration is returned at least once; if no other iteration asks meanwhile,
        exactly once. Packed ones come all at once.
        """
        if self.rows is None:
            return 0, self.listed()
        cursor, members = self.rows.scan(cursor, count)
        return cursor, members

    def copy(self) -> IndexedTable:
        """One that shares nothing that changes. O(n)."""
        other: IndexedTable = IndexedTable(bool(self.paired))
        other.copy_table(self)
        return other

    @cython.cfunc
    def copy_table(self, other: IndexedTable) -> None:
        """Take over what another has, to an empty one; they share nothing that changes. O(n)."""
        self.copy_pack(other)
        if other.rows is not None:
            self.rows = other.rows.copy()
        self.compact = other.compact
        self.memory = other.memory
        if self.rows is not None and other.rows is not None:
            # Rows that were copied have no spare room.
            self.memory += self.rows.memory() - other.rows.memory()

    def shed(self, count: int) -> int:
        """Remove some members of one that nobody will ask again; how many. O(count)."""
        if self.rows is not None:
            shed: int = self.rows.shed(count)
            return shed
        shed = self.count
        self.clear_pack()
        return shed

    def held(self) -> int:
        """As `memory`, without the object itself, by looking at all of it. O(n)."""
        if self.rows is None:
            return int(self.pack_memory())
        texts = [*self.rows.members, *(self.rows.values or ())]
        return int(self.rows.memory()) + sum(int(text_memory(len(text))) for text in texts)

    def check(self) -> None:
        """Assert every invariant. O(n)."""
        if self.rows is not None:
            self.rows.check()
            assert self.count == self.size == 0
            assert (self.rows.values is not None) == bool(self.paired)
            return
        members = self.listed()
        assert len(members) == self.count <= MOST
        assert len(set(members)) == self.count
        texts = members + (self.all_values() if self.paired else [])
        assert len(texts) == self.count * (2 if self.paired else 1)
        assert sum(1 + len(text) for text in texts) == self.size
        assert max(map(len, texts), default=0) <= LONGEST
        assert self.size <= LARGEST
