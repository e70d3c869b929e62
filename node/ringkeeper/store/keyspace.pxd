# The fields, and what other compiled modules call without going through Python.

from ringkeeper.store.namespaces cimport Namespaces
from ringkeeper.store.table cimport Found, Record, Table



cdef class Clock:
    cdef public long long now_ms


cdef class Keyspace:
    cdef readonly int index
    cdef public Clock clock
    cdef readonly Clock wall
    cdef readonly bint following
    cdef public bint hiding
    cdef public object random
    cdef public long long dirty
    cdef public long long hits
    cdef public long long misses
    cdef public long long expired
    cdef public long long freed
    cdef readonly Table table
    cdef readonly dict expiring
    cdef list trash
    cdef bytes last_key
    cdef Py_ssize_t last_slot
    cdef public bint touching
    cdef public list changes
    cdef public bint announcing
    cdef public list purged
    cdef public long long evicted
    cdef readonly Namespaces namespaces
    cdef readonly bint has_spaces
    cdef readonly tuple rules
    cdef public list siblings
    cdef readonly dict over
    cdef public long long largest
    cdef readonly object label_cursor
    cdef Namespaces wanted
    cdef bytes wanted_counting
    cdef public bytes counting
    cdef readonly list scopes
    cdef readonly list engines
    cdef object wanted_engines
    cdef public object hidden
    cdef public long long lfu_log_factor
    cdef public long long lfu_decay_minutes

    cdef Py_ssize_t _slot(self, bytes key)
    cdef Found _alive(self, bytes key, Py_ssize_t slot)
    cdef Found _find(self, bytes key, Py_ssize_t slot)
    cdef long long _tick(self) noexcept
    cdef void _expire(self, bytes key, Py_ssize_t slot, Record record)
    cdef Found _read(self, bytes key)
    cdef object _string(self, Found record)
    cdef object _collection(self, Found record, object kind)
    cdef Found _record(self, bytes key)
    cdef long long _idle(self, long long used_at) noexcept
    cdef void _changed(self, bytes key, str event)
    cdef bint _make_way(self, bytes key)
    cdef void _discard(self, object value)
    cdef void _settle(self)
    cdef void _touch(self, Record record)
    cdef void _count_use(self, Record record, int how)
    cdef void _tell_engine(self, Record record)
    cdef int _frequency(self, Record record)
    cdef Record _store_governed(self, bytes key, object value, long long expires_at)
    cdef Py_ssize_t _space(self, bytes key)
    cdef long long _governed(self, Py_ssize_t space, long long expires_at)
    cdef void _weigh(self, Py_ssize_t space)
    cdef Record _put(self, bytes key, object value, long long expires_at)
    cdef void evict(self, Record record, Py_ssize_t slot)
    cdef Record _store(self, bytes key, object value, long long expires_at)
    cdef void _drop(self, Record record, Py_ssize_t slot)

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
    cpdef object increment(self, bytes key, long long number)
    cpdef object edited(self, bytes key, object value, str event, long long changes=*)
    cpdef bint load_new(self, bytes key, object value, long long expires_at, long long idle_ms=*, int frequency=*) except -1
    cpdef bint delete(self, bytes key, str event=*)
