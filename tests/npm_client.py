"""Clients of npm, unmodified, that run the scripts of `integration/npm`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "integration" / "npm"


def install(folder: Path, script: str) -> list[str]:
    """Put a script and the packages that it needs into a folder; the command that runs it there."""
    for name in ("package.json", script):
        shutil.copy(SCRIPTS / name, folder)
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=110)
    return ["node", script]
