"""What RDB files hold that is not supported here: streams, the values of modules, libraries of functions.

Their bytes are gone through, so that what stands behind them can be read. Every function raises `Corrupt`. Source:
`rdb.c` of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from ringkeeper.persist.reader import Corrupt, Reader

MODULE_PRE_RELEASE: Final = 6
MODULE_2: Final = 7
STREAM: Final = 15
STREAM_2: Final = 19
STREAM_3: Final = 21
PATH_HASH: Final = 23

FORMS: Final = {
    MODULE_PRE_RELEASE: "module value",
    MODULE_2: "module value",
    STREAM: "stream",
    STREAM_2: "stream",
    STREAM_3: "stream",
    PATH_HASH: "hash by paths",
}
"""Forms of values that are known, but not read."""

ENTRY_ID: Final = 16
"""Bytes of the ID of a stream's entry."""
TIME: Final = 8


def pass_value(reader: Reader, form: int) -> None:
    """Go through a value of one of these forms."""
    if form in (STREAM, STREAM_2, STREAM_3):
        pass_stream(reader, form)
    elif form == MODULE_2:
        reader.length()
        pass_module_data(reader)
    else:
        raise Corrupt(f"a {FORMS[form]} of form {form} cannot be passed over: nothing says where it ends")


def pass_stream(reader: Reader, form: int) -> None:
    """Its entries in listpacks, its figures, its groups of consumers with what they have not acknowledged."""
    for _ in range(reader.count(2)):
        reader.string()
        reader.string()
    for _ in range(3 if form == STREAM else 8):
        reader.length()
    for _ in range(reader.count()):
        pass_group(reader, form)


def pass_group(reader: Reader, form: int) -> None:
    reader.string()
    for _ in range(2 if form == STREAM else 3):
        reader.length()
    for _ in range(reader.count(ENTRY_ID + TIME + 1)):
        reader.take(ENTRY_ID + TIME)
        reader.length()
    for _ in range(reader.count()):
        reader.string()
        reader.take(TIME if form != STREAM_3 else 2 * TIME)
        for _ in range(reader.count(ENTRY_ID)):
            reader.take(ENTRY_ID)


FLOAT_BYTES: Final = {3: 4, 4: 8}


def pass_module_data(reader: Reader) -> None:
    """Items that each say of what kind they are, up to a 0."""
    while kind := reader.length():
        if kind in (1, 2):
            reader.length()
        elif kind in FLOAT_BYTES:
            reader.take(FLOAT_BYTES[kind])
        elif kind == 5:
            reader.string()
        else:
            raise Corrupt(f"{kind} begins no item of a module's data")


SLOT_IMPORT: Final = 243
SLOT_INFO: Final = 244
FUNCTIONS: Final = 245
FUNCTIONS_PRE_RELEASE: Final = 246
MODULE_AUX: Final = 247

OPCODES: Final = {
    SLOT_IMPORT: "an unfinished import of slots",
    FUNCTIONS: "a library of functions",
    FUNCTIONS_PRE_RELEASE: "a library of functions",
    MODULE_AUX: "a module's data",
}
"""What these announce is not supported."""


def pass_section(reader: Reader, opcode: int) -> None:
    """Go through what stands behind one of the opcodes."""
    if opcode == FUNCTIONS:
        reader.string()
    elif opcode == MODULE_AUX:
        for _ in range(3):
            reader.length()
        pass_module_data(reader)
    elif opcode == SLOT_IMPORT:
        reader.string()
        for _ in range(2 * reader.count(2)):
            reader.length()
    else:
        raise Corrupt(f"{OPCODES[opcode]} (opcode {opcode}) cannot be passed over: nothing says where it ends")
