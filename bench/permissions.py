"""What users' rules cost a command: `python bench/permissions.py [--seconds S]`.

Runs GET through dispatch in memory, as `bench/execute.py` does, for an unrestricted user and for users with ever more
rules. Prints nanoseconds of CPU per command, the least of many short runs that take turns, and what comes on top of the
first as a share of it. A whole GET on a socket costs several times as much, so there the share is smaller.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any, cast

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests" / "differential")]

from in_process import InProcess  # noqa: E402

from ringkeeper import commands  # noqa: E402
from ringkeeper.access.permissions import PermissionGate  # noqa: E402
from ringkeeper.access.user import User  # noqa: E402

ROUND = 2_000
USERS = {
    "unrestricted": b"+@all ~* &*",
    "commands": b"+@read ~*",
    "a prefix": b"+@all ~key:*",
    "a pattern": b"+@all ~*:key",
    "ten prefixes": b"+@read " + b" ".join(b"~tenant%d:*" % i for i in range(9)) + b" ~key:*",
    "two selectors": b"-@all (+set ~*) (+get ~key:*)",
}


def runner(peer: InProcess, rules: bytes) -> Any:
    """Runs a batch for a user with these rules; gives nanoseconds a command."""
    user = User(b"somebody", commands.load())
    user.change(words(rules))
    restricted = not user.permissions.unrestricted

    def run(batch: list[list[bytes]]) -> float:
        out = bytearray()
        session, context, execute = peer.session, peer.session.context, peer.dispatcher.execute
        session.user = user
        begun = time.thread_time_ns()
        for args in batch:
            execute(session, context, args, out, restricted)
        spent = time.thread_time_ns() - begun
        assert b"-" not in out[:1], bytes(out[:100])
        return spent / len(batch)

    return run


def words(rules: bytes) -> list[bytes]:
    """A selector is one word."""
    found: list[bytes] = []
    for word in rules.split():
        if found and found[-1].startswith(b"(") and not found[-1].endswith(b")"):
            found[-1] += b" " + word
        else:
            found.append(word)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    peer = InProcess(2)
    gate = PermissionGate(cast(Any, lambda *refused: AssertionError(refused))).ask
    peer.dispatcher.choose_gates(lambda _: ((), (cast(Any, gate),)))
    runs = {name: runner(peer, rules) for name, rules in USERS.items()}
    least = dict.fromkeys(runs, float("inf"))
    batch = [[b"GET", b"key:%06d%b" % (i, b":key")] for i in range(ROUND)]
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        for name, run in runs.items():
            least[name] = min(least[name], run(batch))
    for name, spent in least.items():
        print(f"{name:<15}{spent:6.0f} ns   + {100 * (spent / least['unrestricted'] - 1):.0f} %")


if __name__ == "__main__":
    main()
