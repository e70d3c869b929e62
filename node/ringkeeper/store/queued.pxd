# The fields.
from ringkeeper.store.eviction.residents cimport Residents
from ringkeeper.store.evictor cimport Evictor
from ringkeeper.store.keyspace cimport Keyspace


cdef class Scope(Residents):
    cdef public Keyspace keyspace
    cdef readonly Evictor evictor
    cdef readonly int number
    cdef readonly str policy
    cdef readonly bint volatile
