# The fields, and what commands call without going through Python.
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.indexed cimport IndexedTable


cdef class Set:
    cdef readonly IndexedTable table
    cdef public long long memory
    cdef readonly Limits limits
    cdef readonly str encoding

    cpdef bint add(self, bytes member) except -1
    cpdef bint remove(self, bytes member) except -1
    cpdef object choose_encoding(self, bytes added)
