# The fields, and what sessions call without going through Python.

cdef class Inbox:
    cdef bytes _buffer
    cdef Py_ssize_t _position
    cdef Py_ssize_t _length
    cdef bytearray _more
    cdef bint _waiting
    cdef bytes _awaited
    cdef Py_ssize_t _scanned
    cdef object _bulk
    cdef Py_ssize_t _missing
    cdef bytes _ending
    cdef Py_ssize_t _entry
    cdef Py_ssize_t _held
    cdef Py_ssize_t _max_line
    cdef bint _nul_hides
    cdef str _failure

    cpdef object feed(self, bytes data)
    cdef Py_ssize_t size(self)
    cdef bint _refill(self)
    cdef void _trim(self)
    cdef Py_ssize_t _line_end(self, bytes end_byte)
    cdef void _begin_bulk(self, Py_ssize_t size)
    cdef bytes _finish_bulk(self)
    cdef object _fail(self, str text)


cdef class CommandReader(Inbox):
    cdef bint _authenticated
    cdef long long _max_bulk
    cdef long long _max_arguments
    cdef long long _most_kept
    cdef bint _skipped
    cdef list _args
    cdef Py_ssize_t _remaining
    cdef long long _number

    cpdef object next(self)
    cdef object _whole(self)
    cdef object _parse(self)
    cdef object _begin_command(self)
    cdef bint _read_arguments(self)
    cdef bint _read_number(self, int kind)
    cdef bint _read_rare_number(self, int kind)
    cdef object _read_inline(self)


cdef class ReplyReader(Inbox):
    cdef int _kind
    cdef bytes _text
    cdef list _open

    cdef object _parse(self)
    cdef object _add(self, object value)
    cdef bint _read_line(self)
    cdef object _read_value(self)
    cdef long long _size(self, long long limit)
    cdef object _bulk_value(self, bytes text, bytes ending)
    cdef object _collection(self, int kind, object values)
    cdef object _line_value(self)


cpdef object remember(bytes word)
