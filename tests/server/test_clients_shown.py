"""CLIENT: who is listed, who is killed, and what is said of them; words and errors are Redis 7.0's or Valkey 9.1's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from differential.compare import Peer, normal
from laptop import eventually
from real_redis import real_redis
from server_process import Server, serving

from ringkeeper.resp.values import ReplyError

LIKE_REDIS = """
CLIENT FOO
CLIENT ID x
CLIENT LIST FOO
CLIENT LIST TYPE
CLIENT LIST TYPE foo
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE master
CLIENT LIST TYPE replica x
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 99999999
CLIENT LIST ID 99999999 x
CLIENT KILL
CLIENT KILL foo
CLIENT KILL ID
CLIENT KILL ID x
CLIENT KILL ID 0
CLIENT KILL ID 0 TYPE
CLIENT KILL ID 99999999 TYPE
CLIENT KILL TYPE foo ID x
CLIENT KILL ID x TYPE foo
CLIENT KILL TYPE slave
CLIENT KILL TYPE pubsub
CLIENT KILL TYPE normal TYPE pubsub
CLIENT KILL ADDR 1.1.1.1:1
CLIENT KILL LADDR 1.1.1.1:1
CLIENT KILL USER foo
CLIENT KILL USER default ID 99999999
CLIENT KILL SKIPME foo
CLIENT KILL SKIPME no ID 99999999
CLIENT KILL FOO bar
CLIENT KILL ID 99999998 ID 99999999
CLIENT NO-EVICT foo
CLIENT NO-EVICT on
CLIENT NO-EVICT on x
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 0 foo
CLIENT PAUSE 0 WRITE
CLIENT PAUSE 0 ALL x
CLIENT UNPAUSE
CLIENT REPLY foo
CLIENT SETNAME a b
CLIENT SETNAME abc
CLIENT GETNAME
CLIENT TRACKING on REDIRECT x
CLIENT TRACKING on REDIRECT 99999999
CLIENT UNBLOCK x
CLIENT UNBLOCK 99999999
CLIENT UNBLOCK 99999999 foo
CLIENT UNBLOCK 99999999 ERROR x
"""
LIKE_VALKEY = """
CLIENT KILL MAXAGE 100000
CLIENT KILL MAXAGE x
CLIENT KILL MAXAGE 0
CLIENT KILL MAXAGE 1 ID 99999999
CLIENT NO-TOUCH foo
CLIENT NO-TOUCH on
CLIENT PAUSE 9223372036854775807
CLIENT SETINFO
CLIENT SETINFO foo bar
CLIENT SETINFO Lib-Name x\x01
CLIENT SETINFO LIB-VER 1.0
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("node")) as server:
        yield server


@pytest.mark.parametrize(("name", "lines"), [("redis", LIKE_REDIS), ("valkey", LIKE_VALKEY)])
def test_errors_and_counts_are_the_real_ones(node: Server, tmp_path: Path, name: str, lines: str) -> None:
    commands = [[word.encode() for word in line.split()] for line in lines.splitlines() if line]
    with real_redis(tmp_path, name) as port:
        peers = [Peer(node.port, 2), Peer(port, 2)]
        ours, theirs = (peer.run(commands) for peer in peers)
        for peer in peers:
            peer.close()
    answers = zip(commands, ours, theirs, strict=True)
    different = [(command, normal([], a), normal([], b)) for command, a, b in answers if normal([], a) != normal([], b)]
    assert not different


def fields(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split())


def test_a_line_of_client_list_has_every_field_of_redis_in_its_order(node: Server, tmp_path: Path) -> None:
    with real_redis(tmp_path) as port:
        ours, theirs = (list(fields(own_line(each))) for each in (node.port, port))
    assert [name for name in ours if name in theirs] == theirs
    assert [name for name in ours if name not in theirs] == ["watch", "lib-name", "lib-ver"]


def own_line(port: int) -> str:
    peer = Peer(port, 2)
    line: bytes = peer.run([[b"CLIENT", b"INFO"]])[0]
    peer.close()
    return line.decode()


def ids(peer: Peer, words: str) -> list[int]:
    reply = peer.run([[word.encode() for word in words.split()]])[0]
    return [int(fields(line)["id"]) for line in getattr(reply, "text", reply).decode().splitlines()]


def test_clients_are_listed_by_type_and_by_id_in_the_order_asked_for(node: Server) -> None:
    one, two, reader = Peer(node.port, 3), Peer(node.port, 3), Peer(node.port, 3)
    numbers = [peer.run([[b"CLIENT", b"ID"]])[0] for peer in (one, two, reader)]
    reader.run([[b"SUBSCRIBE", b"c"]])
    assert ids(one, "CLIENT LIST TYPE pubsub") == [numbers[2]]
    assert {numbers[0], numbers[1]} <= set(ids(one, "CLIENT LIST TYPE normal"))
    assert ids(one, f"CLIENT LIST ID {numbers[2]} 99999999 {numbers[0]}") == [numbers[2], numbers[0]]
    assert one.run([[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]]) == [1]
    eventually(lambda: ids(one, "CLIENT LIST TYPE pubsub") == [], "the subscriber is gone")
    assert two.run([[b"PING"]])[0].text == b"PONG"
    for peer in (one, two, reader):
        peer.close()


def test_killing_by_age_spares_the_young_and_its_own_connection(node: Server) -> None:
    old, own = Peer(node.port, 2), Peer(node.port, 2)
    number = old.run([[b"CLIENT", b"ID"]])[0]

    def age() -> int:
        reply = own.run([[b"CLIENT", b"LIST", b"ID", b"%d" % number]])[0]
        return int(fields(getattr(reply, "text", reply).decode())["age"])

    assert own.run([[b"CLIENT", b"KILL", b"MAXAGE", b"60"]]) == [0]
    eventually(lambda: age() >= 1, "a second has gone by")
    assert own.run([[b"CLIENT", b"KILL", b"MAXAGE", b"1", b"ID", b"%d" % number]]) == [1]
    eventually(lambda: ids(own, f"CLIENT LIST ID {number}") == [], "the older one is gone")
    own.close()


def test_a_client_that_kills_itself_is_answered_first(node: Server) -> None:
    peer = Peer(node.port, 2)
    number = peer.run([[b"CLIENT", b"ID"]])[0]
    assert peer.run([[b"CLIENT", b"KILL", b"ID", b"%d" % number, b"SKIPME", b"no"]]) == [1]
    with pytest.raises((AssertionError, ConnectionError)):
        peer.run([[b"PING"]])
    peer.close()


def test_help_names_every_subcommand_that_there_is(node: Server) -> None:
    peer = Peer(node.port, 3)
    table = peer.run([[b"COMMAND"]])[0]
    missing = {}
    for entry in table:
        subcommands = {each[0].partition(b"|")[2].upper() for each in entry[9]}
        if b"HELP" not in subcommands or entry[0] == b"cluster":
            continue  # outside a cluster CLUSTER HELP is refused too
        reply = peer.run([[entry[0], b"HELP"]])[0]
        assert not isinstance(reply, ReplyError), entry[0]
        told = {line.text.split()[0] for line in reply if line.text[:1].strip()}
        if forgotten := subcommands - told:
            missing[entry[0]] = forgotten
    assert not missing
    peer.close()
