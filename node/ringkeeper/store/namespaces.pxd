# The fields, and what other compiled modules call without going through Python.

cdef class Namespaces:
    cdef readonly tuple items
    cdef public long long steps
    cdef bytes labels
    cdef object storage
    cdef int *cells
    cdef int first[256]

    cdef int child(self, int node, int byte) noexcept

    cpdef int match(self, bytes key)
    cdef int match_at(self, const unsigned char *key, Py_ssize_t length) noexcept
