"""Cuts the power at every call that a piece of work makes, and looks at everything that the disk may then hold."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType

from persist.simulated import SYNCS, Call, Folder, PowerLoss, SimulatedFiles

Told = list[bytes]
"""What the work has said is safe, in order."""
Work = Callable[[SimulatedFiles, Told], None]
Check = Callable[[Folder, Told], str]
"""What is wrong with a folder, given what was told before the power went; empty if nothing is."""

WHOLE = 1 << 30


def run(work: Work, before: Folder, cut_at: int | None = None, ignored: Callable[[Call], bool] = lambda _: False
        ) -> tuple[SimulatedFiles, Told]:  # fmt: skip
    """Do the work on such a folder, up to a call."""
    files = SimulatedFiles(before)
    files.cut_at, files.ignored = cut_at, ignored
    told: Told = []
    try:
        work(files, told)
        assert not files.outputs, f"{[output.name for output in files.outputs]} were never closed"
    except PowerLoss:
        assert files.off
    return files, told


def losses(
    work: Work, before: Folder, check: Check, ignored: Callable[[Call], bool] = lambda _: False, limit: int = 2000
) -> Iterator[str]:
    """Every way in which something is lost: where the power went, and what was wrong then."""
    random = Random(1)
    whole, _ = run(work, before, None, ignored)
    for cut_at in [*range(len(whole.calls)), WHOLE]:
        files, told = run(work, before, cut_at, ignored)
        for folder in [files.after_kill(), *files.every_crash(random, limit)]:
            if why := check(folder, told):
                last = files.calls[-1]
                yield f"power gone amid call {last.number}, {last.kind} {last.name} ({last.sites[0]}): {why}"


def sync_sites(work: Work, before: Folder) -> set[str]:
    """Where the program syncs in the course of that work, and where that is called."""
    files, _ = run(work, before)
    return {site for call in files.calls if call.kind in SYNCS for site in call.sites}


def without(site: str) -> Callable[[Call], bool]:
    """Ignores the syncs that are made there."""
    return lambda call: site in call.sites


def syncs_in(module: ModuleType, *functions: str) -> set[str]:
    """Where a module syncs files or names, in these functions, or in all."""
    found: set[str] = set()
    source = Path(str(module.__file__))
    for function in ast.walk(ast.parse(source.read_text())):
        if isinstance(function, ast.FunctionDef) and (not functions or function.name in functions):
            found |= {
                f"{source.name}:{node.lineno}"
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sync"
            }
    return found
