# The fields.
from ringkeeper.store.keyspace cimport Keyspace
from ringkeeper.store.table cimport Found, Record


cdef class Pool:
    cdef readonly str policy
    cdef readonly bint volatile
    cdef readonly int measure
    cdef readonly bint queued
    cdef list scores
    cdef list keys

    cdef long long score(self, Keyspace keyspace, Record record)
    cdef void offer(self, Keyspace keyspace, Record record)


cdef class Evictor:
    cdef list databases
    cdef public long long max_memory
    cdef public int samples
    cdef Pool pool
    cdef dict pools
    cdef set stuck
    cdef public long long overhead

    cdef long long used(self)
    cdef bint _evict_any(self)
    cdef bint _evict_by_chance(self)
    cdef Keyspace fullest(self)
    cdef bint _evict_queued(self, Py_ssize_t scope)
    cdef bint _fill(self)
    cdef bint _evict_best(self, Pool pool, Py_ssize_t space)
    cdef long long _relieve(self, Keyspace keyspace, long long most)
    cdef bint _evict_of(self, Py_ssize_t space, str policy)
    cdef Found _draw(self, Keyspace keyspace, Py_ssize_t space, bint volatile)
