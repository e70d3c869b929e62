# What other compiled modules call without going through Python.

ctypedef unsigned int[32768] Places

cdef Py_ssize_t compress_into(const unsigned char *text, Py_ssize_t size, unsigned char *made, Py_ssize_t room) noexcept


cdef class Unpacker:
    cdef bytes text
    cdef object grown
    cdef Py_ssize_t size
    cdef Py_ssize_t at

    cpdef object begin(self, Py_ssize_t size)
    cpdef Py_ssize_t feed(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -2
    cpdef bytes finish(self)
