# The fields, what a piece of the queue is, and what of the system it needs.
from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_type_lock

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t writev(int descriptor, const iovec *pieces, int count)

cdef extern from "<fcntl.h>" nogil:
    int posix_fadvise(int descriptor, long long offset, long long size, int advice)
    int POSIX_FADV_DONTNEED

cdef extern from "<unistd.h>" nogil:
    int fdatasync(int descriptor)
    int usleep(unsigned int microseconds)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    int EFD_CLOEXEC
    int EFD_NONBLOCK


cdef struct Piece:
    char *data
    Py_ssize_t size
    long long offset
    PyObject *owner
    Piece *next

ctypedef Piece *Link
ctypedef PyObject *Owner


cdef class Pump:
    cdef PyThread_type_lock guard
    cdef Piece *first
    cdef Piece *last
    cdef Piece *done
    cdef int wakes
    cdef readonly int tells
    cdef bint waiting
    cdef bint told
    cdef readonly bint is_open
    cdef int descriptor
    cdef bint always
    cdef bint counts
    cdef long long uncached
    cdef readonly long long written
    cdef readonly long long durable
    cdef readonly long long bytes
    cdef readonly long long end
    cdef readonly long long dropped
    cdef readonly bint syncing
    cdef readonly long long sync_ns
    cdef long long last_sync_ns
    cdef long long crowd
    cdef tuple counters
    cdef long long *bounds
    cdef long long *buckets
    cdef int bound_count
    cdef public object spare

    cdef int _run(self) noexcept nogil
    cdef int _write(self, Piece *first) noexcept nogil
    cdef int _sync(self) noexcept nogil
    cdef void _finish(self, Piece *piece) noexcept nogil
    cdef void _tell(self) noexcept nogil
