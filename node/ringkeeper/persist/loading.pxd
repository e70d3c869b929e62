# The fields.

from ringkeeper.persist.rdb cimport RdbReader


cdef class Loader:
    cdef readonly RdbReader reader
    cdef list databases
    cdef readonly long long loaded
    cdef readonly long long expired
    cdef readonly object announced
    cdef readonly dict aux
    cdef readonly list passed

    cdef _entry(self)
