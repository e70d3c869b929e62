"""What users' rules say of commands."""

import pytest

from ringkeeper import commands
from ringkeeper.access.permissions import Patterns, Reason
from ringkeeper.access.selector import READ
from ringkeeper.access.user import User
from ringkeeper.commands.glob import matches
from ringkeeper.commands.table import Command

TABLE = commands.load()


def command(words: list[bytes]) -> Command:
    entry = TABLE[words[0]]
    return entry.subcommands[words[1]] if entry.subcommands else entry


def denial(rules: str, text: str) -> tuple[Reason, int] | None:
    user = User(b"u", TABLE)
    user.change(rules.encode().split(b", "))
    words = text.encode().split()
    return user.permissions.objection(command(words), words)


@pytest.mark.parametrize(
    ("rules", "text", "refused"),
    [
        ("+@all, ~*, &*", "get a", None),
        ("+get", "get a", (Reason.KEY, 1)),
        ("~*", "get a", (Reason.COMMAND, 0)),
        ("+get, ~a*", "get ab", None),
        ("+get, ~a*", "get b", (Reason.KEY, 1)),
        ("+get, %W~a", "get a", (Reason.KEY, 1)),
        ("+set, %W~a", "set a 1", None),
        ("+set, %W~a", "set a 1 get", (Reason.KEY, 1)),
        ("+set, %R~a", "set a 1", (Reason.KEY, 1)),
        ("+mset, ~a", "mset a 1 b 2", (Reason.KEY, 3)),
        ("+copy, %R~a, %W~b", "copy a b", None),
        ("+copy, %R~a, %W~b", "copy b a", (Reason.KEY, 1)),
        ("+watch, %W~a", "watch a", None),
        ("+watch, %W~a", "watch a b", (Reason.KEY, 2)),
        ("+sintercard, ~a", "sintercard 2 a b", (Reason.KEY, 3)),
        ("+sintercard, ~a", "sintercard 9 b", None),
        ("+zdiffstore, ~a", "zdiffstore b 1 a", (Reason.KEY, 1)),
        ("+zdiffstore, ~a", "zdiffstore b 2 a", None),
        ("+config|get", "config get x", None),
        ("+config|get", "config set x y", (Reason.COMMAND, 0)),
        ("+select|0", "select 0", None),
        ("+select|0", "select 1", (Reason.COMMAND, 0)),
        ("+publish, &n*", "publish news m", None),
        ("+publish, &n*", "publish other m", (Reason.CHANNEL, 1)),
        ("+subscribe, &n*", "subscribe news x", (Reason.CHANNEL, 2)),
        ("+psubscribe, &n*", "psubscribe n*", None),
        ("+psubscribe, &n*", "psubscribe news", (Reason.CHANNEL, 1)),
        ("+ssubscribe, &n*", "ssubscribe news", None),
        ("+unsubscribe", "unsubscribe anything", None),
        ("+sunsubscribe", "sunsubscribe anything", None),
        ("-@all", "auth x", None),
    ],
)
def test_a_command_needs_itself_its_keys_and_its_channels(
    rules: str, text: str, refused: tuple[Reason, int] | None
) -> None:
    assert denial(rules, text) == refused


@pytest.mark.parametrize(
    ("rules", "text", "refused"),
    [
        ("+get, ~a, (+set ~b)", "set b 1", None),
        ("+get, ~a, (+set ~b)", "get b", (Reason.KEY, 1)),
        ("+get, ~a, (+mget ~a), (+mget ~b)", "mget a b", (Reason.KEY, 2)),
        ("(+mget ~a), (+mget ~a ~b)", "mget a b c", (Reason.KEY, 3)),
        ("+publish, (&n)", "publish n m", (Reason.CHANNEL, 1)),
        ("+publish, (+publish &n)", "publish n m", None),
    ],
)
def test_one_selector_must_allow_all_and_the_refusal_that_came_furthest_is_told(
    rules: str, text: str, refused: tuple[Reason, int] | None
) -> None:
    assert denial(rules, text) == refused


def test_only_who_may_do_everything_is_never_asked() -> None:
    for rules, unrestricted in [
        ([b"+@all", b"~*", b"&*"], True),
        ([b"+@all", b"~*"], False),
        ([b"+@all", b"~*", b"&*", b"-get"], False),
        ([b"(+@all ~* &*)"], True),
        ([b"+@all", b"(~* &*)"], False),
    ]:
        user = User(b"u", TABLE)
        user.change(rules)
        assert user.permissions.unrestricted is unrestricted


def test_a_command_that_is_always_allowed_has_no_check() -> None:
    user = User(b"u", TABLE)
    user.change([b"+@all", b"~a", b"-flushall"])
    assert user.permissions.check_of(TABLE[b"ping"]) is None
    assert user.permissions.check_of(TABLE[b"get"]) is not None
    assert user.permissions.check_of(TABLE[b"flushall"]) is not None


def test_whether_any_key_may_be_read_depends_on_the_selector_that_allows_the_command() -> None:
    words = [b"get", b"a"]
    for rules, answer in [
        ([b"+get", b"allkeys"], True),
        ([b"+get", b"%R~*"], True),
        ([b"+get", b"%W~*", b"~a"], False),
        ([b"+get", b"~a", b"(~*)"], False),
        ([b"(+get ~*)"], True),
    ]:
        user = User(b"u", TABLE)
        user.change(rules)
        assert user.permissions.may_use_every_key(TABLE[b"get"], words, READ) is answer


@pytest.mark.parametrize("pattern", [b"", b"*", b"a", b"a*", b"a**", b"*a", b"a\\*", b"[a]*", b"?", b"a]*", b"\\a*"])
@pytest.mark.parametrize("word", [b"", b"a", b"ab", b"a*", b"ba", b"\\a"])
def test_patterns_match_as_globs_do(pattern: bytes, word: bytes) -> None:
    assert Patterns([pattern]).match(word) == matches(pattern, word)
    assert Patterns([b"never", pattern]).match(word) == matches(pattern, word)
    assert Patterns([pattern], True).match(word) == (pattern == word)
