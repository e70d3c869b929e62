"""What the process has been given by its allocators, to the byte: the truth of all accounts of memory."""

import ctypes
import os
import re
import sys
import tempfile


class _Mallinfo2(ctypes.Structure):
    """Of `mallinfo2(3)`, glibc 2.33 and later."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


_library = ctypes.CDLL(None)
_library.mallinfo2.restype = _Mallinfo2


def allocated() -> int:
    """Bytes of all blocks that are taken now: those of CPython's own allocator and those of the C library."""
    info = _library.mallinfo2()
    return _small_blocks() + int(info.uordblks) + int(info.hblkhd)


def _small_blocks() -> int:
    """Of up to 512 bytes. CPython tells only by printing them."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        found = re.search(rb"# bytes in allocated blocks += +([\d,]+)", file.read())
    assert found is not None
    return int(found[1].replace(b",", b""))


def resident(process: int | str = "self") -> int:
    """Bytes of a process in memory (RSS)."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
