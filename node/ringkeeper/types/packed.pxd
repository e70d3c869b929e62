# The fields, and what the collections call without going through Python.
cimport cython

@cython.no_gc
cdef class PackedTexts:
    cdef unsigned char *pack
    cdef short size
    cdef short count
    # For the subclasses, which thus share a word with the above: whether every member has a value behind it, and
    # whether the collection counts as a listpack.
    cdef readonly short paired
    cdef readonly short compact

    cdef void begin(self, bint paired)
    cdef Py_ssize_t behind(self, Py_ssize_t at) noexcept
    cdef bytes text(self, Py_ssize_t at)
    cdef Py_ssize_t seek(self, bytes text, Py_ssize_t others) noexcept
    cdef object splice(self, Py_ssize_t at, Py_ssize_t old, Py_ssize_t new)
    cdef Py_ssize_t write(self, Py_ssize_t at, bytes text) noexcept
    cdef object replace_text(self, Py_ssize_t at, bytes text)
    cpdef bytes bulks(self, Py_ssize_t first, Py_ssize_t step)
    cdef Py_ssize_t bulks_size(self, Py_ssize_t first, Py_ssize_t step) noexcept
    cdef object copy_pack(self, PackedTexts other)
    cdef void clear_pack(self) noexcept
    cdef Py_ssize_t pack_memory(self) noexcept
