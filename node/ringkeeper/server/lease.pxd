# The fields, and what sessions' turns call without going through Python.

cdef extern from *:
    """
    #include <time.h>
    static inline long long *words_of(PyObject *view) { return (long long *)PyMemoryView_GET_BUFFER(view)->buf; }
    static inline long long word_load(const long long *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline void word_store(long long *word, long long value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
    static inline void memory_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    static inline long long boot_clock(void) {
        struct timespec now;
        clock_gettime(CLOCK_BOOTTIME, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
    }
    """
    long long *words_of(object view) noexcept
    long long word_load(const long long *word) noexcept
    void word_store(long long *word, long long value) noexcept
    void memory_fence() noexcept
    long long boot_clock() noexcept


cdef class Lease:
    cdef long long *place
    cdef readonly object words
    cdef public object turned
    cdef readonly bint shared
    cdef readonly bint needed
    cdef readonly bint open
    cdef readonly long long term
    cdef readonly bint released

    cdef long long get(self, Py_ssize_t index) noexcept
    cdef void put(self, Py_ssize_t index, long long value) noexcept
    cpdef bint holds(self) noexcept
    cpdef object look(self)
    cpdef object begin_turn(self, long long now)
    cpdef object note_position(self, long long term, long long offset)
    cpdef bint may_acknowledge(self, long long term, long long offset)
