"""Rules change what a selector allows, and its description leads back to the same."""

import pytest

from ringkeeper import commands
from ringkeeper.access.selector import ALL, READ, RuleError, Selector, merge_parentheses

TABLE = commands.load()


def selector(*rules: str) -> Selector:
    made = Selector(TABLE)
    for rule in rules:
        made.apply(rule.encode())
    return made


@pytest.mark.parametrize(
    ("rules", "description"),
    [
        ([], "resetchannels -@all"),
        (["+get", "+set", "-get"], "resetchannels -@all +set -get"),
        (["+get", "+GET"], "resetchannels -@all +get"),
        (["+config|get", "+config"], "resetchannels -@all +config"),
        (["+config", "-config|set", "+config|get"], "resetchannels -@all +config -config|set +config|get"),
        (["+@read", "-@read"], "resetchannels -@all -@read"),
        (["+get", "+@all", "-@dangerous"], "resetchannels +@all -@dangerous"),
        (["+@all", "nocommands"], "resetchannels -@all"),
        (["+select|0", "+SELECT|1"], "resetchannels -@all +select|0 +select|1"),
        (["~a", "%R~b", "%w~b", "%WR~c"], "~a ~b ~c resetchannels -@all"),
        (["%R~b", "%W~c", "&n*", "&n*"], "%R~b %W~c resetchannels &n* -@all"),
        (["~a", "allkeys", "&x", "allchannels"], "~* &* -@all"),
    ],
)
def test_a_description_holds_the_rules_that_still_mean_something(rules: list[str], description: str) -> None:
    made = selector(*rules)
    assert made.describe() == description.encode()
    again = selector(*description.split())
    assert again.describe() == description.encode()
    assert (again.commands, again.all_commands, again.first_args) == (made.commands, made.all_commands, made.first_args)


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        (["+nope"], "Unknown command or category"),
        (["+@nope"], "Unknown command or category"),
        (["-select|0"], "Unknown command or category"),
        (["+config|nope"], "Unknown command or category"),
        (["+config|get|x"], "first-arg of a subcommand"),
        (["+get|"], "Syntax error"),
        (["+select|'0"], "Syntax error"),
        (["allkeys", "~a"], "Try 'resetkeys'"),
        (["allchannels", "&a"], "Try 'resetchannels'"),
        (["~a b"], "Syntax error"),
        (["%~a"], "Syntax error"),
        (["%RR~a"], "Syntax error"),
        (["on"], "Syntax error"),
        ([""], "Syntax error"),
    ],
)
def test_a_rule_that_is_none_says_why_and_changes_nothing(rules: list[str], complaint: str) -> None:
    made = selector(*rules[:-1])
    before = made.describe()
    with pytest.raises(RuleError, match=complaint):
        made.apply(rules[-1].encode())
    assert made.describe() == before


def test_a_rule_about_a_container_reaches_its_subcommands() -> None:
    made = selector("+config", "-config|set")
    assert "config|get" in made.commands
    assert "config|set" not in made.commands


def test_a_category_of_a_container_reaches_its_subcommands_whatever_their_own() -> None:
    assert "object" in TABLE[b"object"].name
    made = selector("+@slow")
    assert {"object", "object|encoding", "config|set"} <= made.commands
    assert "get" not in made.commands


def test_taking_one_command_away_ends_all_commands_but_not_the_beginning_of_the_description() -> None:
    made = selector("+@all", "-get", "+get")
    assert not made.all_commands
    assert made.commands == selector("+@all").commands
    assert made.command_rules() == b"+@all +get"


def test_permissions_of_one_pattern_are_united() -> None:
    assert selector("%R~a", "%W~a").keys == {b"a": ALL}
    assert selector("%R~a", "%R~a").keys == {b"a": READ}


def test_a_copy_goes_its_own_way() -> None:
    first = selector("+get", "~a", "&c", "+select|0")
    second = first.copy()
    for rule in (b"+set", b"~b", b"&d", b"+select|1"):
        second.apply(rule)
    assert first.describe() == b"~a resetchannels &c -@all +get +select|0"
    assert second.describe() == b"~a ~b resetchannels &c &d -@all +get +select|0 +set +select|1"


def test_parentheses_may_be_spread_over_words() -> None:
    assert merge_parentheses([b"on", b"(+get", b"~a)", b"(~b)", b"off"]) == [b"on", b"(+get ~a)", b"(~b)", b"off"]
    with pytest.raises(ValueError, match=r"\(\+get"):
        merge_parentheses([b"(+get", b"~a"])
