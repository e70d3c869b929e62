# The fields, and what sessions call without going through Python.
from ringkeeper.commands.context cimport Context
from ringkeeper.server.journal cimport Journal
from ringkeeper.server.slot_counts cimport SlotCounts


cdef class Dispatcher:
    cdef readonly dict commands
    cdef dict entries
    cdef readonly dict errors
    cdef public object on_slow
    cdef public long long slower_than
    cdef public bint counts_durations
    cdef public long long mark
    cdef readonly long long processed
    cdef public long long turn_ends
    cdef readonly object last
    cdef public list changes
    cdef public Journal journal
    cdef readonly SlotCounts slot_counts
    cdef public object effects
    cdef public object waiting
    cdef public object transactions
    cdef public object permission
    cdef set reported

    cpdef bint execute(self, object session, Context context, list args, bytearray out, bint restricted=*) except -1


cdef long long nanoseconds() noexcept
