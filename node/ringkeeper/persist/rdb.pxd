# The fields, and what other compiled modules call without going through Python.

from ringkeeper.persist.reader cimport Reader


cdef class RdbReader:
    cdef readonly Reader reader
    cdef object limits
    cdef bint passing
    cdef readonly int version
    cdef readonly object database
    cdef readonly bytes key
    cdef readonly object value
    cdef readonly long long expires_at
    cdef readonly long long idle_ms
    cdef readonly int frequency
    cdef readonly long long began
    cdef readonly long long empty
    cdef readonly bint checked
    cdef str doing

    cpdef int next(self) except -1
    cdef int _next(self) except -1
    cdef int _entry(self, int form) except -1
    cdef int _special(self, int opcode) except -1


cdef class RdbWriter:
    cdef object write
    cdef bytearray out
    cdef object sum
    cdef readonly long long written

    cpdef entry(self, bytes key, object value, long long expires_at=*, long long idle_ms=*, int frequency=*)
    cdef _hand_on(self)
