# What other compiled modules call without going through Python.

cdef extern from "Python.h":
    ctypedef struct PyByteArrayObject:
        Py_ssize_t ob_alloc
        char *ob_bytes
        char *ob_start
        Py_ssize_t ob_exports

    void Py_SET_SIZE(object array, Py_ssize_t size)

ctypedef PyByteArrayObject *ByteArray


cpdef int write(bytearray out, object value, int protocol) except -1
cpdef int write_command(bytearray out, list args) except -1
cpdef object clear(bytearray out, Py_ssize_t most_kept=*)
