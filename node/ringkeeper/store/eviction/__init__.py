"""Eviction engines made of queues: which resident should go next, in at most 16 bytes a key.

`residents` says what a host offers; `engine` is what it plugs in: `s3fifo` or `w_tinylfu`. Below them, `entries` holds
queues of keys, `lines` a table that grows by 64 bytes at a time, `ghost` and `sketch` what was seen before.
"""
