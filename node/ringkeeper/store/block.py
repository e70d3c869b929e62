"""What a value takes of the allocator: the one measure of both tables, so that both give the same figures.

CPython's allocator (`PyMem_Malloc`, `Objects/obmalloc.c`) serves up to 512 bytes by multiples of 16 without a header;
what is larger comes from the C library, which puts 8 bytes before it and rounds to multiples of 16 as well.
"""

from __future__ import annotations

from typing import Any

BYTES_HEADER = 33
"""Of a bytes object, the NUL behind it included."""
BYTEARRAY_HEADER = 64


class FloatText(bytes):
    """The result of INCRBYFLOAT: Redis keeps it as text even where it looks like an integer."""

    __slots__ = ()


def block_size(size: int) -> int:
    """The bytes that an allocation of `size` bytes takes."""
    if size <= 512:
        return (size + 15) & ~15
    return (size + 23) & ~15


def object_memory(value: Any) -> int:
    """The bytes of a value that is an object: a long string, one that was edited in place, or a collection."""
    if isinstance(value, bytes):
        return block_size(BYTES_HEADER + len(value))
    if isinstance(value, bytearray):
        return BYTEARRAY_HEADER + block_size(len(value) + 1)
    memory: int = value.memory
    return memory
