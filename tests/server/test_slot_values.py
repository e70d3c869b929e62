"""What is told of a key makes the same key elsewhere, whatever its type, and whatever was there before."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "differential")]

from in_process import InProcess  # noqa: E402

from ringkeeper import commands  # noqa: E402
from ringkeeper.commands.digest import digest_of_value  # noqa: E402
from ringkeeper.server.slot_feed import LEAST, MOST, Share  # noqa: E402
from ringkeeper.server.slot_values import whole  # noqa: E402

MAKING = [
    ["SET k v"],
    ["SET k 12345 PXAT 4000000000000"],
    ["SETRANGE k 5 abc"],
    ["HSET k a 1 b 2 c 3"],
    ["HSET k a 1 b 2", "HPEXPIREAT k 4000000000000 FIELDS 1 a"],
    ["RPUSH k a b a 12"],
    ["SADD k a b 12"],
    ["SADD k 1 2 3"],
    ["ZADD k 0.1 a -inf b 3 c 1e300 d -0.0 e"],
    ["ZADD k 1 a", "PEXPIREAT k 4000000000000"],
    [f"HSET k {' '.join(f'field{n} {n}' for n in range(600))}"],
    [f"RPUSH k {' '.join(map(str, range(600)))}"],
    [f"SADD k {' '.join(f'member{n}' for n in range(600))}"],
    [f"ZADD k {' '.join(f'{n} member{n}' for n in range(600))}"],
]
BEFORE = ["SET k before PX 100000", "HSET k before 1 a 9", "RPUSH k before", "SADD k before", "ZADD k 9 before"]


def run(node: InProcess, *lines: str) -> None:
    for line in lines:
        words = [word.encode() for word in line.split()]
        commands.load()[words[0].lower()].function(node.session.context, words)


@pytest.mark.parametrize("before", [None, *BEFORE])
@pytest.mark.parametrize("making", MAKING, ids=lambda lines: lines[0][:30])
def test_a_key_is_the_same_there(making: list[str], before: str | None) -> None:
    source, target = InProcess(1), InProcess(1)
    run(source, *making)
    if before is not None:
        run(target, before)
    there, here = target.session.context.databases[0], source.session.context.databases[0]
    value = here.look(b"k")
    assert value is not None
    words = whole(here, b"k", value, fresh=before is None)
    commands.load()[words[0].lower()].function(target.session.context, words)
    assert digest_of_value(there.look(b"k"), there.expiry(b"k")) == digest_of_value(value, here.expiry(b"k"))


def test_a_feed_takes_what_others_leave_and_a_part_at_least() -> None:
    share = Share()
    assert share.part(1) == MOST
    share.busy = 0.5
    assert share.part(1) == pytest.approx(MOST - 0.5)
    share.busy = 1.0
    assert share.part(1) == LEAST
    assert share.part(2) == LEAST / 2
