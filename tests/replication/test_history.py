"""Whose history continues whose, and whose data a replica must not give up."""

import pytest

from ringkeeper.cluster.position import Position
from ringkeeper.replication.greeting import LONGEST_LINE
from ringkeeper.replication.history import TERMS_KEPT, Claim, History, claim_of, objection, parting, with_end

A, B, C = "a" * 40, "b" * 40, "c" * 40


def test_a_promoted_node_continues_the_old_history_up_to_its_promotion() -> None:
    history = History(A).branched(B, 100)
    assert history.includes(A, 100)
    assert history.includes(A, 5)
    assert not history.includes(A, 101)
    assert history.includes(B, 5000)
    assert not history.includes(C, 5)


def test_a_history_remembers_one_that_came_before_it() -> None:
    assert not History(A).branched(B, 100).branched(C, 200).includes(A, 50)


def test_a_claim_is_read_as_it_was_written() -> None:
    claim = Claim(4, 2**62, Position(3, 70))
    assert claim_of(claim.encode()) == claim
    claim = Claim(9, 90, Position(7, 70), (Position(2, 20), Position(4, 40)))
    assert claim_of(claim.encode()) == claim
    assert claim.ends == (Position(2, 20), Position(4, 40), Position(7, 70))
    assert claim_of("term=4 offset=x origin=1:2") is None
    assert claim_of("term=4 offset=3 origin=1:2 before=1") is None
    assert claim_of("OK") is None


def at(*pairs: tuple[int, int]) -> tuple[Position, ...]:
    return tuple(Position(term, offset) for term, offset in pairs)


@pytest.mark.parametrize(
    ("mine", "ends", "claim", "expected"),
    [
        (Position(1, 50), (), Claim(2, 90, Position(1, 40)), 40),  # it took over before it had all
        (Position(1, 40), (), Claim(2, 90, Position(1, 40)), 40),
        (Position(1, 30), (), Claim(2, 90, Position(1, 40)), 30),  # a replica that was behind
        (Position(1, 50), (), Claim(1, 90, Position(0, 0)), 50),  # the same master, later
        (Position(1, 50), (), Claim(3, 90, Position(2, 80), at((1, 40))), 40),  # two terms later
        (Position(1, 50), (), Claim(3, 90, Position(2, 80)), None),  # its master does not know
        (Position(2, 60), at((1, 40)), Claim(3, 90, Position(1, 40)), 40),  # nobody got anything of its term
        (Position(2, 60), at((1, 40)), Claim(4, 90, Position(3, 70), at((1, 40))), 40),
        (Position(2, 60), at((1, 40)), Claim(3, 90, Position(1, 30)), 30),  # nor all of the one before
        (Position(3, 60), at((1, 40), (2, 50)), Claim(4, 90, Position(3, 55), at((2, 50))), 55),  # forgot the oldest
        (Position(0, 60), (), Claim(1, 90, Position(0, 0)), None),  # data of no cluster
    ],
)
def test_it_is_known_where_two_histories_part(
    mine: Position, ends: tuple[Position, ...], claim: Claim, expected: int | None
) -> None:
    assert parting(mine, ends, claim) == expected


def test_so_many_ends_are_kept_as_fit_into_a_line() -> None:
    ends: tuple[Position, ...] = ()
    for term in range(10**6, 10**6 + 3 * TERMS_KEPT):
        ends = with_end(ends, Position(term, 10**15 + term))
    assert len(ends) == TERMS_KEPT
    assert len(Claim(10**7, 10**16, ends[-1], ends[:-1]).encode()) < LONGEST_LINE
    assert with_end(ends, Position(0, 0)) == ends


@pytest.mark.parametrize(
    ("mine", "keys", "claim", "refused"),
    [
        (Position(3, 100), 5, Claim(3, 100, Position(2, 10)), False),
        (Position(3, 100), 5, Claim(3, 99, Position(2, 10)), True),  # the same term, and less of it
        (Position(3, 100), 5, Claim(4, 90, Position(3, 90)), False),  # it was promoted before this one had all
        (Position(3, 100), 5, Claim(4, 0, Position(0, 0)), True),  # it came back empty
        (Position(3, 100), 0, Claim(4, 0, Position(0, 0)), False),  # nothing can be lost
        (Position(1, 100), 5, Claim(1, 900, Position(0, 0)), False),  # a new cluster's first term, followed so far
        (Position(0, 100), 5, Claim(1, 0, Position(0, 0)), False),  # data of no cluster
        (Position(0, 0), 0, Claim(1, 0, Position(0, 0)), False),
    ],
)
def test_an_emptied_master_never_empties_its_replicas(mine: Position, keys: int, claim: Claim, refused: bool) -> None:
    assert bool(objection(mine, keys, claim)) == refused
