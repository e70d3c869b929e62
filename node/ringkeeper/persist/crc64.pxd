# What other compiled modules call without going through Python.

cdef unsigned long long crc64_of(const unsigned char *text, Py_ssize_t length, unsigned long long crc) noexcept
