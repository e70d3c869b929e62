# What other compiled modules call without going through Python.

from ringkeeper.types.collection cimport Limits
from ringkeeper.types.hash cimport Hash
from ringkeeper.types.list cimport List
from ringkeeper.types.packed cimport PackedTexts
from ringkeeper.types.set cimport Set
from ringkeeper.types.zset cimport SortedSet
from ringkeeper.types.zset_packed cimport PackedScores

ctypedef unsigned char[256] Numbers
ctypedef unsigned short[128] Offsets
ctypedef unsigned char[24] Digits
ctypedef unsigned long long Word
ctypedef list Texts


cdef class Entries:
    cdef bytes data
    cdef const unsigned char *start
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t counted
    cdef Py_ssize_t seen
    cdef const unsigned char *text
    cdef Py_ssize_t size
    cdef long long number
    cdef bint is_number
    cdef Digits digits

    cdef bint begin(self, bytes data) except -1
    cdef bint next(self) noexcept
    cdef Py_ssize_t body(self, Py_ssize_t at, int first) noexcept
    cdef bint ended(self) noexcept


cdef class Pack:
    cdef PackedScores scratch
    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t count
    cdef Py_ssize_t longest
    cdef Offsets offsets

    cdef void begin(self) noexcept
    cdef bint add(self, const unsigned char *text, Py_ssize_t size, bint is_member) noexcept
    cdef bint add_score(self, double score) noexcept
    cdef bint has_twins(self) noexcept
    cdef object give(self, PackedTexts value)


cdef Hash read_hash(bytes data, Limits limits)
cdef SortedSet read_sorted_set(bytes data, Limits limits)
cdef bint score_of(Entries entries, double *score) except -1
cdef bint follows(const unsigned char *before, const unsigned char *text, Py_ssize_t size) noexcept
cdef Set read_set(Texts members, Limits limits)
cdef bint add_chunk(List value, bytes data) except -1
cdef Py_ssize_t write_entry(unsigned char *to, const unsigned char *text, Py_ssize_t size) noexcept
