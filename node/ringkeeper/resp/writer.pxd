# What other compiled modules call without going through Python.
cpdef int write(bytearray out, object value, int protocol) except -1
