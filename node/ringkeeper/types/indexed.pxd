# The fields, and what the collections and commands call without going through Python.
cimport cython
from ringkeeper.types.packed cimport PackedTexts
from ringkeeper.types.rows cimport IndexedRows


@cython.no_gc
cdef class Rows(IndexedRows):
    cdef readonly list values
    cdef Py_ssize_t cursor
    cdef Py_ssize_t border

    cdef object add(self, bytes member, long long tag, bytes value)
    cdef object take(self, Py_ssize_t row, long long tag)
    cdef Py_ssize_t memory(self) noexcept


@cython.no_gc
cdef class IndexedTable(PackedTexts):
    cdef readonly Rows rows
    cdef public long long memory

    cdef void begin_table(self, bint paired)
    cdef Py_ssize_t length(self)
    cdef bint fits(self, Py_ssize_t at, bytes member, bytes value) noexcept
    cdef bint put_packed(self, Py_ssize_t at, bytes member, bytes value)
    cdef bint put_in_rows(self, Rows rows, bytes member, bytes value)
    cdef object form_rows(self)
    cdef object unpacked(self, Py_ssize_t first)
    cdef object copy_table(self, IndexedTable other)

    cpdef bint has(self, bytes member) except -1
    cpdef bytes get(self, bytes member)
    cpdef bint put(self, bytes member, bytes value) except -1
    cpdef bint pop(self, bytes member) except -1
