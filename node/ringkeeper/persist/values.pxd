# What other compiled modules call without going through Python.

from ringkeeper.persist.reader cimport Reader
from ringkeeper.persist.writer cimport Writer
from ringkeeper.types.collection cimport Limits

cpdef bint is_supported(int form) except -1
cpdef object read_value(Reader reader, int form, Limits limits)
cpdef int form_of(object value) except -1
cpdef object write_value(Writer out, object value, int form)
