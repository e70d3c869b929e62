# The fields, and what ghost and sketch call without going through Python.

cpdef unsigned long long mixed(unsigned long long ident)


cdef class Lines:
    cdef readonly list chunks
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t mask

    cdef Py_ssize_t place(self, unsigned long long hash_) noexcept
    cdef bytearray chunk(self, Py_ssize_t number)
    cdef Py_ssize_t offset(self, Py_ssize_t number) noexcept
    cdef Py_ssize_t buddy(self) noexcept
    cpdef object add(self)
    cpdef object remove(self)
