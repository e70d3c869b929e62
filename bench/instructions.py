"""How many instructions an operation takes, function by function: `python bench/instructions.py GET --pipeline 16`.

The server runs under `valgrind --tool=callgrind` and redis-benchmark drives it as `compare.py` does. What is counted
are the instructions of the server's process between two points, the kernel's left out; they hardly depend on what else
the machine does, so that two states of the code can be told apart by less than a percent. An instruction is no time:
what misses the cache, or calls the kernel, costs more than it counts here. `compare.py` measures time.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator

from compare import (
    CONNECTIONS,
    EVERY_DEPTH,
    KEYS,
    OPERATIONS,
    VALUE_BYTES,
    BenchError,
    commands,
    connect,
    fill,
    filling,
    free_port,
    node_environment,
)
from sorted_set import LARGE, SMALL

WARM_UP = 1_600
START_SECONDS = 120
READY = b"Ready to accept connections"
ALL = LARGE | SMALL | OPERATIONS
"""Name -> what redis-benchmark is told to send. Sorted sets hold what the operations before have put there."""
Function = tuple[str, str]
"""The file that holds its code, and its name."""
NAMED = re.compile(r"\((\d+)\)(?: (.*))?")
COPIES = re.compile(r"'\d+$|\.(?:constprop|part|isra|cold)(?:\.\d+)*$")
"""What tells copies of a function apart: how deep it calls itself, how the compiler cut it."""


class Profile:
    """The file that callgrind writes: https://valgrind.org/docs/manual/cl-format.html."""

    def __init__(self, text: str) -> None:
        self.names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}}
        """By kind and number: a name is written out where it comes first."""
        self.counts: Counter[Function] = Counter()
        """What each function took itself."""
        self.below: Counter[tuple[Function, Function]] = Counter()
        """By caller and callee: what the calls took, with all that they called."""
        self.read(text)

    def read(self, text: str) -> None:
        places = {"ob": "", "cob": ""}
        function = callee = ("", "")
        called = False
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key in places:
                places[key] = self.name("ob", value)
                if key == "ob":
                    places["cob"] = places["ob"]
            elif key == "fn":
                function = self.function(places["ob"], value)
            elif key == "cfn":
                callee = self.function(places["cob"], value)
                places["cob"] = places["ob"]
            elif key == "calls":
                called = True  # the next line says what the callee took
            elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
                count = int(line.split()[1])
                if called:
                    self.below[function, callee] += count
                else:
                    self.counts[function] += count
                called = False

    def function(self, place: str, value: str) -> Function:
        return pathlib.Path(place).name.partition(".")[0], COPIES.sub("", self.name("fn", value))

    def name(self, kind: str, value: str) -> str:
        found = NAMED.fullmatch(value)
        if found is None:
            return value
        number, name = found.groups()
        if name:
            self.names[kind][number] = name
        return self.names[kind][number]


class Counted:
    """A server under callgrind."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: pathlib.Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    def settle(self) -> None:
        """Wait until it has started in every respect: it serves before that, and the rest would count as well."""
        deadline = time.monotonic() + START_SECONDS
        while READY not in self.folder.joinpath("log").read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)

    def control(self, option: str) -> None:
        done = subprocess.run(["callgrind_control", option, str(self.process.pid)], capture_output=True, text=True)
        if "OK." not in done.stdout:
            raise BenchError(f"callgrind_control {option} failed: {done.stdout}{done.stderr}")

    def drive(self, operation: str, pipeline: int, requests: int) -> None:
        done = subprocess.run(
            [
                *("redis-benchmark", "-h", "127.0.0.1", "-p", str(self.port), "-q", "-n", str(requests)),
                *("-c", str(CONNECTIONS), "-P", str(pipeline), "-d", str(VALUE_BYTES), "-r", str(KEYS)),
                *ALL[operation],
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode or "ERR" in done.stdout:
            raise BenchError(f"redis-benchmark failed: {done.stdout}{done.stderr}")

    def profile(self, operation: str, pipeline: int, requests: int) -> Profile:
        self.drive(operation, pipeline, WARM_UP)
        self.control("--dump")
        self.drive(operation, pipeline, requests)
        self.control("--dump")
        newest = max(self.folder.glob("counts.*"), key=lambda path: int(path.suffix[1:]))
        return Profile(newest.read_text(errors="replace"))


@contextlib.contextmanager
def counted(name: str, command: list[str]) -> Iterator[Counted]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counts", *command),
                    *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder),
                ],
                env={**node_environment(), "PYTHONHASHSEED": "0"},
                stdout=output,
                stderr=output,
            )
        try:
            fill(connect(name, process, port, log, START_SECONDS), filling())
            server = Counted(process, port, pathlib.Path(folder))
            server.settle()
            yield server
        finally:
            process.kill()
            process.wait()


def shown(profile: Profile, requests: int, top: int) -> str:
    lines = []
    files: Counter[str] = Counter()
    for (place, _), count in profile.counts.items():
        files[place] += count
    lines.append(f"{sum(files.values()) / requests:8.0f}  instructions an operation; by file:")
    lines += [f"{count / requests:8.0f}  {place}" for place, count in files.most_common(12)]
    lines.append("by function, without what it calls:")
    lines += [f"{count / requests:8.1f}  {place}: {name}" for (place, name), count in profile.counts.most_common(top)]
    lines.append("by function, with what it calls:")
    totals: Counter[Function] = Counter()
    for (caller, callee), count in profile.below.items():
        if caller != callee:
            totals[callee] += count
    lines += [f"{count / requests:8.1f}  {place}: {name}" for (place, name), count in totals.most_common(top)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operations", nargs="*", default=EVERY_DEPTH, help=f"of {', '.join(ALL)}")
    parser.add_argument("--pipeline", type=int, default=16)
    parser.add_argument("--requests", type=int, default=16_000)
    parser.add_argument("--server", default="Ringkeeper", choices=("Ringkeeper", "Redis", "Valkey"))
    parser.add_argument("--top", type=int, default=40, help="functions to show; 0 shows the total alone")
    options = parser.parse_args()
    try:
        if shutil.which("valgrind") is None:
            raise BenchError("valgrind is needed: apt-get install valgrind")
        with counted(options.server, commands()[options.server]) as server:
            for operation in options.operations:
                profile = server.profile(operation, options.pipeline, options.requests)
                print(f"{operation}, pipeline {options.pipeline}, {options.server}")
                print(shown(profile, options.requests, options.top), flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
