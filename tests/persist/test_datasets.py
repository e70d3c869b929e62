"""Random values of every type, under random limits, go from real servers to the codec and back, and lose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random, SystemRandom

import pytest
from differential.compare import Peer
from differential.known import is_known
from persist.corpus import contents
from persist.datasets import FAR_MS, commands
from real_redis import real_redis

from ringkeeper.commands.digest import digest_of_value
from ringkeeper.commands.generic import encoding_of
from ringkeeper.persist.payload import dump, restore
from ringkeeper.resp.values import OK, ReplyError
from ringkeeper.store.keyspace import NO_EXPIRY
from ringkeeper.types.collection import Limits

CHOICES = {
    "hash-max-listpack-entries": (5, 128, 512),
    "hash-max-listpack-value": (5, 64, 100),
    "list-max-listpack-size": (-1, -2, -5, 1, 3, 128),
    "list-compress-depth": (0, 1, 2),
    "set-max-intset-entries": (128, 512),
    "zset-max-listpack-entries": (5, 128, 512),
    "zset-max-listpack-value": (5, 64, 100),
}
SINCE_7_2 = {"set-max-listpack-entries": (5, 128), "set-max-listpack-value": (5, 64, 100)}
"""Behind RESTORE, a plain set with more members than an intset may have is a hash table even where they would fit into
a listpack: such limits are not among these."""
ROUNDS = 3
ENCODING = [b"OBJECT", b"ENCODING", b"copy"]
ABOUT_THE_COPY = [[b"DEBUG", b"DIGEST-VALUE", b"copy"], [b"DUMP", b"copy"], ENCODING]


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Peer]]:
    with real_redis(tmp_path_factory.mktemp(request.param), request.param) as port:
        peer = Peer(port, 2)
        yield request.param, peer
        peer.close()


def filled(name: str, peer: Peer, random: Random) -> Limits:
    """A dataset in one database, made under limits that are returned."""
    choices = CHOICES | (SINCE_7_2 if name == "valkey" else {})
    chosen = {directive: random.choice(values) for directive, values in choices.items()}
    made = [[b"FLUSHALL"], [b"CONFIG", b"SET", b"rdbcompression", random.choice([b"yes", b"no"])]]
    made += [[b"CONFIG", b"SET", directive.encode(), b"%d" % value] for directive, value in chosen.items()]
    for command in commands(random, halves=name == "redis"):
        if command[0] != b"SELECT":
            made.append(command)
            if command[0] == b"HSET" and name == "valkey" and random.random() < 0.5:
                made.append([b"HPEXPIREAT", command[1], b"%d" % FAR_MS, b"FIELDS", b"2", *command[2:6:2]])
    assert not [reply for reply in peer.run(made) if isinstance(reply, ReplyError)]
    return Limits(**{key.replace("-", "_"): value for key, value in chosen.items()})


def test_they_come_from_real_servers_and_return(server: tuple[str, Peer]) -> None:
    name, peer = server
    seed = SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    random = Random(seed)
    for _ in range(ROUNDS):
        limits = filled(name, peer, random)
        for key in peer.run([[b"KEYS", b"*"]])[0]:
            payload = peer.run([[b"DUMP", key]])[0]
            value = restore(payload, limits)
            held, digest = contents(value), digest_of_value(value, NO_EXPIRY).hex().encode()
            for sent in (payload, dump(value)):
                assert peer.run([[b"RESTORE", b"copy", b"0", sent, b"REPLACE"]]) == [OK], key
                copied, again, encoding = peer.run(ABOUT_THE_COPY)
                assert copied[0].text == digest, key
                assert contents(restore(again, limits)) == held, key
                assert encoding == encoding_of(value) or is_known(name, ENCODING, encoding, encoding_of(value)), key
