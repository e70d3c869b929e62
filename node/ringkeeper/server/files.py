"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ringkeeper.persist.files import DiskFiles, Output, write_whole


def write_durably(path: Path, data: bytes) -> None:
    """Write beside the file, fsync, rename over it, fsync the folder. Raises `OSError`, the old content being in place.

    A file that is there keeps its permissions; a new one is its owner's alone.
    """
    temporary = f".{path.name}.tmp"

    def fill(output: Output) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(temporary).chmod(path.stat().st_mode & 0o777)
        output.write(data)

    write_whole(DiskFiles(str(path.parent)), path.name, temporary, fill)
