# The fields, and what sorted sets call without going through Python.

cdef class Node:
    cdef Py_ssize_t width
    cdef bint leaf
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef double *scores
    cdef long long *sizes
    cdef list members
    cdef list children

    cdef object begin(self, Py_ssize_t width, bint leaf)
    cdef Py_ssize_t place(self, double score, bytes member, bint after) noexcept
    cdef Py_ssize_t place_of_score(self, double score, bint after) noexcept
    cdef Py_ssize_t before(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t total(self) noexcept
    cdef Py_ssize_t own(self) noexcept
    cdef Py_ssize_t whole(self)
    cdef object reserve(self, Py_ssize_t count)
    cdef object insert(self, Py_ssize_t at, double score, bytes member, Node child)
    cdef object delete(self, Py_ssize_t start, Py_ssize_t stop)
    cdef object append(self, Node other, Py_ssize_t start)
    cdef Node split(self, Py_ssize_t at)
    cdef Node add(self, Py_ssize_t at, double score, bytes member, Node child)
    cdef Node put(self, double score, bytes member)
    cdef object take(self, double score, bytes member)
    cdef object cut(self, Py_ssize_t start, Py_ssize_t stop)
    cdef object mend(self, Py_ssize_t at)
    cdef object collect(self, Py_ssize_t start, Py_ssize_t stop, int form, object found)
    cdef Node copy(self)


cdef class CountedTree:
    cdef Node root
    cdef readonly long long memory

    cdef object begin(self, Py_ssize_t width)
    cpdef object add(self, double score, bytes member)
    cpdef object remove(self, double score, bytes member)
    cpdef object move(self, double old, bytes member, double score)
    cpdef object remove_range(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef Py_ssize_t rank(self, double score, bytes member, bint after) except -1
    cpdef Py_ssize_t rank_of_score(self, double score, bint after) except -1
    cpdef object range(self, Py_ssize_t start, Py_ssize_t stop, int form)
    cdef object lower(self)


cpdef CountedTree new_tree(Py_ssize_t width)
