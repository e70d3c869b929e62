"""Puts what an RDB file holds into the keyspaces, some records at a time."""

from __future__ import annotations

import cython

from ringkeeper.persist.rdb import Damaged, Record

if not cython.compiled:
    from ringkeeper.persist.rdb import RdbReader
    from ringkeeper.store.keyspace import Keyspace
else:
    from cython.cimports.ringkeeper.persist.rdb import RdbReader  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]


@cython.final
@cython.cclass
class Loader:
    """Loads a file into empty databases. Keys whose time has come are left out, unless the databases follow a log."""

    def __init__(self, reader: RdbReader, databases: list[Keyspace]) -> None:
        self.reader = reader
        self.databases = databases
        self.loaded = 0
        """Keys."""
        self.expired = 0
        """Keys that were left out since their time had come."""
        self.announced = 0
        """Keys of which the file has told so far that it holds them."""
        self.aux: dict[bytes, bytes] = {}
        self.passed: list[str] = []
        """What was passed over, with its key."""

    def some(self, records: cython.Py_ssize_t) -> bool:
        """Load so many records at most; False at the file's end. Raises `Damaged`."""
        kind: cython.int
        for _ in range(records):
            kind = self.reader.next()
            if kind == 1:
                self._entry()
            elif kind == Record.END:
                return False
            elif kind == Record.AUX:
                self.aux[self.reader.key] = self.reader.value
            elif kind == Record.SIZES:
                self.announced += self.reader.value[0]
            else:
                self.passed.append(f"{self.reader.value} {self.reader.key[:100]!r}")
        return True

    def _entry(self) -> None:
        reader: RdbReader = self.reader
        keyspace: Keyspace
        if reader.database >= len(self.databases):
            count = len(self.databases)
            raise Damaged(reader.began, f"key {reader.key!r} is of database {reader.database}, and there are {count}")
        keyspace = self.databases[reader.database]
        if reader.expires_at != -1 and reader.expires_at <= keyspace.clock.now_ms:
            self.expired += 1
            return
        idle: cython.longlong = max(reader.idle_ms, 0)
        if not keyspace.load_new(reader.key, reader.value, reader.expires_at, idle, reader.frequency):
            raise Damaged(reader.began, f"key {reader.key!r} is there twice")
        self.loaded += 1
