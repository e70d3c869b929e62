# What other compiled modules call without going through Python.
cpdef long long few_digits(bytes word) noexcept
cpdef long long digits(bytes word) noexcept
cpdef object parse_integer(object word)
cpdef object integer(object word, str error=*)
