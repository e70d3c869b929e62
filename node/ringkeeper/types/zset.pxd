# The fields, and what commands call without going through Python.
cimport cython
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.rows cimport IndexedRows
from ringkeeper.types.zset_tree cimport CountedTree


@cython.no_gc
cdef class SortedSet(IndexedRows):
    cdef readonly CountedTree tree
    cdef double *scores
    cdef Py_ssize_t room
    cdef public long long memory
    cdef readonly Limits limits
    cdef readonly bint compact

    cdef object begin(self, Limits limits, Py_ssize_t width)
    cpdef object expect(self, Py_ssize_t count, Py_ssize_t longest)
    cpdef object score(self, bytes member)
    cpdef int add(self, bytes member, double score) except -1
    cpdef bint remove(self, bytes member) except -1
    cpdef object rank(self, bytes member)
    cpdef Py_ssize_t rank_of_score(self, double score, bint after) except -1
    cpdef Py_ssize_t rank_of_member(self, bytes member, bint after) except -1
    cpdef object range(self, Py_ssize_t start, Py_ssize_t stop, int form=*)
    cpdef object remove_range(self, Py_ssize_t start, Py_ssize_t stop)
    cdef Py_ssize_t structure(self)
    cdef object append_scored(self, bytes member, long long tag, double score)
    cdef object remove_scored(self, Py_ssize_t row, long long tag)
    cdef object reserve(self, Py_ssize_t room)


cpdef SortedSet new_sorted_set(Limits limits)
