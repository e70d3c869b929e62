# The layout of what is stored, and what the keyspace calls without going through Python.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from ringkeeper.store.namespaces cimport Namespaces

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030E0000
    #define hash_bytes Py_HashBuffer
    #else
    PyAPI_FUNC(Py_hash_t) _Py_HashBytes(const void*, Py_ssize_t);
    #define hash_bytes _Py_HashBytes
    #endif
    """
    void prefetch "__builtin_prefetch" (const void* place) noexcept
    Py_hash_t hash_bytes(const void* text, Py_ssize_t length) noexcept

cdef enum:
    # Kinds of value, in the lowest bits of a record's flags.
    TEXT = 0
    INTEGER = 1
    OBJECT = 2
    KIND = 3
    # What else a record's flags say.
    VOLATILE = 4
    LONG_KEY = 8
    FLOAT = 16
    GENERATION = 32
    LISTED = 128
    # For `assign`: the expiry stays.
    KEEP = -2
    # What `gather` gives.
    KEYS = 0
    LIVE = 1
    ROWS = 2
    LABEL = 3
    # A table's measures: slots; words of a bucket; buckets up to which a part grows, and how often parts are split;
    # keys of a slot below which its parts become one again; slots in groups; bytes of a header and of the largest
    # record that holds its value.
    SLOTS = 16384
    MOST_DEPTH = 24
    NEVER = 0xFFFFFFFF
    COLLAPSED = 64
    WIDTH = 8
    MOST_BUCKETS = 128
    GROUPS = 128
    GROUP_SIZE = 128
    # Records that are drawn at once, and places tried for the first of them.
    MOST_DRAWN = 64
    TRIES = 3
    HEADER = 16
    EMBEDDED = 512

ctypedef struct Header:
    uint32_t used_at
    uint32_t created_at
    uint8_t state
    uint8_t flags
    uint16_t space
    uint16_t key_length
    uint16_t text_length

ctypedef Header* Record
ctypedef Record Found
ctypedef uint64_t* Spot
ctypedef PyObject** ObjectPointer
ctypedef int64_t* IntegerPointer
ctypedef uint32_t[2] Counts
ctypedef uint8_t[2048] Sides

ctypedef struct Part:
    uint64_t* words
    uint32_t count
    uint16_t buckets
    uint8_t depth

ctypedef Part* PartPointer
ctypedef Part** PartsPointer

ctypedef struct Slot:
    Part whole
    PartsPointer parts
    uint64_t used
    uint32_t count
    uint32_t volatile_count
    uint32_t next_due
    uint8_t depth

ctypedef Slot* SlotPointer

ctypedef struct Space:
    int64_t keys
    int64_t used
    int64_t hits
    int64_t misses
    int64_t evicted
    int64_t expired
    Record* listed
    uint32_t count
    uint32_t capacity
    uint8_t is_listed

ctypedef Space* SpacePointer
ctypedef Record* RecordPointer

# What is known of a key, where it lies. The value is a short string at `text`, or else an integer where
# `is_number` says so, or else an object, which is borrowed: whoever looks at it counts no reference.
ctypedef struct View:
    const unsigned char* key
    Py_ssize_t key_length
    const unsigned char* text
    Py_ssize_t text_length
    int64_t number
    PyObject* value
    int64_t expires_at
    Record record
    bint is_number

ctypedef View* ViewPointer


cdef int64_t integer_in(const unsigned char* text, Py_ssize_t length, bint* is_integer) noexcept
cdef Py_ssize_t write_integer(int64_t number, unsigned char* end) noexcept


cdef class Visitor:
    cdef int visit(self, ViewPointer view) except -1


cdef class Table:
    cdef SlotPointer slots
    cdef SpacePointer spaces
    cdef Py_ssize_t space_count
    cdef uint8_t generation
    cdef public Namespaces labels
    cdef Spot spot
    cdef uint64_t code
    cdef readonly long long size
    cdef readonly long long volatile
    cdef readonly long long used
    cdef readonly long long structure
    cdef readonly long long swept
    cdef uint32_t group_sizes[128]
    cdef uint32_t group_volatiles[128]
    cdef uint64_t random_state
    cdef Py_ssize_t sampled_slot
    cdef uint64_t aims[2]
    cdef Record drawn[64]
    cdef uint64_t marks[64]
    cdef Py_ssize_t sweep_slot
    cdef Py_ssize_t sweep_part
    cdef uint32_t sweep_due
    cdef Py_ssize_t shed_slot
    cdef Py_ssize_t shed_part
    cdef list trash
    cdef long long checked_used
    cdef long long checked_structure
    cdef uint32_t checked_volatile

    cdef PartPointer _part(self, SlotPointer home, uint64_t code)
    cdef Spot _locate(self, PartPointer part, uint64_t code, const char* key, Py_ssize_t length)
    cdef Spot _spot_of(self, Record record, Py_ssize_t slot)
    cdef uint64_t _code(self, Record record) noexcept
    cdef void _place(self, PartPointer part, uint64_t word) noexcept
    cdef void _erase(self, PartPointer part, Spot spot) noexcept
    cdef int _resize(self, PartPointer part, Py_ssize_t buckets)
    cdef int _make_room(self, SlotPointer home, PartPointer part, uint64_t code)
    cdef int _split(self, SlotPointer home, PartPointer part, uint64_t code)
    cdef PartPointer _new_part(self, Py_ssize_t count, int depth) noexcept
    cdef void _drop_words(self, PartPointer part) noexcept
    cdef void _drop_part(self, PartPointer part) noexcept
    cdef void _deepen(self, SlotPointer home, PartsPointer parts) noexcept
    cdef void _put_halves(self, SlotPointer home, uint64_t code, PartPointer left, PartPointer right) noexcept
    cdef void _shrink(self, SlotPointer home, PartPointer part) noexcept
    cdef void _collapse(self, SlotPointer home) noexcept
    cdef void* _allocate(self, size_t size) noexcept
    cdef Record _make(self, const char* key, Py_ssize_t length, object value, long long expires_at, bint listed)
    cdef object _free(self, Record record)
    cdef void _count_volatile(self, SlotPointer home, Py_ssize_t slot, int was, long long at) noexcept
    cdef void count_bytes(self, SlotPointer home, Record record, long long change) noexcept
    cdef Py_ssize_t number_of(self, Record record) noexcept
    cdef SpacePointer space_of(self, Record record) noexcept
    cdef int _room_to_list(self, SpacePointer space)
    cdef void _enlist(self, SpacePointer space, Record record) noexcept
    cdef void _delist(self, Record record) noexcept
    cdef int _relabel(self, SlotPointer home, Spot spot)
    cdef Record _with_or_without_place(self, Record record, bint listed)
    cdef bint _is_in_list(self, Record record) noexcept
    cdef void _free_spaces(self) noexcept
    cdef int _check_spaces(self)
    cdef bint _assign_in_place(self, Record record, bytes value) noexcept
    cdef Record _with_or_without_expiry(self, Record record, SlotPointer home, long long at)
    cdef object _take(self, SlotPointer home, PartPointer part, Spot spot, Py_ssize_t slot)
    cdef Py_ssize_t _next_part(self, SlotPointer home, Py_ssize_t index) noexcept
    cdef long long _sweep_part(self, SlotPointer home, PartPointer part, long long now_ms, object removed)
    cdef uint64_t _next_random(self) noexcept
    cdef double chance(self) noexcept
    cdef Py_ssize_t _random_slot(self, bint volatile) noexcept
    cdef Py_ssize_t _volatile_from(self, PartPointer part, Py_ssize_t bucket) noexcept
    cdef int _gather_bucket(
        self,
        SlotPointer home,
        PartPointer part,
        Py_ssize_t first,
        uint64_t tag,
        object found,
        int what,
        long long now_ms,
    )
    cdef int _gather(self, SlotPointer home, Spot spot, object found, int what, long long now_ms)
    cdef int walk(self, Visitor visitor) except -1
    cdef void _view(self, Record record, ViewPointer view) noexcept
    cdef long long _shed_part(self, SlotPointer home, PartPointer part)
    cdef int _check_slot(self, SlotPointer home)
    cdef int _check_part(self, SlotPointer home, PartPointer part)

    cdef Record find(self, bytes key, Py_ssize_t slot)
    cdef Found find_ident(self, uint64_t ident)
    cdef Found find_marked(self, uint64_t handle, uint64_t mark) noexcept
    cdef uint64_t mark_of(self, Record record, Py_ssize_t slot) noexcept
    cdef uint64_t mark_of_ident(self, uint64_t ident) noexcept
    cdef Py_ssize_t slot_of(self, uint64_t mark) noexcept
    cdef uint64_t handle_of(self, Record record) noexcept
    cdef Record record_at(self, uint64_t handle) noexcept
    cdef long long space_keys(self, Py_ssize_t space) noexcept
    cdef Record add(
        self, bytes key, Py_ssize_t slot, object value, long long at, Py_ssize_t space, uint32_t used_at, uint32_t created_at
    )
    cdef Record assign(self, Record record, Py_ssize_t slot, object value, long long at)
    cdef void recount(self, Record record, Py_ssize_t slot, long long memory) noexcept
    cdef Record set_expiry(self, Record record, Py_ssize_t slot, long long at)
    cdef object value(self, Record record)
    cdef object plus(self, Record record, int64_t number)
    cdef long long expiry(self, Record record) noexcept
    cdef long long memory(self, Record record) noexcept
    cdef bytes key(self, Record record)
    cdef object remove(self, Record record, Py_ssize_t slot)
    cdef long long sweep(self, Py_ssize_t limit, long long now_ms, object removed, object hidden)
    cdef Record sample(self, bint volatile) noexcept
    cdef Py_ssize_t draw(self, bint volatile, Py_ssize_t most) noexcept
    cdef uint64_t _aim(self, bint volatile) noexcept
    cdef Py_ssize_t _collect(self, uint64_t aim, bint volatile, Py_ssize_t count, Py_ssize_t most) noexcept
    cdef Found nothing(self) noexcept
    cdef void hit(self, Record record) noexcept
    cdef void miss(self, Py_ssize_t space) noexcept
    cdef void expired(self, Record record) noexcept
    cdef void evicted(self, Record record) noexcept
    cpdef long long space_used(self, Py_ssize_t space)
    cdef Record sample_space(self, Py_ssize_t space) noexcept

    cpdef object gather(self, object cursor, Py_ssize_t count, int what, long long now_ms)
    cpdef object set_spaces(self, object listed)
    cpdef object space_figures(self)
    cpdef object reset_figures(self)
    cpdef object slot_figures(self, Py_ssize_t slot)
    cpdef object flush(self)
    cpdef object swap(self, Table other)
    cpdef long long shed(self, long long count)
    cpdef object take_trash(self)
    cpdef object check(self)
