"""Client tracking: who is told of which change, when and how. Beside a node on Redis and Valkey, so that the stories
themselves are proven."""

from typing import Any

import pytest
from laptop import eventually
from worlds import World


def invalid(*keys: str) -> list[Any]:
    return [">", "invalidate", list(keys)]


ALL_INVALID = [">", "invalidate", None]


def test_a_key_that_was_read_is_told_of_once(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("GET k")
    world.other("SET k 1")
    world.other("SET k 2")
    assert world.told(reader) == [invalid("k")]
    reader("GET k")
    world.other("DEL k")
    assert world.told(reader) == [invalid("k")]


@pytest.mark.parametrize(
    "change",
    ["SET k 2", "APPEND k x", "DEL k", "UNLINK k", "EXPIRE k 100", "PEXPIRE k 0", "RENAME k l", "RENAME l k",
     "GETDEL k", "COPY l k REPLACE", "MOVE k 1", "GETEX k EX 10", "SETRANGE k 0 x", "MSET a 1 k 2", "SINTERSTORE k s"],
)  # fmt: skip
def test_every_kind_of_change_is_told(world: World, change: str) -> None:
    world.other("SET k v")
    world.other("SET l v")
    world.other("SADD s a")
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("MGET k unrelated")
    assert not str(world.other(*change.split())).startswith("-")
    assert world.told(reader) == [invalid("k")]


def test_what_did_not_change_is_not_told(world: World) -> None:
    world.other("SET k v")
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("GET k")
    for line in ("GET k", "SETNX k w", "PERSIST k", "TOUCH k", "INCR k", "DEL l", "SET l v", "EXISTS k"):
        world.other(line)
    assert world.told(reader) == []


def test_ones_own_change_is_told_behind_its_reply(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("GET k")
    reader.send_line("SET k v")
    assert [reader.read(), reader.read()] == ["OK", invalid("k")]


def test_noloop_spares_ones_own_changes_alone(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON NOLOOP")
    reader("GET k")
    reader("SET k v")
    assert world.told(reader) == []
    reader("GET k")
    world.other("SET k v")
    assert world.told(reader) == [invalid("k")]


def test_optin_tracks_only_the_command_behind_caching_yes(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON OPTIN")
    reader("GET a")
    assert reader("CLIENT CACHING YES") == "OK"
    reader("GET b")
    reader("GET c")
    world.other("MSET a 1 b 2 c 3")
    assert world.told(reader) == [invalid("b")]


def test_optout_tracks_all_but_the_command_behind_caching_no(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON OPTOUT")
    reader("GET a")
    assert reader("CLIENT CACHING NO") == "OK"
    reader("GET b")
    reader("GET c")
    world.other("MSET a 1 b 2 c 3")
    assert sorted(world.told(reader)) == [invalid("a"), invalid("c")]


def test_caching_yes_before_multi_tracks_the_whole_transaction(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON OPTIN")
    reader("CLIENT CACHING YES")
    for line in ("MULTI", "GET a", "GET b", "EXEC", "GET c"):
        reader(line)
    world.other("MSET a 1 b 2 c 3")
    assert sorted(world.told(reader)) == [invalid("a"), invalid("b")]


def test_reads_within_a_transaction_are_tracked(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    for line in ("MULTI", "GET k"):
        reader(line)
    world.other("SET k before")
    assert reader("EXEC") == ["before"]
    world.other("SET k after")
    assert world.told(reader) == [invalid("k")]


def test_changes_of_a_transaction_are_each_told(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("MGET a b")
    for line in ("MULTI", "SET a 1", "SET b 2", "SET a 3", "EXEC"):
        world.other(line)
    assert sorted(world.told(reader)) == [invalid("a"), invalid("b")]


def test_broadcast_tells_of_every_key_with_the_prefix_read_or_not(world: World) -> None:
    reader = world.wire()
    assert reader("CLIENT TRACKING ON BCAST PREFIX user: PREFIX item:") == "OK"
    world.other("MSET user:1 a item:1 b other:1 c")
    told = world.told(reader)
    assert sorted(each[2] for each in told) == [["item:1"], ["user:1"]]
    world.other("SET user:1 b")
    world.other("SET user:1 c")
    keys = [key for each in world.told(reader) for key in each[2]]
    assert set(keys) == {"user:1"}, "it need not be read again"


def test_broadcast_without_a_prefix_tells_of_all(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON BCAST")
    world.other("MSET a 1 b 2")
    assert sorted(key for each in world.told(reader) for key in each[2]) == ["a", "b"]


def test_broadcast_with_noloop_spares_ones_own(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON BCAST NOLOOP")
    reader("SET a 1")
    world.other("SET b 2")
    assert world.told(reader) == [invalid("b")]


@pytest.mark.parametrize("change", ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"])
@pytest.mark.parametrize("mode", ["", "BCAST", "OPTIN", "NOLOOP"])
def test_a_flush_makes_all_keys_invalid(world: World, change: str, mode: str) -> None:
    reader = world.wire()
    reader(*f"CLIENT TRACKING ON {mode}".split())
    reader("GET k")
    world.other(*change.split())
    assert world.told(reader) == [ALL_INVALID]


def test_a_resp2_connection_is_told_over_the_connection_it_redirects_to(world: World) -> None:
    listener, reader = world.wire(2), world.wire(2)
    number = listener("CLIENT ID")
    listener("SUBSCRIBE __redis__:invalidate")
    assert reader("CLIENT", "TRACKING", "ON", "REDIRECT", number) == "OK"
    assert reader("CLIENT GETREDIR") == number
    reader("MGET a b")
    world.other("SET a 1")
    assert listener.read() == ["message", "__redis__:invalidate", ["a"]]
    world.other("FLUSHALL")
    assert listener.read() == ["message", "__redis__:invalidate", None]


def test_a_redirection_to_resp3_is_a_push(world: World) -> None:
    listener, reader = world.wire(), world.wire(2)
    reader("CLIENT", "TRACKING", "ON", "REDIRECT", listener("CLIENT ID"))
    reader("GET a")
    world.other("SET a 1")
    assert listener.read() == invalid("a")


def test_a_broken_redirection_is_told_and_shown(world: World) -> None:
    listener, reader = world.wire(), world.wire()
    number = listener("CLIENT ID")
    reader("CLIENT", "TRACKING", "ON", "REDIRECT", number)
    reader("GET a")
    listener.close()
    eventually(lambda: f"id={number} " not in world.other("CLIENT LIST"), "the other connection is gone")
    world.other("SET a 1")
    assert reader.read() == [">", "tracking-redir-broken", number]
    assert reader("CLIENT TRACKINGINFO")["flags"] == ["broken_redirect", "on"]
    assert "flags=tR " in reader("CLIENT INFO")


def test_a_full_table_forgets_keys_and_tells_of_them(world: World) -> None:
    world.other("CONFIG SET tracking-table-max-keys 5")
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    for number in range(20):
        reader.send("GET", f"key{number}")
    replies = [reader.read() for _ in range(20)]
    told = [reply for reply in [*replies, *world.told(reader)] if reply is not None]
    eventually(lambda: world.figure("tracking_total_keys") <= 5, "the table keeps its limit")
    told += world.told(reader)
    assert len(told) == 15
    assert len({reply[2][0] for reply in told}) == 15
    for number in range(20):
        world.other("SET", f"key{number}", 1)
    assert len(world.told(reader)) == 5, "the others were not forgotten"


def test_figures_count_keys_readers_and_prefixes(world: World) -> None:
    first, second, broadcast = world.wire(), world.wire(), world.wire()
    first("CLIENT TRACKING ON")
    second("CLIENT TRACKING ON")
    broadcast("CLIENT TRACKING ON BCAST PREFIX a PREFIX b")
    world.other("FLUSHALL")
    first("MGET x y")
    second("GET x")
    assert world.figure("tracking_clients") == 3
    assert world.figure("tracking_total_keys") == 2
    assert world.figure("tracking_total_items") == 3
    assert world.figure("tracking_total_prefixes") == 2


def test_a_key_that_expires_is_told(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    world.other("SET k v PX 500")
    reader("GET k")
    assert reader.read() == invalid("k")
    world.other("DEBUG SET-ACTIVE-EXPIRE 0")
    world.other("SET k v PX 500")
    reader("GET k")
    eventually(lambda: world.other("EXISTS k") == 0, "it has expired, and somebody looked")
    assert world.told(reader) == [invalid("k")]
    world.other("DEBUG SET-ACTIVE-EXPIRE 1")


def test_tracking_that_ended_tells_nothing(world: World) -> None:
    reader = world.wire()
    reader("CLIENT TRACKING ON")
    reader("GET k")
    reader("CLIENT TRACKING OFF")
    world.other("SET k v")
    assert world.told(reader) == []
    reader("CLIENT TRACKING ON BCAST")
    reader("CLIENT TRACKING OFF")
    world.other("SET k v")
    assert world.told(reader) == []
    assert world.figure("tracking_clients") == 0
    assert world.figure("tracking_total_prefixes") == 0


INFOS = [
    ("CLIENT TRACKING OFF", {"flags": ["off"], "redirect": -1, "prefixes": []}),
    ("CLIENT TRACKING ON", {"flags": ["on"], "redirect": 0, "prefixes": []}),
    ("CLIENT TRACKING ON OPTIN", {"flags": ["on", "optin"], "redirect": 0, "prefixes": []}),
    ("CLIENT TRACKING ON OPTOUT NOLOOP", {"flags": ["noloop", "on", "optout"], "redirect": 0, "prefixes": []}),
    ("CLIENT TRACKING ON BCAST", {"flags": ["bcast", "on"], "redirect": 0, "prefixes": [""]}),
    ("CLIENT TRACKING ON BCAST PREFIX b PREFIX a", {"flags": ["bcast", "on"], "redirect": 0, "prefixes": ["a", "b"]}),
]


@pytest.mark.parametrize(("line", "expected"), INFOS)
def test_trackinginfo_says_what_was_asked_for(world: World, line: str, expected: dict[str, Any]) -> None:
    client = world.wire()
    assert client(line) == "OK"
    assert client("CLIENT TRACKINGINFO") == expected


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["CLIENT TRACKING ON PREFIX a"], "-ERR PREFIX option requires BCAST mode to be enabled"),
        (["CLIENT TRACKING ON OPTIN OPTOUT"], "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (["CLIENT TRACKING ON BCAST OPTIN"], "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
        (["CLIENT TRACKING ON REDIRECT 999999"], "-ERR The client ID you want redirect to does not exist"),
        (["CLIENT TRACKING ON REDIRECT x"], "-ERR value is not an integer or out of range"),
        (["CLIENT TRACKING MAYBE"], "-ERR syntax error"),
        (["CLIENT TRACKING ON NONSENSE"], "-ERR syntax error"),
        (
            ["CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST"],
            "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling "
            "it with a different mode.",
        ),
        (
            ["CLIENT TRACKING ON OPTIN", "CLIENT TRACKING ON OPTOUT"],
            "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling "
            "it with a different mode.",
        ),
        (
            ["CLIENT TRACKING ON BCAST PREFIX foo", "CLIENT TRACKING ON BCAST PREFIX foobar"],
            "-ERR Prefix 'foobar' overlaps with an existing prefix 'foo'. Prefixes for a single client must not "
            "overlap.",
        ),
        (
            ["CLIENT TRACKING ON BCAST PREFIX foobar PREFIX foo"],
            "-ERR Prefix 'foobar' overlaps with another provided prefix 'foo'. Prefixes for a single client must not "
            "overlap.",
        ),
        (
            ["CLIENT CACHING YES"],
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
            "enabled",
        ),
        (
            ["CLIENT TRACKING ON OPTOUT", "CLIENT CACHING YES"],
            "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        (["CLIENT TRACKING ON OPTIN", "CLIENT CACHING MAYBE"], "-ERR syntax error"),
    ],
)
def test_what_does_not_go_together_is_refused(world: World, lines: list[str], error: str) -> None:
    client = world.wire()
    for line in lines[:-1]:
        assert client(line) == "OK"
    assert client(lines[-1]) == error
