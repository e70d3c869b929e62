# The fields, and what dispatch and sessions read without going through Python.
from ringkeeper.commands.context cimport Context


cdef class Journal:
    cdef public bint on
    cdef public bint filing
    cdef public bint feeding
    cdef public bint following
    cdef public bint alone
    cdef public bint waits
    cdef public bint disk_waits
    cdef public bint replicas_wait
    cdef public long long offset
    cdef public long long written
    cdef public long long floor
    cdef public object slots
    cdef public long long durable
    cdef public long long on_disk
    cdef public long long acknowledged
    cdef public bytearray buffer
    cdef bytearray spare
    cdef public Py_ssize_t given
    cdef public object tap
    cdef public object feed
    cdef public object schedule_feed
    cdef public bint feed_scheduled
    cdef public list held
    cdef public object schedule
    cdef public object hurry
    cdef list databases
    cdef list changes
    cdef public list purged
    cdef public int database
    cdef bint scheduled
    cdef Py_ssize_t group
    cdef int grouped

    cdef int _plain(self) except? -1
    cdef Py_ssize_t _select(self, int database)
    cdef void _written(self, Py_ssize_t length)
    cdef void _announce(self, Py_ssize_t length, Py_ssize_t size)
    cpdef object command(self, object session, Context context, object command, list args, object reply, int how)
    cpdef object append(self, int database, list args)
