# The fields, and what other compiled modules call without going through Python.

cdef struct Place:
    int start
    int length
    int number
    int child
    int children


cdef class Namespaces:
    cdef readonly tuple items
    cdef public long long steps
    cdef bytes labels
    cdef bytes storage
    cdef Place *nodes
    cdef int first[256]

    cdef int child_of(self, int node, int byte) noexcept

    cpdef int match(self, bytes key)
    cdef int match_at(self, const unsigned char *key, Py_ssize_t length) noexcept
