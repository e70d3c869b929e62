# The fields, and what other compiled modules call without going through Python.


cdef class Writer:
    cdef object write
    cdef readonly bint compressing
    cdef readonly bint summing
    cdef bytearray out
    cdef unsigned char *data
    cdef Py_ssize_t used
    cdef Py_ssize_t room
    cdef unsigned char *scratch
    cdef Py_ssize_t scratch_room
    cdef object maker
    cdef readonly unsigned long long sum
    cdef readonly long long written

    cdef object reserve(self, Py_ssize_t count)
    cdef object reserve_scratch(self, Py_ssize_t count)
    cdef Py_ssize_t pack(self, const unsigned char *text, Py_ssize_t start, Py_ssize_t size) except -1
    cdef bint put_integer(self, const unsigned char *text, Py_ssize_t size) except -1
    cdef bint put_compressed(self, const unsigned char *text, Py_ssize_t size) except -1

    cpdef object byte(self, int byte)
    cdef object raw(self, const unsigned char *text, Py_ssize_t size)
    cpdef object length(self, unsigned long long length)
    cdef object string(self, const unsigned char *text, Py_ssize_t size)
    cpdef object text(self, bytes text)
    cdef bint integer(self, long long number) except -1
    cpdef object double(self, double number)
    cpdef object milliseconds(self, long long time)
    cpdef object checksum(self)
    cpdef object hand_on(self)
    cpdef bytes whole(self)
