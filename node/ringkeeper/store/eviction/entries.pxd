# The fields, and what the engines call without going through Python.
from ringkeeper.store.eviction.residents cimport Residents


cdef class Chunk:
    cdef readonly bytearray data
    cdef readonly Py_ssize_t first
    cdef readonly Py_ssize_t last
    cdef readonly Py_ssize_t room
    cdef readonly long long bytes


cdef class Entries:
    cdef readonly Py_ssize_t count
    cdef readonly long long bytes
    cdef readonly Py_ssize_t memory
    cdef readonly object chunks
    cdef readonly Chunk head
    cdef readonly Chunk tail

    cdef void extend(self)
    cdef void advance(self)
    cpdef object push(self, unsigned long long ident, long long size)
    cpdef unsigned long long first(self)
    cpdef object pop(self, long long size)
    cdef void adopt(self, Entries other)


cdef class Queue:
    cdef readonly Residents residents
    cdef readonly int mark
    cdef int parity
    cdef readonly Entries swept
    cdef readonly Entries waiting
    cdef readonly Entries fresh
    cdef readonly bint sweeping
    cdef readonly unsigned long long ident
    cdef readonly int bits

    cpdef Py_ssize_t count(self)
    cpdef long long bytes(self)
    cdef Entries head(self)
    cpdef object push(self, unsigned long long ident, unsigned long long handle, int bits)
    cpdef unsigned long long first(self)
    cpdef object drop(self, unsigned long long handle)
    cpdef object begin_sweep(self)
    cpdef object sweep(self)
    cdef void sift(self)
