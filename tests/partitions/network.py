"""Machines of one host, each a network namespace with an address of its own, and links between them that can be cut.

    machine 10.77.1.2 ── 10.77.1.1 hub 10.77.2.1 ── 10.77.2.2 machine

The hub routes. To cut a link is to have it drop what one machine sends another, silently, as a network does: a rule for
each direction, so that one way can go on. All of it lives in namespaces that nobody else sees, and ends with the
process; it needs a user namespace (`enter`), or root.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNET = 0x40000000
INSIDE = "RINGKEEPER_IN_NAMESPACE"
HINT = (
    "partitions are tested in network namespaces, which this system does not give away. Allow user namespaces (sysctl "
    "user.max_user_namespaces, kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; "
    "docker run --privileged), or run as root; `unshare` (util-linux), `ip` and `tc` (iproute2) must be there"
)
PROOF_SECONDS = 10.0
Link = tuple[str, str]
"""From one machine to another."""

_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaces(Exception):
    """This system lets us have no networks of our own; the text says what to do."""


def enter() -> None:
    """Be this program again, in a user and a network namespace of its own. Raises `NoNamespaces`."""
    if os.environ.get(INSIDE):
        return
    ways = [["unshare", "--user", "--map-root-user", "--net"]]
    if os.geteuid() == 0:
        ways.append(["unshare", "--net"])
    told = []
    for way in ways:
        try:
            tried = subprocess.run([*way, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise NoNamespaces(f"{error}: {HINT}") from None
        if tried.returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
        told.append(f"{' '.join(way)}: {tried.stderr.strip()}")
    raise NoNamespaces(f"{'; '.join(told)}: {HINT}")


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Network:
    """`machines` are names; each has a namespace that lasts as long as this process."""

    def __init__(self, machines: Iterable[str]) -> None:
        self.names = tuple(machines)
        self.cuts: set[Link] = set()
        self.descriptors: dict[str, int] = {}
        """Of the namespaces: what keeps them."""
        self.hub = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        ip("link set lo up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for name in self.names:
            self._add(name)

    def _add(self, name: str) -> None:
        _checked(_libc.unshare(CLONE_NEWNET), "a network namespace")
        self.descriptors[name] = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        gateway, address = self.address(name, 1), self.address(name)
        try:
            ip("link set lo up", f"link add eth0 type veth peer name {name} netns {self.path(self.hub)}")
            ip(f"address add {address}/24 dev eth0", "link set eth0 up", f"route add default via {gateway}")
        finally:
            self.go_home()
        ip(f"address add {gateway}/24 dev {name}", f"link set dev {name} up")

    @staticmethod
    def path(descriptor: int) -> str:
        """Of a namespace, for programs that this process starts, and for those that they start."""
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def address(self, name: str, host: int = 2) -> str:
        return f"10.77.{1 + self.names.index(name)}.{host}"

    def go_to(self, name: str) -> None:
        """Let this thread, and what it starts, be on a machine from now on."""
        self._go(self.descriptors[name])

    def go_home(self) -> None:
        """To the hub."""
        self._go(self.hub)

    @staticmethod
    def _go(descriptor: int) -> None:
        _checked(_libc.setns(descriptor, CLONE_NEWNET), "setns")

    def prefix(self, name: str) -> tuple[str, ...]:
        """The words that have a command executed on a machine."""
        return "nsenter", f"--net={self.path(self.descriptors[name])}", "--"

    def cut(self, links: Iterable[Link]) -> None:
        """Let these links be cut, and no others."""
        wanted = set(links)
        added = [f"rule add {self._rule(link)}" for link in wanted - self.cuts]
        gone = [f"rule del {self._rule(link)}" for link in self.cuts - wanted]
        self.cuts = wanted
        if added or gone:
            ip(*added, *gone)

    def slow_down(self, name: str, rate: int) -> None:
        """Let a machine be sent no more than so many bytes a second."""
        self._tc("replace", name, "tbf", "rate", f"{8 * rate}bit", "burst", "32kb", "latency", "400ms")

    def speed_up(self, name: str) -> None:
        """The end of it."""
        self._tc("del", name)

    @staticmethod
    def _tc(verb: str, name: str, *discipline: str) -> None:
        subprocess.run(["tc", "qdisc", verb, "dev", name, "root", *discipline], check=verb != "del")

    def _rule(self, link: Link) -> str:
        source, target = link
        return f"from {self.address(source)} to {self.address(target)} blackhole pref 100"


def prove(network: Network) -> None:
    """That a cut link drops what is sent one way, and that alone."""
    one, other = network.names[:2]
    sockets = {}
    for name in (one, other):
        network.go_to(name)
        sockets[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets[name].bind((network.address(name), 0))
        sockets[name].settimeout(PROOF_SECONDS)
    network.go_home()
    network.cut([(one, other)])
    for source, target in ((one, other), (other, one)):
        sockets[source].sendto(b"cut", sockets[target].getsockname())
    assert sockets[one].recv(10) == b"cut"
    network.cut(())
    sockets[one].sendto(b"whole", sockets[other].getsockname())
    assert sockets[other].recv(10) == b"whole", "a link was not cut"
    for each in sockets.values():
        each.close()


def ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
