# The fields, and what other compiled modules call without going through Python.

from ringkeeper.persist.reader cimport Reader
from ringkeeper.persist.writer cimport Writer
from ringkeeper.store.keyspace cimport Keyspace
from ringkeeper.store.table cimport ViewPointer, Visitor


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
    cdef bint in_value

    cpdef int next(self) except -1
    cdef int _next(self) except -1
    cdef int _entry(self, int form) except -1
    cdef int _special(self, int opcode) except -1


cdef class RdbWriter(Visitor):
    cdef readonly Writer out
    cdef Keyspace keyspace
    cdef bint idle_times
    cdef bint frequencies
    cdef readonly long long done
    cdef object told

    cdef int _describe(self, long long expires_at, long long idle_ms, int frequency) except -1
    cdef int _count(self) except -1
    cdef int visit(self, ViewPointer view) except -1
    cpdef entry(self, bytes key, object value, long long expires_at=*, long long idle_ms=*, int frequency=*)
