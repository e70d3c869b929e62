# The fields.

from ringkeeper.commands.context cimport Context
from ringkeeper.resp.reader cimport CommandReader


cdef class Replay:
    cdef object source
    cdef long long size
    cdef Context context
    cdef dict table
    cdef dict functions
    cdef CommandReader reader
    cdef long long read
    cdef long long began
    cdef list group
    cdef long long group_began
    cdef readonly long long commands
    cdef readonly dict facts
    cdef readonly long long facts_end

    cdef object _next(self)
    cdef void _run(self, tuple known, object args)
