# The fields, and what sessions' turns call without going through Python.
from ringkeeper.store.keyspace cimport Clock


cdef class NodeTime:
    cdef readonly Clock clock
    cdef readonly long long anchor
    cdef readonly long long base
    cdef readonly long long difference
    cdef readonly long long suspended
    cdef readonly long long wall_ahead

    cpdef long long at(self, long long monotonic) noexcept
    cpdef object advance(self, long long monotonic)
