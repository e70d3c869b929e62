# What other compiled modules call without going through Python.
cpdef double parse_score(bytes word, str error=*) except? -1
cpdef tuple parse_end(bytes word)
