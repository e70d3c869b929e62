from ringkeeper.store.eviction.engine cimport Engine
from ringkeeper.store.eviction.entries cimport Queue
from ringkeeper.store.eviction.ghost cimport Ghost


# The fields, and what a keyspace calls without going through Python.
cdef class S3Fifo(Engine):
    cdef readonly Queue small
    cdef readonly Queue main
    cdef readonly Ghost ghost
    cdef readonly bint evicting
    cdef int source

    cdef int choose(self)
    cdef unsigned long long from_small(self)
    cdef unsigned long long from_main(self)
