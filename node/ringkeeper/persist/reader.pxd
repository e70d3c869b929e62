# The fields, and what other compiled modules call without going through Python.


cdef class Reader:
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
    cdef _window(self, Py_ssize_t count)
    cdef bytes _long(self, Py_ssize_t count)
    cpdef bytes take(self, Py_ssize_t count)
    cpdef int byte(self) except -1
    cpdef object length(self)
    cdef object _length_behind(self, int first)
    cpdef Py_ssize_t count(self, Py_ssize_t least=*) except -1
    cpdef bytes string(self)
    cdef bytes _taken(self, object length)
    cdef bytes _compressed(self)
