# The fields, and what sessions call without going through Python.
from ringkeeper.server.dispatch cimport Dispatcher
from ringkeeper.server.lease cimport Lease
from ringkeeper.server.node_time cimport NodeTime
from ringkeeper.store.keyspace cimport Clock

cdef extern from "sys/socket.h":
    int MSG_DONTWAIT
    int MSG_NOSIGNAL
    ssize_t send(int descriptor, const void *data, size_t size, int flags)


cdef class Sender:
    cpdef object send(self)
    cpdef object depend(self)


cdef class Traffic:
    cdef Dispatcher dispatcher
    cdef NodeTime time
    cdef Clock clock
    cdef readonly Lease lease
    cdef object loop
    cdef object end_round
    cdef list unsent
    cdef bint in_round
    cdef long long deadline
    cdef object missed
    cdef public long long current
    cdef public bint paused
    cdef public long long query_buffer_limit
    cdef public long long bytes_in
    cdef public long long bytes_out
    cdef public long long reads
    cdef public long long writes

    cpdef object expect(self, long long deadline, object missed)
    cpdef object begin_turn(self, long long session_id)
    cpdef object send_soon(self, Sender sender)
    cdef object begin_round(self)


cdef Py_ssize_t send_at_once(int descriptor, bytearray data) noexcept
