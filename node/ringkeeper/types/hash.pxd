# The fields, and what commands call without going through Python.
cimport cython
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.indexed cimport IndexedTable


@cython.no_gc
cdef class Hash(IndexedTable):
    cdef readonly dict expiries
    cdef readonly list queue
    cdef readonly Limits limits

    cdef Py_ssize_t expiring_memory(self)
    cdef Py_ssize_t queued_memory(self)

    cpdef bint set(self, bytes field, bytes value) except -1
    cpdef bint delete(self, bytes field) except -1
    cpdef bint persist(self, bytes field) except -1
