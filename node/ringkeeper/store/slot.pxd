# What other compiled modules call without going through Python.
cpdef int key_slot(bytes key) except -1
