"""For how long a thread keeps a processor that others wait for.

Since Linux 6.12 a thread may ask for turns of another length, by `sched_runtime` of sched_setattr(2). Its share stays
the same. Who has short turns need not wait for the end of a longer one when it wakes: so a node answers sooner where
other processes keep all processors busy, its own child among them, which writes a snapshot. An older kernel ignores
what it is asked for.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

SHORT: Final = 100_000
"""Nanoseconds, the least that there is."""
DEFAULT: Final = 0
"""The kernel's own."""
CALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "ppc64le": 355, "s390x": 345}
"""The number of the system call, by machine; the C library has no function for it."""
ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""`struct sched_attr`: its size, policy, flags, niceness, priority, and runtime, deadline and period in nanoseconds."""


def take(nanoseconds: int) -> bool:
    """Ask for turns of that length for this thread and those that it starts; whether the kernel took that."""
    number = CALLS.get(os.uname().machine)
    if sys.platform != "linux" or number is None:
        return False
    policy = os.sched_getscheduler(0)
    if policy not in (os.SCHED_OTHER, os.SCHED_BATCH):
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = ATTRIBUTES.pack(ATTRIBUTES.size, policy, 0, nice, 0, nanoseconds, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
