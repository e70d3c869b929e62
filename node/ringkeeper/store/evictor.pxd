# The fields.
from ringkeeper.store.keyspace cimport Keyspace
from libc.stdint cimport uint64_t
from ringkeeper.store.table cimport Found, Record, Table


cdef class Pool:
    cdef readonly str policy
    cdef readonly bint volatile
    cdef readonly int measure
    cdef readonly bint queued
    cdef int count
    cdef long long scores[16]
    cdef uint64_t handles[16]
    cdef uint64_t marks[16]
    cdef int bases[16]

    cdef long long score(self, Keyspace keyspace, Record record) noexcept
    cdef int place_for(self, long long score) noexcept
    cdef void put(self, int place, int base, unsigned long long handle, unsigned long long mark) noexcept
    cdef void move(self, int source, int target) noexcept


cdef class Evictor:
    cdef list databases
    cdef public long long max_memory
    cdef public int samples
    cdef Pool pool
    cdef dict pools
    cdef set stuck
    cdef public long long overhead

    cdef long long total
    cdef int fullest
    cdef int occupied
    cdef long long rest

    cdef long long used(self)
    cdef long long used_by(self, Keyspace keyspace)
    cdef bint _survey(self) noexcept
    cdef bint _remove(self, Keyspace keyspace, unsigned long long handle, unsigned long long mark)
    cdef bint _evict_any(self)
    cdef bint _evict_by_chance(self)
    cdef bint _evict_queued(self, Py_ssize_t scope)
    cdef bint _fill(self)
    cdef bint _offer_some(self, Keyspace keyspace, int base)
    cdef bint _evict_best(self, Pool pool, Py_ssize_t space)
    cdef long long _relieve(self, Keyspace keyspace, long long most)
    cdef bint _evict_of(self, Py_ssize_t space, str policy)
    cdef bint _offer_one(self, Pool pool, Keyspace keyspace, int base, Py_ssize_t space)
    cdef Found _draw(self, Keyspace keyspace, Py_ssize_t space, bint volatile)
