# The fields, and what the engines call without going through Python.
from ringkeeper.store.eviction.lines cimport Lines


cdef class Ghost:
    cdef readonly Lines lines
    cdef readonly long long capacity
    cdef readonly unsigned char now
    cdef long long pending
    cdef long long step
    cdef int window

    cdef bint is_fresh(self, int fingerprint, int age) noexcept
    cdef void put(self, bytearray chunk, Py_ssize_t at, int fingerprint, int age) noexcept
    cdef void shrink(self)
    cpdef bint fit(self, long long capacity)
    cpdef object add(self, unsigned long long ident)
    cpdef bint take(self, unsigned long long ident)
