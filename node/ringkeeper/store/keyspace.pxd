# The fields, and what other compiled modules call without going through Python.

cdef class Clock:
    cdef public long long now_ms


cdef class Entry:
    cdef public object value
    cdef long long size
    cdef public long long expires_at
    cdef public long long used_at


cdef class Keyspace:
    cdef readonly int index
    cdef public Clock clock
    cdef public object random
    cdef public long long dirty
    cdef public long long hits
    cdef public long long misses
    cdef public long long expired
    cdef public long long freed
    cdef public long long used_bytes
    cdef public long long size
    cdef public long long volatile
    cdef list tables
    cdef list volatile_keys
    cdef readonly dict expiring
    cdef list trash
    cdef bytes last_key
    cdef Py_ssize_t last_slot
    cdef public bint touching
    cdef Py_ssize_t sweep_slot
    cdef public list changes

    cdef Py_ssize_t _slot(self, bytes key)
    cdef Entry _find(self, bytes key, Py_ssize_t slot)
    cdef void _expire(self, bytes key, Py_ssize_t slot)
    cdef Entry _read(self, bytes key)
    cdef Entry _entry(self, bytes key, Py_ssize_t slot)
    cdef void _record(self, bytes key, str event)
    cdef long long _free_table(self, object table, long long count)
    cdef void _discard(self, object value)
    cdef Entry _store(self, bytes key, Py_ssize_t slot, object value)
    cdef object _drop(self, bytes key, Py_ssize_t slot)
    cdef void _set_expiry(self, bytes key, Py_ssize_t slot, Entry entry, long long at)
    cdef void _clear_expiry(self, bytes key, Py_ssize_t slot, Entry entry)

    cpdef object read(self, bytes key)
    cpdef object read_string(self, bytes key)
    cpdef object read_as(self, bytes key, object kind)
    cpdef object peek(self, bytes key)
    cpdef object peek_string(self, bytes key)
    cpdef object peek_as(self, bytes key, object kind)
    cpdef object note(self, bytes key, str event)
    cpdef object announce(self, bytes key, str event)
    cpdef object set(self, bytes key, object value, long long expires_at=*, str event=*)
    cpdef object update(self, bytes key, object value, str event=*)
    cpdef object edited(self, bytes key, object value, str event, long long changes=*)
    cpdef bint delete(self, bytes key, str event=*)
