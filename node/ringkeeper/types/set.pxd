# The fields, and what commands call without going through Python.
cimport cython
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.indexed cimport IndexedTable


@cython.no_gc
cdef class Set(IndexedTable):
    cdef readonly Limits limits
    cdef readonly str encoding

    cpdef bint add(self, bytes member) except -1
    cpdef bint remove(self, bytes member) except -1
    cpdef object choose_encoding(self, bytes added)
