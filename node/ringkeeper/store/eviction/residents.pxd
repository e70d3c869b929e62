# What a host offers its engine, called without going through Python.

cdef class Residents:
    cpdef unsigned long long find(self, unsigned long long ident)
    cpdef int state(self, unsigned long long handle)
    cpdef object set_state(self, unsigned long long handle, int bits)
    cpdef long long size(self, unsigned long long handle)
    cpdef long long count(self)
    cpdef long long room(self)


cdef class DictionaryResidents(Residents):
    cdef public long long capacity
    cdef public long long used
    cdef readonly dict handles
    cdef readonly list idents
    cdef readonly list sizes
    cdef readonly bytearray states
    cdef list free

    cpdef unsigned long long put(self, unsigned long long ident, long long size)
    cpdef unsigned long long drop(self, unsigned long long handle)
