"""What the lease process reads and writes in shared memory, and by which socket it reaches whom."""

from __future__ import annotations

import _socket
import os
import socket
from pathlib import Path

import pytest

from ringkeeper.cluster.position import Position
from ringkeeper.server import lease_layout, voter_file
from ringkeeper.server.lease import Lease
from ringkeeper.server.lease_loop import LeaseLoop, Memory, boot_clock


@pytest.fixture
def memory() -> Memory:
    descriptor = os.memfd_create("lease")
    os.ftruncate(descriptor, lease_layout.SIZE)
    made = Memory(descriptor)
    os.close(descriptor)
    return made


def test_a_position_is_read_as_it_was_written_or_not_at_all(memory: Memory) -> None:
    lease = Lease()
    lease.share(memory.words)
    lease.note_position(3, 700)
    assert memory.position() == Position(3, 700)
    memory.words[lease_layout.POSITION_CHANGES] += 1
    assert memory.position() is None, "the node is stopped amid writing it"
    memory.words[lease_layout.POSITION_CHANGES] += 1
    assert memory.position() == Position(3, 700)


def test_a_deadline_is_of_the_term_beside_it(memory: Memory) -> None:
    lease = Lease()
    lease.share(memory.words)
    lease.follow(needed=True, term=2)
    memory.set_lease(1, 2**62)
    assert not lease.holds()
    memory.set_lease(2, 2**62)
    assert lease.holds()
    memory.set_lease(0, 0)
    assert not lease.holds()


def test_a_datagram_leaves_by_the_address_that_can_reach_its_destination(memory: Memory) -> None:
    control, _ = socket.socketpair()
    loopback, other = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM), Elsewhere("10.1.2.3")
    loopback.bind(("127.0.0.1", 0))
    loop = LeaseLoop(control, memory, [loopback])
    loop.sockets = [loopback, other]  # type: ignore[list-item]
    assert loop.socket_to(("127.0.0.1", 1)) is loopback
    assert loop.socket_to(("10.9.9.9", 1)) is other
    everywhere = Elsewhere("0.0.0.0")
    loop.sockets = [everywhere]  # type: ignore[list-item]
    assert loop.socket_to(("127.0.0.1", 1)) is everywhere
    assert loop.socket_to(("fd00::1", 1)) is everywhere, "there is no other"


class Elsewhere:
    """A socket as if bound to an address that this machine may not have."""

    family = _socket.AF_INET

    def __init__(self, host: str) -> None:
        self.host = host

    def getsockname(self) -> tuple[str, int]:
        return self.host, 1


def test_a_voter_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert voter_file.read(folder) is None
    voter_file.write(folder, {"promised": 1})
    voter_file.write(folder, {"promised": 2})
    assert voter_file.read(folder) == {"promised": 2}
    (tmp_path / ".voter.json.tmp").unlink(missing_ok=True)
    (tmp_path / ".voter.json.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        voter_file.write(folder, {"promised": 3})
    assert voter_file.read(folder) == {"promised": 2}
    (tmp_path / "voter.json").write_text("[]")
    with pytest.raises(ValueError, match="not an object"):
        voter_file.read(folder)


def test_a_node_is_told_of_the_first_grant_and_not_of_each(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    control, node = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    node.setblocking(False)
    loop = LeaseLoop(control, memory, [])
    monkeypatch.setattr(loop, "write_lease", lambda: memory.set_lease(1, boot_clock() + 10**12))
    loop.granted()
    assert node.recv(100) == b'{"kind": "granted"}'
    loop.granted()
    with pytest.raises(BlockingIOError):
        node.recv(100)
    memory.set_lease(1, boot_clock())
    loop.granted()
    assert node.recv(100) == b'{"kind": "granted"}', "it had run out"
