# The fields, and what commands call without going through Python.
from ringkeeper.types.chunk cimport Chunk
from ringkeeper.types.collection cimport Limits


cdef class List:
    cdef Chunk first
    cdef Chunk last
    cdef Py_ssize_t count
    cdef public long long memory
    cdef readonly Limits limits
    cdef readonly bint compact
    cdef int limit

    cdef object push_one(self, bytes element, bint left)
    cdef object put_into(self, Chunk chunk, Py_ssize_t offset, bytes element)
    cdef void link(self, Chunk chunk, Chunk before)
    cdef void unlink(self, Chunk chunk)
    cdef void close(self, Chunk chunk) noexcept
    cdef void relax(self, Chunk chunk) noexcept
    cdef bytes pop_one(self, bint left)
    cdef void take_apart(self) noexcept
    cdef void drop(self, Py_ssize_t count, bint left)
    cdef object locate(self, Py_ssize_t index)
    cdef object bounds(self, start, stop)
    cdef object replace(self, Chunk chunk, Py_ssize_t number, bytes element)
    cdef bint remove_at(self, Chunk chunk, Py_ssize_t number)
    cdef Chunk new_chunk(self, bytes element)
    cdef bint has_room(self, Chunk chunk, Py_ssize_t length)
    cdef object insert_at(self, Chunk chunk, Py_ssize_t number, bytes element, bint after)
    cdef object split(self, Chunk chunk, Py_ssize_t cut, bytes element, bint after)
    cdef void join_around(self, Chunk chunk)
    cdef bint join(self, Chunk chunk)
    cdef void make_room(self, object elements, Py_ssize_t start)
    cdef void shrink(self) noexcept
    cdef bytes encode(self, Chunk chunk, Py_ssize_t number, Py_ssize_t count)

    cpdef object push(self, list elements, bint left, Py_ssize_t start=*)
    cpdef bytes pop(self, bint left)
    cpdef bytes rotate(self, bint from_left, bint to_left)
