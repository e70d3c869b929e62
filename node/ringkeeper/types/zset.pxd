# The fields, and what commands call without going through Python.
from ringkeeper.types.collection cimport Limits
from ringkeeper.types.zset_tree cimport CountedTree


cdef class SortedSet:
    cdef readonly CountedTree tree
    cdef list members
    cdef double *scores
    cdef Py_ssize_t room
    cdef long long *index
    cdef Py_ssize_t slots
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
    cdef Py_ssize_t row_of(self, bytes member, long long tag) noexcept
    cdef Py_ssize_t slot_of(self, Py_ssize_t row, long long tag) noexcept
    cdef void enter(self, long long entry) noexcept
    cdef void vacate(self, Py_ssize_t slot) noexcept
    cdef object append_row(self, bytes member, long long tag, double score)
    cdef object remove_row(self, Py_ssize_t row, long long tag)
    cdef object reserve(self, Py_ssize_t room)
    cdef object resize_index(self, Py_ssize_t slots)


cpdef SortedSet new_sorted_set(Limits limits)
