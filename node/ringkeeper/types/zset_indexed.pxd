# The fields, and what sorted sets call without going through Python.
cimport cython
from ringkeeper.types.rows cimport IndexedRows
from ringkeeper.types.zset_tree cimport CountedTree


@cython.no_gc
cdef class IndexedScores(IndexedRows):
    cdef readonly CountedTree tree
    cdef double *scores
    cdef Py_ssize_t room
    cdef readonly long long memory

    cdef object begin(self, Py_ssize_t width)
    cdef bint has(self, bytes member) except -1
    cdef object score(self, bytes member)
    cdef int add(self, bytes member, double score) except -1
    cdef bint append(self, bytes member, double score) except -1
    cdef object order(self, bint falling)
    cdef bint remove(self, bytes member) except -1
    cdef Py_ssize_t rank(self, bytes member) except -2
    cdef object remove_range(self, Py_ssize_t start, Py_ssize_t stop)
    cdef Py_ssize_t structure(self) noexcept
    cdef object append_scored(self, bytes member, long long tag, double score)
    cdef object remove_scored(self, Py_ssize_t row, long long tag)
    cdef object reserve(self, Py_ssize_t room)
    cdef IndexedScores copy(self)


cdef IndexedScores new_indexed(Py_ssize_t width)
