"""When a node gives back what the C library holds free."""

from collections.abc import Callable

import pytest

from ringkeeper.server.trimming import IN_VAIN_SECONDS, LEAST_SECONDS, REST, SLACK, SLACK_BYTES, Trimming

OWN = 50 << 20
USED = 1 << 30
BOUND = OWN + SLACK_BYTES + int(USED * (1 + SLACK))


class Machine:
    """A process whose trims take `took` seconds of its own and leave it with `left` resident bytes."""

    def __init__(self, took: float, left: int) -> None:
        self.now = 1000.0
        self.worked = 5.0
        self.lost = 0.0
        """Seconds that other processes take while it trims."""
        self.resident = OWN
        self.took = took
        self.left = left

    def trim(self) -> None:
        self.now += self.took + self.lost
        self.worked += self.took
        self.resident = self.left


def machine_and_trimming(took: float = 0.001, left: int = USED) -> tuple[Machine, Trimming]:
    machine = Machine(took, left)
    trimming = Trimming(
        resident=lambda: machine.resident,
        trim=machine.trim,
        clock=lambda: machine.now,
        processor_time=lambda: machine.worked,
    )
    return machine, trimming


def until(trimming: Trimming, machine: Machine, holds: Callable[[], bool], most: float = 10_000) -> float:
    """Seconds until it holds, with a round every tenth of a second."""
    began = machine.now
    while not holds():
        assert machine.now - began < most
        machine.now += 0.1
        trimming.round(USED)
    return machine.now - began


def test_memory_within_bounds_is_left_alone() -> None:
    machine, trimming = machine_and_trimming()
    machine.resident = BOUND - 1
    for _ in range(100):
        machine.now += 1
        trimming.round(USED)
    assert trimming.trims == 0


def test_much_free_memory_is_given_back_within_a_second_or_so() -> None:
    machine, trimming = machine_and_trimming()
    trimming.round(USED)
    machine.resident = BOUND + 1_000_000
    assert until(trimming, machine, lambda: trimming.trims == 1) < 1.2
    assert machine.resident == USED


@pytest.mark.parametrize(("took", "pause"), [(0.001, LEAST_SECONDS), (0.015, 0.015 * REST), (0.5, 0.5 * REST)])
def test_a_trim_is_followed_by_a_pause_that_grows_with_what_it_took(took: float, pause: float) -> None:
    machine, trimming = machine_and_trimming(took)
    machine.resident = BOUND + 1_000_000
    until(trimming, machine, lambda: trimming.trims == 1)
    machine.resident = BOUND + 1_000_000
    assert until(trimming, machine, lambda: trimming.trims == 2) == pytest.approx(pause, abs=0.3 + took)


def test_a_busy_machine_does_not_make_the_pause_longer() -> None:
    machine, trimming = machine_and_trimming(0.01)
    machine.lost = 3.0
    machine.resident = BOUND + 1_000_000
    until(trimming, machine, lambda: trimming.trims == 1)
    machine.resident = BOUND + 1_000_000
    machine.lost = 0.0
    assert until(trimming, machine, lambda: trimming.trims == 2) == pytest.approx(0.01 * REST, abs=0.3)


def test_a_trim_in_vain_is_not_soon_tried_again() -> None:
    machine, trimming = machine_and_trimming(left=BOUND + 1_000_000)
    machine.resident = BOUND + 1_000_000
    until(trimming, machine, lambda: trimming.trims == 1)
    assert until(trimming, machine, lambda: trimming.trims == 2) == pytest.approx(IN_VAIN_SECONDS, abs=0.3)
