"""What a voter has promised, on the disk: there before anybody is told. `DIR/voter.json`.

Loads nothing, for the lease process' sake; `server/files.py` does the same for the node.
"""

from __future__ import annotations

import json
import os
from typing import Any

NAME = "voter.json"


def read(folder: str) -> dict[str, Any] | None:
    """None if there is none; raises `OSError`, or `ValueError` for one that cannot be read."""
    try:
        descriptor = os.open(os.path.join(folder, NAME), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        found = json.loads(file.read())
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def write(folder: str, state: dict[str, Any]) -> None:
    """Durably: when this returns it is on the disk. Raises `OSError`, what was there before being in place."""
    path, new = os.path.join(folder, NAME), os.path.join(folder, f".{NAME}.tmp")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(json.dumps(state).encode() + b"\n")
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(new, path)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
