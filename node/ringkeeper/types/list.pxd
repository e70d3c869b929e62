# The fields, and what commands call without going through Python.
from ringkeeper.types.collection cimport Limits


cdef class Chunk:
    cdef readonly list elements
    cdef readonly Py_ssize_t size
    cdef readonly bint plain


cdef class List:
    cdef readonly object chunks
    cdef Py_ssize_t count
    cdef public long long memory
    cdef readonly Limits limits
    cdef readonly bint compact
    cdef Py_ssize_t limit

    cdef void push_one(self, bytes element, bint left)
    cdef void put_into(self, Chunk chunk, Py_ssize_t offset, bytes element)
    cdef void enter_chunk(self, Py_ssize_t position, Chunk chunk)
    cdef void leave_chunk(self, Py_ssize_t position)
    cdef Py_ssize_t row_memory(self)
    cdef void drop_empty_chunks(self)
    cdef bytes pop_one(self, bint left)
    cdef void clear(self)
    cdef void drop(self, Py_ssize_t count, bint left)
    cdef Chunk end_chunk(self, bint left)
    cdef object locate(self, Py_ssize_t index)
    cdef object bounds(self, start, stop)
    cdef void replace(self, Py_ssize_t position, Py_ssize_t offset, bytes element)
    cdef bint remove_at(self, Py_ssize_t position, Py_ssize_t offset)
    cdef Chunk new_chunk(self, bytes element)
    cdef bint has_room(self, Chunk chunk, Py_ssize_t length)
    cdef void insert_at(self, Py_ssize_t position, Py_ssize_t offset, bytes element, bint after)
    cdef void split(self, Py_ssize_t position, Py_ssize_t cut, bytes element, bint after)
    cdef void join_around(self, Py_ssize_t position)
    cdef bint join(self, Py_ssize_t position)
    cdef void make_room(self, object elements, Py_ssize_t start)
    cdef void shrink(self)

    cpdef object push(self, list elements, bint left, Py_ssize_t start=*)
    cpdef bytes pop(self, bint left)
    cpdef bytes rotate(self, bint from_left, bint to_left)
