"""SORT line by line, beside a real Redis and a real Valkey."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from real_redis import real_redis

sys.path.append(str(Path(__file__).parents[1] / "differential"))

from compare import Peer, normal
from in_process import InProcess

from ringkeeper import commands
from ringkeeper.commands.doubles import strtod

LINES = r"""
RPUSH l 3 1 2 10 -1 2 1e1
SORT l | SORT l DESC | SORT l ALPHA | SORT l ALPHA DESC | SORT_RO l LIMIT 1 2 | sort l asc desc asc
SORT l LIMIT 0 0 | SORT l LIMIT 2 -1 | SORT l LIMIT -5 3 | SORT l LIMIT 100 1 | SORT l LIMIT 6 10 | SORT l LIMIT 7 1
SORT l LIMIT 9223372036854775807 9223372036854775807 | SORT l LIMIT 1 9223372036854775807 | SORT l LIMIT x 1
SORT l LIMIT 1 | SORT l LIMIT | SORT l LIMIT 1 x | SORT l LIMIT 1 2 3 | SORT l LIMIT 9223372036854775808 1
SORT l BY nosort | SORT l BY nosort DESC | SORT l BY nosort LIMIT 1 3 | SORT l BY nosort LIMIT 7 1 GET #
SORT l BY | SORT l GET | SORT l STORE | SORT l NOPE | SORT | SORT_RO l STORE x | SORT l BY nosort BY w_*
MSET w_1 30 w_2 20 w_3 10 w_10 5 w_-1 20 w_1e1 20
SORT l BY w_* | SORT l BY w_* DESC | SORT l BY w_* GET # GET w_* | SORT l BY w_* LIMIT 1 3 GET w_*
SORT l BY w_* ALPHA | SORT l BY w_* ALPHA DESC | SORT l BY v_* | SORT l BY v_* ALPHA | SORT l BY v_* ALPHA DESC
HSET h_1 f 7 g a | HSET h_2 f 5 g b | HSET h_10 f 6
SORT l BY h_*->f | SORT l BY h_*->g ALPHA GET h_*->g | SORT l GET h_*->f GET h_*-> GET h_* GET l GET # GET #x
SORT l BY w_*->f | SORT l GET w_*->f | SORT l BY *->f | SORT l GET * | SORT l GET ->* | SORT l GET h_*->f->g
SET h_1->f x | SORT l GET h_*->f | SORT l GET h_*->g*
SORT l STORE d | LRANGE d 0 -1 | TYPE d | SORT l BY nosort GET w_* GET v_* STORE d | LRANGE d 0 -1
SORT l LIMIT 100 1 STORE d | EXISTS d | SORT nokey | SORT nokey STORE d | SORT nokey BY nosort DESC ALPHA LIMIT 0 5
EXPIRE l 1000 | SORT l STORE l | TTL l | LRANGE l 0 -1 | SET d text | EXPIRE d 100 | SORT l STORE d | TTL d | TYPE d
SADD s 10 9 8 7 6 5 4 3 2 1 | SORT s | SORT s DESC | SORT s ALPHA | SORT s BY nosort STORE d | LRANGE d 0 -1
SORT s BY nosort DESC LIMIT 2 3 STORE d | LRANGE d 0 -1 | SORT s BY w_* GET # | SORT s BY h_*->f DESC LIMIT 0 3
ZADD z 3 a 2 c 1 b 1 10 | OBJECT ENCODING z | SORT z ALPHA | OBJECT ENCODING z | SORT z BY nosort
SORT z BY nosort DESC | SORT z BY nosort LIMIT 1 2 | SORT z BY nosort DESC LIMIT 1 2
SORT z BY nosort LIMIT 4 1 | SORT z BY nosort LIMIT 0 0
SORT z | SORT z DESC ALPHA LIMIT 0 2 | ZREM z a b c | SORT z STORE d | ZADD z 5 9 | SORT z DESC GET # GET w_* STORE d
LRANGE d 0 -1 | SORT_RO z BY w_* | SORT z STORE z | TYPE z
RPUSH text b a c B ab | SORT text | SORT text BY nosort | SORT text ALPHA | SORT text ALPHA STORE d | SORT text STORE d
LRANGE d 0 -1 | SORT text BY w_* | SET w_a x | SORT text BY w_* | SORT text LIMIT 0 0
SET string x | SORT string | HSET hash f v | SORT hash | SORT string BY nosort | SORT string NOPE
SORT l DESC GET # STORE d STORE e | LRANGE e 0 -1 | EXISTS d | COPY l copy | SORT copy BY copy | SORT copy BY copy*
DEL n | RPUSH n 4 inf -inf -0 0 007 .5 6. +3 1e2 INFINITY | SORT n | SORT n DESC
ZADD y 3 10 1 20 2 5 2 7 9 x | SORT y BY nosort | OBJECT ENCODING y | SORT y BY nosort DESC | SORT y BY nosort LIMIT 1 2
SORT y BY nosort DESC LIMIT 1 2 | SORT y BY nosort LIMIT -3 2 | SORT y BY nosort LIMIT 5 2 | SORT y BY nosort LIMIT 4 9
SORT y | SORT y ALPHA | SORT y ALPHA DESC LIMIT 1 3 GET # | SORT y BY nosort DESC LIMIT 1 3 STORE d | LRANGE d 0 -1
ZREM y x | SORT y | SORT y DESC LIMIT 1 2 | SORT_RO y BY nosort DESC LIMIT 0 3 GET # | SORT y BY w_* GET w_* GET #
SORT y STORE y | TYPE y | LRANGE y 0 -1 | ZADD z2 1 a | SORT z2 NOPE | OBJECT ENCODING z2 | SORT z2 | OBJECT ENCODING z2
ZADD z3 1 a 1 b -1 c | SORT_RO z3 ALPHA | OBJECT ENCODING z3 | SORT z3 BY nosort GET h_*->f STORE d | LRANGE d 0 -1
RPUSH m 1 nan | SORT m | SORT m ALPHA | RPUSH m2 1_0 | SORT m2 | RPUSH m3 0x | SORT m3 | RPUSH m4 1e | SORT m4
"""
RAW: list[list[bytes]] = [
    [b"RPUSH", b"nul", b"5\0x", b"5\0a", b"7"],
    [b"SORT", b"nul"],
    [b"RPUSH", b"nul", b"", b" 4", b"\t3", b"\0"],
    [b"SORT", b"nul", b"ALPHA"],
    [b"SORT", b"nul", b"ALPHA", b"DESC"],
    [b"SORT", b"nul", b"ALPHA", b"STORE", b"d"],
    [b"LRANGE", b"d", b"0", b"-1"],
    [b"SORT", b"l", b"BY", b"\0*"],
    [b"SORT", b"l", b"BY", b"w_\0*", b"GET", b"#\0x", b"GET", b"w_*\0", b"GET", b"h_*->\0f", b"GET", b"h_*->f\0"],
    [b"RPUSH", b"space", b"1 "], [b"SORT", b"space"],
    [b"RPUSH", b"blank", b" "], [b"SORT", b"blank"],
    [b"RPUSH", b"high", b"\xff", b"\x7f", b"\x80", b"a"], [b"SORT", b"high", b"ALPHA"],
]  # fmt: skip
REDIS_NUMBERS: list[list[bytes]] = [
    [b"RPUSH", b"odd", b"0x10", b"", b" 4", b"\t3", b"\0", b"0X1P-1"], [b"SORT", b"odd"],
    # In the end, since C's error number stays what it was: nothing fractional is sorted behind them.
    [b"RPUSH", b"large", b"1e400"], [b"SORT", b"large"],
    [b"RPUSH", b"small", b"1e-400"], [b"SORT", b"small"],
    [b"RPUSH", b"denormal", b"4.9e-324"], [b"SORT", b"denormal"],
]  # fmt: skip
"""Valkey no longer asks the C library."""


def lines() -> list[list[bytes]]:
    return [line.encode().split() for text in LINES.split("\n") for line in text.split("|") if line.strip()] + RAW


@pytest.mark.parametrize("server", ["redis", "valkey"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_every_line_gets_the_reply_of_a_real_server(tmp_path: Path, server: str, protocol: int) -> None:
    ours = InProcess(protocol)
    with real_redis(tmp_path, server) as port, contextlib.closing(Peer(port, protocol)) as theirs:
        for line in lines() + (REDIS_NUMBERS if server == "redis" else []):
            theirs_reply, our_reply = theirs.run([line])[0], ours.run([line])[0]
            assert normal([], our_reply) == normal([], theirs_reply), line
    ours.check()


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"", 0.0), (b"12", 12.0), (b" \t12", 12.0), (b"-1.5e3", -1500.0), (b"0x1.8p1", 3.0), (b"0x", None),
     (b"12 ", None), (b"1_0", None), (b"nan", None), (b"inf", float("inf")), (b"-INFINITY", float("-inf")),
     (b"1e400", None), (b"1e-400", None), (b"0e-400", 0.0), (b"5e-324", None), (b"0x1p-1074", 2.0**-1074),
     (b"0x1p-1075", None), (b"0x1.8p-1074", None), (b"0x1p1024", None), (b"1" * 310, None), (b"12\0x", 12.0),
     (b"\xd9\xa1", None), (b"--1", None), (b"0x0p-5000", 0.0), (b"0b1", None), (b".", None)],
)  # fmt: skip
def test_numbers_are_read_as_the_c_library_reads_them(text: bytes, number: float | None) -> None:
    if number is None:
        with pytest.raises(ValueError, match=r"."):
            strtod(text)
    else:
        assert strtod(text) == number


def test_patterns_are_refused_in_a_cluster_and_to_who_may_not_read_every_key() -> None:
    ours = InProcess(2)
    context: Any = ours.session.context
    for option in (b"BY", b"GET"):
        line = [b"SORT", b"l", option, b"w_*"]
        context.cluster.enabled = True
        assert ours.run([line])[0].text == f"ERR {option.decode()} option of SORT denied in Cluster mode."
        context.cluster.enabled = False
        context.access.may_read_every_key = lambda *_: False
        text = f"ERR {option.decode()} option of SORT denied due to insufficient ACL permissions."
        assert ours.run([line])[0].text == text
        context.access.may_read_every_key = lambda *_: True
    context.cluster.enabled = True
    assert ours.run([[b"SORT", b"l", b"BY", b"nosort"]])[0] == []


def test_the_destination_is_a_key_of_the_command_and_patterns_are_none() -> None:
    sort = commands.load()[b"sort"]
    assert sort.key_positions(b"sort k store a by w_* store b get store limit 1 2".split()) == [1, 7]
    assert sort.key_positions(b"sort k by store limit store 1".split()) == [1]
    assert commands.load()[b"sort_ro"].key_positions(b"sort_ro k store a".split()) == [1]


def test_a_hundred_thousand_elements_are_sorted_in_seconds() -> None:
    ours = InProcess(2)
    many = 100_000
    ours.run([[b"RPUSH", b"l", *(b"%d" % (i * 7919 % many) for i in range(many))]])
    started = time.monotonic()
    assert ours.run([[b"SORT", b"l", b"STORE", b"d"], [b"LINDEX", b"d", b"-1"]]) == [many, b"%d" % (many - 1)]
    assert time.monotonic() - started < 20
