# What other compiled modules call without going through Python, and the fields of CPython's list.

cdef extern from "Python.h":
    ctypedef struct ListObject "PyListObject":
        Py_ssize_t allocated

ctypedef ListObject *ListPointer
ctypedef list Items

cpdef Py_ssize_t block_size(Py_ssize_t size) noexcept
cpdef Py_ssize_t usable_size(Py_ssize_t size) noexcept
cpdef Py_ssize_t text_memory(Py_ssize_t length) noexcept
cpdef Py_ssize_t list_memory(list items) noexcept
cpdef Py_ssize_t dict_memory(dict items) except? -1
