from ringkeeper.store.eviction.engine cimport Engine
from ringkeeper.store.eviction.entries cimport Queue
from ringkeeper.store.eviction.sketch cimport Sketch


cdef class WTinyLfu(Engine):
    cdef readonly Queue window
    cdef readonly Queue probation
    cdef readonly Queue protected
    cdef readonly Sketch sketch
    cdef unsigned long long random

    cdef long long main_bytes(self)
    cdef long long share(self, long long full, long long held)
    cdef bint is_window_full(self)
    cdef unsigned long long aged(self, Queue queue)
    cdef bint enter(self, unsigned long long oldest)
    cdef void demote(self)
    cdef unsigned long long settle(self, unsigned long long candidate, Queue queue, unsigned long long incumbent)
    cdef bint is_lucky(self) noexcept
    cdef unsigned long long evict(self, Queue queue, unsigned long long handle)
