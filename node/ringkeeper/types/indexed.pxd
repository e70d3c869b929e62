# The fields, and what the collections call without going through Python.

cdef class IndexedTable:
    cdef readonly dict places
    cdef readonly list members
    cdef readonly list values
    cdef Py_ssize_t cursor
    cdef Py_ssize_t border

    cdef void form_row(self)
    cdef void move(self, Py_ssize_t source, Py_ssize_t target)

    cpdef object get(self, bytes member)
    cpdef object put(self, bytes member, object value)
    cdef bint enter(self, bytes member)
    cpdef object pop(self, bytes member)
