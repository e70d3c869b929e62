"""The lease process: exchanges heartbeats beside its node, and writes until when that may serve into shared memory.

It is a process rather than a thread, since a thread of Python stands still while another holds the interpreter. It
decides nothing: the rules are `cluster/lease.py`, and here they meet the clock, the sockets and the disk. What a rule
wants to be remembered is on the disk before anything of its answer leaves.

    python -I -S lease_process.py CONTROL MEMORY SOCKET ...

The words are descriptors, inherited from the node: of a socket for packets of JSON, of the memory
(`server/lease_layout.py`), and of the sockets for datagrams. There are thousands of these processes in a large
installation, so it loads as little as it can: of the standard library what it needs, and of this package the rules,
past `ringkeeper/__init__.py`.
"""

from __future__ import annotations

import sys
from types import ModuleType


def find_package() -> None:
    """Let the modules of `ringkeeper` be imported from their sources alone, without what its `__init__` does."""
    from _frozen_importlib_external import FileFinder, SourceFileLoader

    root = __file__.rpartition("/")[0].rpartition("/")[0]
    for name in ("", "cluster", "server", "store"):
        package = ModuleType(f"ringkeeper.{name}".rstrip("."))
        folder = f"{root}/{name}".rstrip("/")
        package.__path__ = [folder]
        sys.modules[package.__name__] = package
        sys.path_importer_cache[folder] = FileFinder(folder, (SourceFileLoader, [".py"]))
    slot = ModuleType("ringkeeper.store.slot")  # its source needs Cython to be imported
    slot.SLOTS = 16384  # type: ignore[attr-defined]
    sys.modules[slot.__name__] = slot


if __name__ == "__main__":
    find_package()
    from ringkeeper.server.lease_loop import main

    main(list(map(int, sys.argv[1:])))
