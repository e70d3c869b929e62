"""How fast keys go whose time has come all at once, what share of the processor that takes, and who waits for it.

    python bench/expiry.py --keys 2000000
    python bench/expiry.py --keys 2000000 --load      # while redis-benchmark keeps the node busy

Needs the compiled form. Prints keys reclaimed per second of the processor and of the clock, and the longest round trip
of a PING meanwhile.
"""

from __future__ import annotations

import argparse
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

from server_process import Server

BATCH = 10_000
COMMAND = b"*5\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%064d\r\n$4\r\nPXAT\r\n$13\r\n%013d\r\n"


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def ask(self, *words: object) -> bytes:
        parts = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))
        line = self.file.readline()
        if line[:1] == b"$":
            return self.file.read(int(line[1:]) + 2)
        return line[1:].strip()

    def figures(self, section: str) -> dict[str, str]:
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def fill(self, keys: int, at_ms: int) -> None:
        for first in range(0, keys, BATCH):
            count = min(BATCH, keys - first)
            self.socket.sendall(
                b"".join(
                    b"*5\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%064d\r\n$4\r\nPXAT\r\n$13\r\n%013d\r\n"
                    % (n, n, at_ms)
                    for n in range(first, first + count)
                )
            )
            for _ in range(count):
                assert self.file.readline() == b"+OK\r\n"


def measure(port: int, keys: int) -> None:
    connection = Connection(port)
    connection.ask("FLUSHALL")
    due_ms = int(time.time() * 1000) + 5_000 + keys // 50
    connection.fill(keys, due_ms)
    before = connection.figures("stats")
    while time.time() * 1000 < due_ms:
        time.sleep(0.01)
    began = time.monotonic()
    longest = 0.0
    after_second = -1
    while int(connection.ask("DBSIZE")):
        sent = time.monotonic()
        connection.ask("PING")
        longest = max(longest, time.monotonic() - sent)
        if after_second < 0 and time.monotonic() - began > 1:
            after_second = int(connection.ask("DBSIZE"))
        time.sleep(0.001)
    took = time.monotonic() - began
    after = connection.figures("stats")
    spent = int(after["expire_cycle_cpu_milliseconds"]) - int(before["expire_cycle_cpu_milliseconds"])
    print(
        f"{keys:,} keys due at once: gone in {took:.2f} s, {spent / 1000:.2f} s of it spent on them "
        f"({spent / took / 10:.0f} % of the time); {keys / spent:,.0f} thousand keys a second of processor, "
        f"{keys / took:,.0f} a second of the clock; left after one second: {max(after_second, 0):,}; "
        f"longest PING {1000 * longest:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--load", action="store_true", help="keep the node busy meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(pathlib.Path(folder))
        load = None
        if options.load:
            words = ["redis-benchmark", "-p", str(server.port), "-q", "-n", "1000000000", "-P", "16", "-t", "get"]
            load = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            measure(server.port, options.keys)
        finally:
            if load is not None:
                load.terminate()
                load.wait()
            server.stop()


if __name__ == "__main__":
    main()
