# The fields, and what the engines call without going through Python.
from ringkeeper.store.eviction.lines cimport Lines


cdef class Sketch:
    cdef readonly Lines lines
    cdef readonly int epoch
    cdef readonly long long additions
    cdef readonly long long period

    cdef Py_ssize_t refreshed(self, bytearray chunk, Py_ssize_t number) noexcept
    cdef void shrink(self)
    cpdef bint fit(self, long long count)
    cpdef object add(self, unsigned long long ident)
    cpdef int estimate(self, unsigned long long ident)
