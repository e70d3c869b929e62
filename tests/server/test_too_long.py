"""Strings of 512 MiB, and what would be a byte longer: refused as on Redis and Valkey, and nothing has changed.

That a longer word is refused when it comes is shown in `test_hostile_input.py`.
"""

from typing import Any

from worlds import World

LONGEST = 512 * 1024**2
BITS = 8 * LONGEST
REFUSED: list[list[str | int]] = [
    ["APPEND", "long", "x"], ["SETRANGE", "long", LONGEST, "x"], ["SETRANGE", "short", LONGEST - 1, "xx"],
    ["SETRANGE", "none", LONGEST, "x"], ["SETRANGE", "none", 2**63 - 1, "x"], ["SETRANGE", "none", 2**63, "x"],
    ["SETRANGE", "short", -1, "x"], ["SETRANGE", "none", -(2**63), "x"], ["SETBIT", "short", BITS, 1],
    ["SETBIT", "none", 2**63 - 1, 1], ["SETBIT", "none", -1, 1], ["GETBIT", "short", BITS],
    ["LCS", "long", "short"], ["INCR", "long"], ["INCRBYFLOAT", "long", 1], ["SETRANGE", "list", LONGEST, "x"],
]  # fmt: skip
HELD: list[list[str | int]] = [
    ["DBSIZE"], ["STRLEN", "long"], ["GETRANGE", "long", LONGEST - 3, LONGEST], ["GET", "short"],
    ["LRANGE", "list", 0, -1], ["EXISTS", "none"],
]  # fmt: skip


def answers(name: str, port: int) -> tuple[list[Any], list[Any], list[Any]]:
    """To what is refused; and what was there before and behind it."""
    world = World(name, port)
    with world.exits:
        assert world.other("SETRANGE", "long", LONGEST - 1, "x") == LONGEST
        world.other("SET", "short", "abc"), world.other("RPUSH", "list", "a")
        before = [world.other(*words) for words in HELD]
        refused = [world.other(*words) for words in REFUSED]
        behind = [world.other(*words) for words in HELD]
        world.other("FLUSHALL")
        return refused, before, behind


def test_a_string_grows_to_512_mib_and_no_further(all_servers: dict[str, int]) -> None:
    told = {name: answers(name, port) for name, port in all_servers.items()}
    refused, before, behind = told["node"]
    assert [reply[:4] for reply in refused] == ["-ERR"] * (len(REFUSED) - 1) + ["-WRO"]
    assert before == behind
    assert told["node"] == told["redis"] == told["valkey"]


def test_a_lower_proto_max_bulk_len_bounds_what_strings_grow_to(all_servers: dict[str, int]) -> None:
    longest = 1024**2
    told = {}
    for name, port in all_servers.items():
        world = World(name, port)
        with world.exits:
            before = world.other("CONFIG GET", "proto-max-bulk-len")
            world.other("CONFIG SET", "proto-max-bulk-len", longest)
            told[name] = [
                world.other("SETRANGE", "k", longest - 1, "x"), world.other("APPEND", "k", "x"),
                world.other("SETRANGE", "k", longest, "x"), world.other("SETBIT", "k", 8 * longest - 1, 1),
                world.other("SETBIT", "k", 8 * longest, 1), world.other("STRLEN", "k"), world.other("LCS", "k", "k"),
            ]  # fmt: skip
            world.other("CONFIG SET", "proto-max-bulk-len", before[1])
            world.other("FLUSHALL")
    assert told["node"] == told["redis"] == told["valkey"]
