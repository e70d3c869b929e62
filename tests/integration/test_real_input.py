"""Tens of thousands of keys of real text: the descriptions of every package that apt knows. Where there is no apt, the
paragraphs of Python's own library."""

import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from laptop import Cli


def package_records() -> dict[str, bytes]:
    """Package name and version -> its whole record, from `apt-cache dumpavail`."""
    dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True, timeout=60).stdout
    records = {}
    for record in dump.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in record.split(b"\n") if b": " in line and line[:1] != b" ")
        if b"Package" in fields:
            records[f"{fields[b'Package'].decode()}={fields.get(b'Version', b'').decode()}"] = record
    return records


def paragraphs() -> dict[str, bytes]:
    """File and number -> text."""
    library = Path(sysconfig.get_path("stdlib"))
    return {
        f"{path.relative_to(library)}:{number}": text
        for path in library.glob("*.py")
        for number, text in enumerate(path.read_bytes().split(b"\n\n"))
    }


def apt_records() -> dict[str, bytes]:
    records = package_records()
    if len(records) < 10_000:  # a machine whose package lists were never fetched
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=110)
        records = package_records()
    return records


@pytest.mark.parametrize("source", [apt_records, paragraphs] if shutil.which("apt-cache") else [paragraphs])
def test_every_record_reads_back_equal(quickstart: tuple[Cli, int], source: Callable[[], dict[str, bytes]]) -> None:
    records = source()
    assert len(records) > 10_000
    runner, port = quickstart
    names = sorted(records)
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        for start in range(0, len(names), 1000):
            with client.pipeline() as pipeline:
                for name in names[start : start + 1000]:
                    pipeline.set(name, records[name])
                pipeline.execute()
        for start in range(0, len(names), 1000):
            batch = names[start : start + 1000]
            with client.pipeline() as pipeline:
                for name in batch:
                    pipeline.get(name)
                assert pipeline.execute() == [records[name] for name in batch]
    assert sum(node["keys"] for node in runner.status()["nodes"]) >= len(names)
