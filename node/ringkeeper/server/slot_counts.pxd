# The fields; the slot gates count without going through Python.


cdef class SlotCounts:
    cdef readonly object words
    cdef long long *places
    cdef public long long step
