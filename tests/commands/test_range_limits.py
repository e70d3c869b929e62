"""LIMIT of sorted sets' ranges at the ends of what a number may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "differential"))

from in_process import InProcess

from ringkeeper import commands

TABLE = commands.load()
MOST = b"9223372036854775807"


@pytest.mark.parametrize("command", [b"ZRANGE z 1 9 BYSCORE", b"ZRANGEBYSCORE z 1 9", b"ZRANGE z [b + BYLEX"])
@pytest.mark.parametrize(("limit", "found"), [((MOST, b"0"), []), ((MOST, MOST), []), ((b"0", MOST), [b"b", b"c"])])
def test_an_offset_may_be_any_number(command: bytes, limit: tuple[bytes, bytes], found: list[bytes]) -> None:
    context = InProcess(1).session.context
    TABLE[b"zadd"].function(context, b"ZADD z 0 a 1 b 1 c".split())
    words = [*command.split(), b"LIMIT", *limit]
    assert TABLE[words[0].lower()].function(context, words) == found
