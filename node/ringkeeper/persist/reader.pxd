# The fields, and what other compiled modules call without going through Python.

from ringkeeper.persist.lzf cimport Unpacker


cdef class Reader:
    cdef Unpacker unpacker
    cdef public bint summing
    cdef bytes data
    cdef Py_ssize_t position
    cdef Py_ssize_t end
    cdef readonly long long offset
    cdef readonly long long total
    cdef object source
    cdef public long long room
    cdef unsigned long long sum
    cdef Py_ssize_t summed

    cpdef object checksum(self)
    cdef object _add_up(self, bytes data, Py_ssize_t start, Py_ssize_t end)
    cdef _window(self, Py_ssize_t count)
    cdef bytes _long(self, Py_ssize_t count)
    cpdef bytes take(self, Py_ssize_t count)
    cpdef int byte(self) except -1
    cdef unsigned long long fixed(self, Py_ssize_t width, bint from_highest) except? 1
    cpdef object length(self)
    cdef unsigned long long length_behind(self, int first) except? 1
    cdef unsigned long long bytes_left(self) noexcept
    cpdef Py_ssize_t count(self, Py_ssize_t least=*) except -1
    cpdef bytes string(self)
    cdef bytes _integer(self, Py_ssize_t width)
    cdef bytes _taken(self, unsigned long long length)
    cdef bytes _compressed(self)
    cpdef double double(self) except? -1
    cpdef Py_ssize_t milliseconds(self) except? -2
