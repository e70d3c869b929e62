# The fields, for the collections.

cdef class Limits:
    cdef public long long hash_max_listpack_entries
    cdef public long long hash_max_listpack_value
    cdef public long long list_max_listpack_size
    cdef public long long list_compress_depth
    cdef public long long set_max_intset_entries
    cdef public long long set_max_listpack_entries
    cdef public long long set_max_listpack_value
    cdef public long long zset_max_listpack_entries
    cdef public long long zset_max_listpack_value
    cdef public long long proto_max_bulk_len
