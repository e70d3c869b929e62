from typing import Any

from ringkeeper.commands.memory import EMPTY, diagnosis

QUIET = {"total.allocated": 10 * EMPTY, "peak.allocated": 10 * EMPTY, "clients.normal": 0, "fragmentation": 1.5}


def found(limit: int = 0, **changes: Any) -> str:
    return "\n".join(diagnosis({**QUIET, **{name.replace("_", "."): value for name, value in changes.items()}}, limit))


def test_an_almost_empty_node_is_not_judged() -> None:
    assert "too little data" in found(total_allocated=EMPTY - 1, fragmentation=100)


def test_nothing_is_said_of_a_node_that_is_well() -> None:
    assert found() == found(limit=100 * EMPTY) == "Nothing out of the ordinary."


def test_each_finding_says_what_to_do() -> None:
    assert "Raise it" in found(limit=10 * EMPTY + 1)
    assert "MEMORY PURGE" in found(peak_allocated=20 * EMPTY)
    assert "CLIENT LIST" in found(clients_normal=5 * EMPTY)
    assert "4.0 times" in found(fragmentation=4)
