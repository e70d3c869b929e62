"""Which modules are compiled, and which form of each may run.

Every hot module is one ordinary Python source that Cython compiles as well. This file decides, once, when the package
is imported, which form is loaded:

- a binary made from exactly this source runs (its digest stands in `_compiled.json`, written by the build);
- a binary made from another source never runs: the pure form does, and standard error says so;
- `RINGKEEPER_REQUIRE_COMPILED=1` turns a missing or stale binary into an `ImportError` (images and CI set it);
- `RINGKEEPER_DISABLE_COMPILED=1` runs the pure form throughout (the tests run both).

A `.pxd` beside a source is a header: it declares the fields of its classes, and what other compiled modules call
without going through Python. So a binary depends on all the headers, and cannot run beside the pure form of a module
that has one: where one of these is pure, all modules are.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from types import ModuleType

MODULES = (
    "ringkeeper.store.slot",
    "ringkeeper.store.block",
    "ringkeeper.store.table",
    "ringkeeper.store.keyspace",
    "ringkeeper.store.evictor",
    "ringkeeper.store.queued",
    "ringkeeper.store.namespaces",
    "ringkeeper.store.eviction.residents",
    "ringkeeper.store.eviction.entries",
    "ringkeeper.store.eviction.lines",
    "ringkeeper.store.eviction.ghost",
    "ringkeeper.store.eviction.sketch",
    "ringkeeper.store.eviction.engine",
    "ringkeeper.store.eviction.s3fifo",
    "ringkeeper.store.eviction.w_tinylfu",
    "ringkeeper.types.collection",
    "ringkeeper.types.memory",
    "ringkeeper.types.packed",
    "ringkeeper.types.rows",
    "ringkeeper.types.indexed",
    "ringkeeper.types.hash",
    "ringkeeper.types.chunk",
    "ringkeeper.types.list",
    "ringkeeper.types.set",
    "ringkeeper.persist.crc64",
    "ringkeeper.persist.lzf",
    "ringkeeper.persist.reader",
    "ringkeeper.persist.packed",
    "ringkeeper.persist.writer",
    "ringkeeper.persist.direct_writing",
    "ringkeeper.persist.direct_reading",
    "ringkeeper.persist.values",
    "ringkeeper.persist.rdb",
    "ringkeeper.persist.loading",
    "ringkeeper.persist.replay",
    "ringkeeper.replication.applying",
    "ringkeeper.types.zset",
    "ringkeeper.types.zset_indexed",
    "ringkeeper.types.zset_packed",
    "ringkeeper.types.zset_tree",
    "ringkeeper.resp.doubles",
    "ringkeeper.resp.reader",
    "ringkeeper.resp.writer",
    "ringkeeper.commands.context",
    "ringkeeper.commands.glob",
    "ringkeeper.commands.hashes",
    "ringkeeper.commands.lists",
    "ringkeeper.commands.numbers",
    "ringkeeper.commands.scores",
    "ringkeeper.commands.sets",
    "ringkeeper.commands.sorted_sets",
    "ringkeeper.commands.sorted_sets_algebra",
    "ringkeeper.commands.sorted_sets_pops",
    "ringkeeper.commands.sorted_sets_ranges",
    "ringkeeper.commands.strings",
    "ringkeeper.access.permissions",
    "ringkeeper.server.dispatch",
    "ringkeeper.server.gates",
    "ringkeeper.server.journal",
    "ringkeeper.server.lease",
    "ringkeeper.server.pump",
    "ringkeeper.server.node_time",
    "ringkeeper.server.session",
    "ringkeeper.server.slot_counts",
    "ringkeeper.server.slot_values",
    "ringkeeper.server.traffic",
)
"""Every compiled module, for the build, for the tests that run both forms and for `ringkeeper-server --version`."""

FOLDER = pathlib.Path(__file__).parent


def source_of(module: str) -> pathlib.Path:
    return FOLDER.joinpath(*module.split(".")[1:]).with_suffix(".py")


def has_binary(module: str) -> bool:
    source = source_of(module)
    return any(source.with_suffix(suffix).exists() for suffix in importlib.machinery.EXTENSION_SUFFIXES)


def has_header(module: str) -> bool:
    return source_of(module).with_suffix(".pxd").exists()


@functools.cache
def headers() -> bytes:
    """All of them, read once a process."""
    return b"".join(path.read_bytes() for path in sorted(FOLDER.rglob("*.pxd")))


def digest_of(module: str) -> str:
    """Of what its binary is made from: the source and every header."""
    return hashlib.sha256(source_of(module).read_bytes() + headers()).hexdigest()


def is_current(module: str) -> bool:
    """Whether a binary exists that was built from the source as it stands now."""
    try:
        digests = json.loads((FOLDER / "_compiled.json").read_bytes())
    except (OSError, ValueError):
        return False
    return has_binary(module) and digests.get(module) == digest_of(module)


class PureFinder(importlib.abc.MetaPathFinder):
    """Loads the named modules from their source although a binary lies beside it."""

    def __init__(self, modules: frozenset[str]) -> None:
        self.modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.modules:
            return None
        return importlib.util.spec_from_file_location(fullname, source_of(fullname))


def choose_forms() -> None:
    """Called by `ringkeeper/__init__.py`, before any hot module is imported."""
    current = frozenset(module for module in MODULES if is_current(module))
    if any(module not in current and has_header(module) for module in MODULES):
        current = frozenset()
    if os.environ.get("RINGKEEPER_DISABLE_COMPILED") == "1":
        sys.meta_path.insert(0, PureFinder(frozenset(MODULES)))
        return
    pure = frozenset(MODULES) - current
    if pure and os.environ.get("RINGKEEPER_REQUIRE_COMPILED") == "1":
        raise ImportError(
            f"RINGKEEPER_REQUIRE_COMPILED is set, but these have no binary of the present source: "
            f"{', '.join(sorted(pure))}. Run `make build` (it needs a C compiler)."
        )
    if stale := sorted(module for module in pure if has_binary(module) and not is_current(module)):
        others = " and of all other modules" if len(pure) == len(MODULES) > len(stale) else ""
        print(
            f"ringkeeper: {', '.join(stale)} changed since the last build; running the slow pure form{others}. "
            "`make build` compiles it again.",
            file=sys.stderr,
        )
    if pure:
        sys.meta_path.insert(0, PureFinder(pure))


def form(module: str) -> str:
    """`compiled` or `pure`, of a module that is imported already."""
    origin = getattr(sys.modules[module], "__file__", "") or ""
    return "pure" if origin.endswith(".py") else "compiled"
