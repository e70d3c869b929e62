# What other compiled modules call without going through Python.

from cpython.object cimport PyObject
from ringkeeper.persist.writer cimport Writer
from ringkeeper.types.chunk cimport Chunk
from ringkeeper.types.hash cimport Hash
from ringkeeper.types.list cimport List
from ringkeeper.types.set cimport Set
from ringkeeper.types.zset cimport SortedSet
from ringkeeper.types.zset_tree cimport Node

cdef extern from "Python.h":
    ctypedef struct ListObject "PyListObject":
        PyObject **ob_item

ctypedef ListObject *ListPointer
ctypedef PyObject *Pointer
ctypedef const void *Place


cdef class Listpack:
    cdef unsigned char *data
    cdef Py_ssize_t used
    cdef Py_ssize_t room
    cdef Py_ssize_t count

    cdef int begin(self) except -1
    cdef int reserve(self, Py_ssize_t count) except -1
    cdef int add(self, const unsigned char *text, Py_ssize_t size) except -1
    cdef int add_integer(self, long long number) except -1
    cdef int add_score(self, double score) except -1
    cdef void end_entry(self, Py_ssize_t size) noexcept
    cdef int write_to(self, Writer out) except -1


cdef Listpack maker_of(Writer out)
cdef int write_list(Writer out, List value) except -1
cdef int write_chunk(Writer out, Chunk chunk) except -1
cdef int write_set(Writer out, Set value) except -1
cdef int write_intset(Writer out, Set value) except -1
cdef int by_value(Place first, Place second) noexcept nogil
cdef int write_expiring_hash(Writer out, Hash value) except -1
cdef int write_hash(Writer out, Hash value, bint packed) except -1
cdef int write_sorted_set(Writer out, SortedSet value, bint packed) except -1
cdef int write_node(Writer out, Node node) except -1
cdef int write_node_packed(Listpack maker, Node node) except -1
