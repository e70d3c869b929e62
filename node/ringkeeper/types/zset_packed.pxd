# The fields, and what sorted sets call without going through Python.
cimport cython
from ringkeeper.types.packed cimport PackedTexts


@cython.no_gc
cdef class PackedScores(PackedTexts):
    cdef double score_at(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t write_score(self, Py_ssize_t at, double score) noexcept
    cdef bint precedes(self, Py_ssize_t at, bytes member, bint after) noexcept
    cdef Py_ssize_t place(self, double score, bytes member, bint after) noexcept
    cdef Py_ssize_t lower(self, double score, bint after) noexcept
    cdef Py_ssize_t rank_at(self, Py_ssize_t end) noexcept
    cdef Py_ssize_t offset_of(self, Py_ssize_t rank) noexcept
    cdef bint fits(self, Py_ssize_t at, bytes member) noexcept
    cdef int put(self, Py_ssize_t at, bytes member, double score) except -1
    cdef int change(self, Py_ssize_t at, bytes member, double score) except -1
    cdef void move_entry(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t to) noexcept
    cdef bint take(self, Py_ssize_t at) except -1
    cdef object cut(self, Py_ssize_t start, Py_ssize_t stop)
    cdef object packed_range(self, Py_ssize_t start, Py_ssize_t stop, int form)
