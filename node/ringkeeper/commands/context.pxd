# The fields, for compiled commands.
from ringkeeper.store.keyspace cimport Keyspace


cdef class Context:
    cdef public object access
    cdef public object client
    cdef public object clients
    cdef public object cluster
    cdef public int database
    cdef public list databases
    cdef public Keyspace keyspace
    cdef public object limits
    cdef public object node
    cdef public int protocol
    cdef public object pubsub
    cdef public object random
    cdef public object serializer
    cdef public object settings
    cdef public object tracking
    cdef public object transactions
