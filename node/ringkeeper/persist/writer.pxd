# What other compiled modules call without going through Python.

cpdef write_length(bytearray out, Py_ssize_t length)
cpdef write_string(bytearray out, bytes text)
cpdef write_double(bytearray out, double number)
cpdef write_milliseconds(bytearray out, long long time)
