"""Writes many values of a kilobyte, or looks whether each of them is there as it was written, with plain redis-py.

    python thousands.py write|check HOST PORT COUNT      (the password in the environment, PASSWORD)

Prints JSON.
"""

from __future__ import annotations

import json
import sys

from connecting import connect

BATCH = 500
SIZE = 1000


def value(number: int) -> bytes:
    return (b"%08d" % number) * (SIZE // 8)


def main(what: str, host: str, port: int, count: int) -> None:
    client = connect(host, port)
    different = []
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        pipeline = client.pipeline()
        for number in numbers:
            if what == "write":
                pipeline.set(f"thousand:{number}", value(number))
            else:
                pipeline.get(f"thousand:{number}")
        answers = pipeline.execute()
        if what == "check":
            pairs = zip(numbers, answers, strict=True)
            different += [number for number, answer in pairs if answer != value(number)]
    print(json.dumps({"keys": count, "different": len(different), "first": different[:5]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
