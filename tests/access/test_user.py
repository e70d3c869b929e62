"""Passwords, flags and selectors of a user; how users are written down and read back."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper import commands
from ringkeeper.access.selector import SPACES, RuleError
from ringkeeper.access.user import User, digest, may_lose_channels
from ringkeeper.access.users import AclFileError, Users, read_acl_file
from ringkeeper.resp.inline import split_inline
from ringkeeper.resp.values import ReplyError

TABLE = commands.load()


def user(*rules: bytes) -> User:
    made = User(b"u", TABLE)
    made.change(rules)
    return made


def test_a_new_user_may_do_nothing() -> None:
    made = user()
    assert made.describe() == b"off sanitize-payload resetchannels -@all"
    assert not made.admits(b"")


def test_passwords_are_kept_as_their_sha256() -> None:
    made = user(b"on", b">secret", b">other", b"<other")
    assert list(made.passwords) == [hashlib.sha256(b"secret").hexdigest().encode()]
    assert made.admits(b"secret")
    assert not made.admits(b"other")


def test_without_passwords_nobody_comes_in_unless_none_is_needed() -> None:
    assert not user(b"on").admits(b"")
    assert user(b"on", b"nopass").admits(b"anything")
    assert not user(b"nopass", b"off").admits(b"anything")
    assert not user(b"on", b"nopass", b"resetpass").admits(b"")


def test_a_password_ends_nopass() -> None:
    made = user(b"on", b"nopass", b"#" + digest(b"x"))
    assert made.admits(b"x")
    assert not made.admits(b"y")


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (b"<nope", "does not exist"),
        (b"!" + b"0" * 64, "does not exist"),
        (b"#" + b"F" * 64, "64 characters"),
        (b"#12", "64 characters"),
        (b"(on)", "Syntax error"),
        (b"(~a", "Syntax error"),
    ],
)
def test_rules_that_are_none_of_a_user(rule: bytes, complaint: str) -> None:
    with pytest.raises(RuleError, match=complaint):
        user(rule)


def test_reset_leaves_a_new_user() -> None:
    made = user(b"on", b">x", b"~*", b"&*", b"+@all", b"(+get)", b"skip-sanitize-payload", b"reset")
    assert made.describe() == user().describe()


def test_new_selectors_begin_as_acl_pubsub_default_says() -> None:
    made = User(b"u", TABLE, pubsub_default=True)
    made.change([b"(+get)"])
    assert made.describe() == b"off sanitize-payload &* -@all (&* -@all +get)"


WORDS = st.binary(min_size=0, max_size=6).filter(lambda word: not SPACES.search(word))
RULES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"on", b"off", b"nopass", b"+@all", b"-get", b"+@read", b"+config|get", b"%R~*", b"+select|1"]
        ),
        WORDS.map(b"%R~".__add__),
        WORDS.map(b"&".__add__),
        st.binary(max_size=8).map(b">".__add__),
    ),
    max_size=6,
)


@given(root=RULES, selectors=st.lists(st.lists(WORDS.map(b"~".__add__), max_size=3), max_size=2))
def test_what_is_stored_is_read_back_the_same(root: list[bytes], selectors: list[list[bytes]]) -> None:
    users = Users(TABLE)
    made = users.new(b"u")
    made.change(rule for rule in root if rule not in (b"~*", b"&*"))
    for rules in selectors:
        made.apply(b"()")
        for rule in rules:
            if rule != b"~*":
                made.selectors[-1].apply(rule)
    users.put(made)
    again = Users(TABLE)
    read_acl_file(b"\n".join(users.file_lines()), "file", again)
    assert again.lines() == users.lines()
    declared = Users(TABLE)
    for line in users.configuration_lines():
        words = split_inline(line)
        assert words is not None
        declared.declare(words[1:])
    assert declared.lines() == users.lines()


def test_an_acl_file_with_faults_says_all_of_them() -> None:
    text = (
        b"user a on\nnonsense\n\nuser a off\nuser b +nope ~a +@never\n"
        b"user c >x (+get\nuser d\td\nuser e  'x\nuser f ~* ~a (on)\n"
    )
    with pytest.raises(AclFileError) as raised:
        read_acl_file(text, "users.acl", Users(TABLE))
    assert str(raised.value) == (
        "users.acl:2 should start with user keyword followed by the username. "
        "WARNING: Duplicate user 'a' found on line 4. "
        "users.acl:5: Error in applying operation '+nope': Unknown command or category name in ACL. "
        "users.acl:5: Error in applying operation '+@never': Unknown command or category name in ACL. "
        "users.acl:6: Unmatched parenthesis in selector definition."
        "'users.acl:7: username 'd\td' contains invalid characters. "
        "users.acl:8: Syntax error. "
        "users.acl:9: Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any "
        "effect. Try 'resetkeys' to start with an empty list of patterns. "
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    )


def test_a_refused_setuser_changes_nothing() -> None:
    users = Users(TABLE)
    before = users.lines()
    with pytest.raises(ReplyError, match="modifier '\\+nope'"):
        users.put(users.staged(b"default", [b"off", b"+nope"]))
    assert users.lines() == before


def test_a_changed_user_is_the_same_object() -> None:
    users = Users(TABLE)
    first = users.put(users.staged(b"u", [b"on"]))
    assert users.put(users.staged(b"u", [b"off", b"+get"])) is first
    assert first.describe() == b"off sanitize-payload resetchannels -@all +get"


def test_requirepass_is_the_default_users_password() -> None:
    users = Users(TABLE)
    users.set_default_password(b"secret")
    assert users.default.admits(b"secret")
    assert not users.default.admits(b"")
    users.set_default_password(b"")
    assert users.default.admits(b"anything")


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ([b"&a", b"&b"], [b"&a"], True),
        ([b"allchannels"], [b"&a"], True),
        ([b"&a"], [b"allchannels"], False),
        ([b"&a"], [b"(allchannels)"], False),
        ([b"(&a)"], [b"(&b)"], True),
        ([], [b"&a"], False),
    ],
)
def test_who_has_all_channels_or_had_none_loses_none(old: list[bytes], new: list[bytes], lost: bool) -> None:
    assert may_lose_channels(user(*old), user(*new)) is lost
