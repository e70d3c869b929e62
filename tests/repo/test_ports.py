"""Ports that tests are given: theirs alone, whatever else runs beside them."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ports import ADMIN, BLOCK, FIRST_OF_BLOCKS, Ports, is_free

TAKES_MANY = f"""
import sys
from ports import free_ports
print(*[port for count in range(1, {BLOCK}) for port in free_ports(count)], flush=True)
sys.stdin.read()
"""


def test_processes_side_by_side_are_given_different_ports() -> None:
    command = [sys.executable, "-c", TAKES_MANY]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
            )
            for folder in [Path(__file__).parents[1]] * 3
        ]
        given = [set(map(int, run.stdout.readline().split())) for run in runs if run.stdout]
        for run in runs:
            run.communicate()
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert all(len(ports) >= BLOCK - 1 for ports in given)
    assert len(set().union(*given)) == sum(map(len, given))


def with_a_free_block() -> Ports:
    """One whose ports nobody has used within the last minute."""
    tried = []  # whose blocks are nobody else's meanwhile
    while True:
        ports = Ports()
        ports.add_block()
        if all(map(is_free, ports.ports)):
            return ports
        tried.append(ports)


def test_a_port_is_given_again_when_all_others_were() -> None:
    ports = with_a_free_block()
    given = [tuple(ports.take(3)) for _ in range(BLOCK)]
    assert all(each == tuple(range(each[0], each[0] + 3)) for each in given)
    again = given.index(given[0], 1)
    assert len({port for each in given[:again] for port in each}) == 3 * again > BLOCK // 2


def test_a_port_where_somebody_listens_is_not_given_nor_one_whose_admin_port_is_taken() -> None:
    ports = with_a_free_block()
    first = ports.take(5)[0]
    ports.ports.rotate(5)
    with socket.create_server(("127.0.0.1", first)), socket.create_server(("127.0.0.1", first + 2 + ADMIN)):
        assert ports.take(1) == [first + 1]
        assert ports.take(2) == [first + 3, first + 4]


def test_no_port_is_one_that_the_system_gives_to_connections() -> None:
    assert FIRST_OF_BLOCKS[-1] + BLOCK - 1 + ADMIN < 32768
