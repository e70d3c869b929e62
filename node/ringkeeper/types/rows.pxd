# The fields, and what the collections call without going through Python.
cimport cython

@cython.no_gc
cdef class IndexedRows:
    cdef readonly list members
    cdef long long *index
    cdef Py_ssize_t slots

    cdef void begin_rows(self)
    cdef Py_ssize_t row_of(self, bytes member, long long tag) noexcept
    cdef Py_ssize_t slot_of(self, Py_ssize_t row, long long tag) noexcept
    cdef void enter(self, long long entry) noexcept
    cdef void vacate(self, Py_ssize_t slot) noexcept
    cdef object append_row(self, bytes member, long long tag)
    cdef bint remove_row(self, Py_ssize_t row, long long tag)
    cdef void exchange(self, Py_ssize_t row, Py_ssize_t other)
    cdef object resize_index(self, Py_ssize_t slots)
    cdef object copy_rows(self, IndexedRows other)
    cdef Py_ssize_t rows_memory(self) noexcept
