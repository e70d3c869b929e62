"""What memory costs: the one measure of every account.

CPython's allocator (`PyMem_Malloc`, `Objects/obmalloc.c`) serves up to 512 bytes by multiples of 16 without a header;
what is larger comes from the C library, which puts 8 bytes before it and rounds to multiples of 16 as well. What an
object takes is told for the compiled form, in both forms.
"""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    Items = list[bytes]
    ListPointer = None

BYTES_HEADER = 33
"""Of a bytes object, the NUL behind it included."""
LIST_HEADER = cython.declare(cython.Py_ssize_t, 64)
"""A list without its items: `PyListObject`, and what the cyclic collector puts before it."""
EMPTY_LIST = [].__sizeof__()
DICT_OBJECT = 48
DICT_HEADER = 64
"""A dictionary without its table, alone and with what the cyclic collector puts before it."""


@cython.exceptval(check=False)
def block_size(size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The bytes that an allocation of `size` bytes takes."""
    return (size + 15) & ~15 if size <= 512 else (size + 23) & ~15


@cython.exceptval(check=False)
def usable_size(size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """What to ask of an allocator for `size` bytes so that all of the block may be used."""
    return block_size(size) - (8 if size > 512 else 0)


@cython.exceptval(check=False)
def text_memory(length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The bytes of a bytes object of that length. Of those up to one byte long CPython has one each, for all."""
    return 0 if length < 2 else block_size(length + 33)


@cython.exceptval(check=False)
def list_memory(items: Items) -> cython.Py_ssize_t:
    """The bytes of a list, with the room that it keeps for more items, but without the items themselves. O(1)."""
    room: cython.Py_ssize_t
    room = cython.cast(ListPointer, items).allocated if cython.compiled else (items.__sizeof__() - EMPTY_LIST) // 8
    return LIST_HEADER + (block_size(8 * room) if room else 0)


def dict_memory(items: dict[Any, Any]) -> cython.Py_ssize_t:
    """The bytes of a dictionary, without keys and values themselves. O(1), but not for the hot path."""
    table: cython.Py_ssize_t = items.__sizeof__() - DICT_OBJECT
    return DICT_HEADER + (block_size(table) if table > 0 else 0)
