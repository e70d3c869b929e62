"""What docs/coverage.md says is so: of the servers that run, and of the gaps."""

import pytest
from compat import coverage


@pytest.mark.parametrize("server", coverage.SERVERS)
def test_the_data_is_what_the_running_server_says(server: str) -> None:
    assert coverage.read_groups(coverage.DATA.read_text())[server] == coverage.running_commands(server)


def test_every_gap_has_a_reason_and_every_reason_a_gap() -> None:
    missing = set().union(*coverage.foreign_groups().values()) - coverage.own_names()
    explained = {name: [gap.subject for gap in coverage.GAPS if gap.matches(name)] for name in missing}
    assert {name: subjects for name, subjects in explained.items() if len(subjects) != 1} == {}
    assert {subjects[0] for subjects in explained.values()} == {gap.subject for gap in coverage.GAPS}


OURS_ALONE = {"object|created"}
"""When a key was made, which neither keeps."""


def test_there_is_no_command_that_neither_redis_nor_valkey_has_but_those_among_nodes() -> None:
    own = coverage.own_names() - set().union(*coverage.foreign_groups().values()) - OURS_ALONE
    assert {name for name in own if not name.startswith("ringkeeper.")} == set()
