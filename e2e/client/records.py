"""Loads records of real text into a cluster and reads them back, as an application would: with plain redis-py.

    apt-cache dumpavail | python records.py HOST PORT      (the password in the environment, PASSWORD)

Records are separated by empty lines; a record's key is its package, version and architecture, and a number where these
are not unique. Prints what it did as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice

from connecting import connect

BATCH = 500


def records(text: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for record in text.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in record.split(b"\n") if b": " in line and line[:1] != b" ")
        if b"Package" in fields:
            key = b":".join(fields.get(name, b"") for name in (b"Package", b"Version", b"Architecture"))
            if b"package:" + key in found:
                key += b"#%d" % len(found)
            found[b"package:" + key] = record
    return found


def batches(items: Iterator[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    while batch := list(islice(items, BATCH)):
        yield batch


def main(host: str, port: int) -> int:
    wanted = records(sys.stdin.buffer.read())
    client = connect(host, port)
    started = time.monotonic()
    for batch in batches(iter(wanted.items())):
        pipeline = client.pipeline()
        for key, value in batch:
            pipeline.set(key, value)
        pipeline.execute()
    loaded = time.monotonic()
    different = []
    for batch in batches(iter(wanted.items())):
        pipeline = client.pipeline()
        for key, _ in batch:
            pipeline.get(key)
        answers = pipeline.execute()
        different += [key.decode() for (key, value), answer in zip(batch, answers, strict=True) if answer != value]
    report = {
        "records": len(wanted),
        "bytes": sum(map(len, wanted.values())),
        "keys_by_node": sorted(client.dbsize(target_nodes=node) for node in client.get_primaries()),
        "different": different[:10],
        "load_seconds": round(loaded - started, 2),
        "read_seconds": round(time.monotonic() - loaded, 2),
    }
    print(json.dumps(report))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
