"""The judge of clients' histories: `checker/main.go` around porcupine, a linearizability checker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "checker"
GO = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client asked of a node; times are nanoseconds of CLOCK_MONOTONIC."""

    client: int
    node: int
    key: str
    kind: str
    """`get`, `set` or `incr`."""
    argument: str
    sent: int
    received: int
    """`NEVER` if there was no answer: then it may have happened at any time since, or not at all."""
    result: str | None
    """None: there is no such key."""


NEVER = 0


def build(folder: Path) -> Path:
    """The program, in `folder`."""
    assert GO is not None, "the checker of histories is a Go module, and there is no go: install Go (`make setup` does)"
    program = folder / "checker"
    done = subprocess.run(
        [GO, "build", "-trimpath", "-buildvcs=false", "-o", program, "."],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"the checker of histories does not build: {done.stderr}"
    return program


def judge(program: Path, operations: Iterable[Operation]) -> list[str]:
    """What is wrong with these histories: nothing if each key's is linearizable."""
    done = subprocess.run([program], input=as_lines(operations), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return [done.stdout + done.stderr]


def as_lines(operations: Iterable[Operation]) -> str:
    return "".join(json.dumps(_document(operation)) + "\n" for operation in operations)


def _document(operation: Operation) -> dict[str, object]:
    document = asdict(operation)
    document["call"], received = document.pop("sent"), document.pop("received")
    return document | ({} if received == NEVER else {"return": received})
