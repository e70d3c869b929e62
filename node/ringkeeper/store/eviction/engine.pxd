# The fields, and what a keyspace calls without going through Python.
from ringkeeper.store.eviction.entries cimport Queue
from ringkeeper.store.eviction.residents cimport Residents


cdef class Engine:
    cdef readonly Residents residents
    cdef readonly list queues
    cdef int slack
    cdef readonly unsigned long long ident
    cdef Py_ssize_t sweep

    cpdef Py_ssize_t entries(self)
    cpdef object admit(self, unsigned long long ident, unsigned long long handle)
    cpdef object access(self, unsigned long long ident, unsigned long long handle)
    cpdef unsigned long long victim(self)
    cpdef bint tidy(self, int steps)
    cdef Py_ssize_t allowed(self)
    cdef bint resize(self)
