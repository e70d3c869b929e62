"""Every form that a value ever had in RDB is read here as by real servers, and they read what is written here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from persist.corpus import Example, contents, every_form
from real_redis import real_redis

from ringkeeper.commands.generic import encoding_of
from ringkeeper.persist.packed import listpack, write_listpack
from ringkeeper.persist.payload import dump, restore
from ringkeeper.persist.values import READERS
from ringkeeper.types.collection import Limits

LIMITS = Limits()
EXAMPLES = every_form()
MODERN = (0x14, 0x16)
"""Forms that Redis 7.0 does not know."""
LEFT_OPEN = ("small ziplist", "set listpack of numbers")
"""Values whose encoding is of their form: the one that is written leaves it to the reader."""


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, redis.Redis]]:
    with real_redis(tmp_path_factory.mktemp(request.param), request.param) as port:
        yield request.param, redis.Redis(port=port)


def test_there_is_an_example_of_every_form() -> None:
    assert {example.payload[0] for example in EXAMPLES} == {0, *READERS}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_it_is_read_and_comes_back_from_what_is_written(example: Example) -> None:
    value = restore(example.payload, LIMITS)
    assert contents(value) == example.holds
    assert contents(restore(dump(value), LIMITS)) == example.holds


def test_real_servers_read_what_is_written_and_what_they_write_is_read(server: tuple[str, redis.Redis]) -> None:
    name, client = server
    for example in EXAMPLES:
        value = restore(example.payload, LIMITS)
        if name == "redis" and example.payload[0] == 0x16:
            continue
        client.restore("ours", 0, dump(value), replace=True)
        assert contents(restore(client.dump("ours"), LIMITS)) == example.holds, example.name
        if name == "redis" and example.payload[0] in MODERN:
            continue
        client.restore("theirs", 0, example.payload, replace=True)
        assert contents(restore(client.dump("theirs"), LIMITS)) == example.holds, example.name
        if name == "valkey" and not 44 < len(value) <= 64 and example.name != "hash 2 without times":
            encoding = client.object("encoding", "theirs")
            assert encoding_of(value) == encoding, example.name
            if example.name not in LEFT_OPEN:
                assert client.object("encoding", "ours") == encoding, example.name


def test_a_listpack_is_written_as_redis_writes_it(tmp_path: Path) -> None:
    elements = [b"", b"0", b"-1", b"127", b"128", b"-4096", b"4095", b"-4097", b"32768", b"8388608", b"2147483648",
                b"-9223372036854775808", b"9223372036854775808", b"01", b"-0", b"x" * 63, b"y" * 64,
                b"z" * 4096]  # fmt: skip
    assert listpack(write_listpack(elements)) == elements
    with real_redis(tmp_path, "valkey") as port:
        client = redis.Redis(port=port)
        client.config_set("list-max-listpack-size", -5)
        client.config_set("rdbcompression", "no")
        client.rpush("list", *elements)
        assert write_listpack(elements) in client.dump("list")
