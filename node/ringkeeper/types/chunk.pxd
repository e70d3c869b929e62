# The fields, and what lists call without going through Python.

cpdef Py_ssize_t packed_size(const unsigned char *data, Py_ssize_t length) noexcept


cdef class Chunk:
    cdef unsigned char *pack
    cdef int start
    cdef int end
    cdef int room
    cdef readonly int count
    cdef readonly Py_ssize_t size
    cdef bytes element
    cdef Chunk next
    cdef Chunk previous

    cdef Py_ssize_t length_at(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t entry_at(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t entry_before(self, Py_ssize_t at) noexcept
    cdef const unsigned char *body_at(self, Py_ssize_t at, Py_ssize_t length) noexcept
    cdef bytes text_at(self, Py_ssize_t at)
    cdef Py_ssize_t size_at(self, Py_ssize_t at) noexcept
    cdef bint equals(self, Py_ssize_t at, bytes element) noexcept
    cdef Py_ssize_t offset_of(self, Py_ssize_t number) noexcept
    cdef object texts(self, Py_ssize_t first, Py_ssize_t stop)
    cdef Py_ssize_t index_of(self, bytes element) noexcept
    cdef object matches(self, bytes element, bint forward, Py_ssize_t looked_at, Py_ssize_t most)
    cdef Py_ssize_t occurrences(self, bytes element) noexcept
    cdef Py_ssize_t bulks_size(self, Py_ssize_t first, Py_ssize_t stop) noexcept
    cdef char *write_bulks(self, char *target, Py_ssize_t first, Py_ssize_t stop) noexcept

    cdef void move(self, Py_ssize_t target, Py_ssize_t source, Py_ssize_t size) noexcept
    cdef bint resize(self, Py_ssize_t room, bint left) noexcept
    cdef object make_space(self, Py_ssize_t size, bint left, bint generous)
    cdef void relax(self) noexcept
    cdef void fit(self) noexcept

    cdef void write(self, Py_ssize_t at, bytes element) noexcept
    cdef object put(self, Py_ssize_t offset, bytes element, bint generous)
    cdef void cut(self, Py_ssize_t offset) noexcept
    cdef bytes pop(self, bint left)
    cdef object put_back(self, bytes element, bint left)
    cdef void drop(self, Py_ssize_t count, bint left) noexcept
    cdef Py_ssize_t remove(self, bytes element, Py_ssize_t skip, Py_ssize_t most) noexcept
    cdef object replace(self, Py_ssize_t number, bytes element)
    cdef Chunk tail(self, Py_ssize_t number)
    cdef bint absorb(self, Chunk other) noexcept
    cdef Chunk twin(self)
    cdef Py_ssize_t memory(self) noexcept


cdef Chunk plain_chunk(bytes element)
cdef Chunk chunk_of(object elements, Py_ssize_t start)
