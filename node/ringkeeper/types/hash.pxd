# The fields, and what commands call without going through Python.
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.indexed cimport IndexedTable


cdef class Hash:
    cdef readonly IndexedTable table
    cdef readonly dict expiries
    cdef readonly list queue
    cdef public long long memory
    cdef readonly Limits limits
    cdef readonly bint compact

    cpdef object get(self, bytes field)
    cpdef bint set(self, bytes field, bytes value) except -1
    cpdef bint delete(self, bytes field) except -1
    cpdef bint persist(self, bytes field) except -1
