# The fields, and what commands call without going through Python.
cimport cython
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.zset_indexed cimport IndexedScores
from ringkeeper.types.zset_packed cimport PackedScores


@cython.no_gc
cdef class SortedSet(PackedScores):
    cdef readonly IndexedScores indexed
    cdef public long long memory
    cdef readonly Limits limits

    cdef object set_up(self, Limits limits)
    cdef void count_memory(self) noexcept
    cpdef Py_ssize_t length(self) noexcept
    cpdef object expect(self, Py_ssize_t count, Py_ssize_t longest)
    cpdef object score(self, bytes member)
    cpdef int add(self, bytes member, double score) except -1
    cdef double zero(self, bytes member, double score)
    cpdef bint remove(self, bytes member) except -1
    cpdef object rank(self, bytes member)
    cpdef Py_ssize_t rank_of_score(self, double score, bint after) except -1
    cpdef Py_ssize_t rank_of_member(self, bytes member, bint after) except -1
    cpdef object range(self, Py_ssize_t start, Py_ssize_t stop, int form=*)
    cpdef object remove_range(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef bint append(self, bytes member, double score) except -1
    cpdef object order(self, bint falling)
    cpdef IndexedScores form_index(self, Py_ssize_t width=*)


cpdef SortedSet new_sorted_set(Limits limits)
