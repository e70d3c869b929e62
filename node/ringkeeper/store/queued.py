"""Where the queue-based engines meet a database: S3-FIFO and W-TinyLFU for the node or for a namespace with a budget.

Each database has an engine of its own for each such scope. A key belongs to its namespace's engine if that has a budget
and such a policy, else to the node's if the node has such a policy and the namespace no budget.
"""

from __future__ import annotations

from typing import Any

import cython

from ringkeeper.store.eviction.s3fifo import S3Fifo
from ringkeeper.store.eviction.w_tinylfu import WTinyLfu
from ringkeeper.store.namespaces import Namespaces
from ringkeeper.store.policies import QUEUED_POLICIES

if not cython.compiled:
    from ringkeeper.store.eviction.residents import Residents
    from ringkeeper.store.evictor import Evictor
    from ringkeeper.store.keyspace import Keyspace
    from ringkeeper.store.table_plain import Found
else:
    from cython.cimports.ringkeeper.store.eviction.residents import Residents  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.evictor import Evictor  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import Found  # type: ignore[no-redef]

NODE = 0
"""The number that stands for the node's scope: namespace 0 has no budget of its own."""


@cython.final
@cython.cclass
class Scope(Residents):
    """The keys of a database that one engine governs. A handle is the address of a record."""

    def __init__(self, keyspace: Keyspace, evictor: Evictor, number: int, policy: str) -> None:
        self.keyspace = keyspace
        self.evictor = evictor
        self.number = number
        """Of the namespace, or `NODE`."""
        self.policy = policy
        self.volatile = policy.startswith("volatile-")
        """Whether only keys with an expiry may go."""

    def find(self, ident: cython.ulonglong) -> cython.ulonglong:
        record: Found = self.keyspace.table.find_ident(ident)
        if not record or (self.volatile and self.keyspace.table.expiry(record) < 0):
            return 0
        if self.keyspace.scopes[self.keyspace.table.number_of(record)] != self.number:
            return 0
        return self.keyspace.table.handle_of(record)

    def state(self, handle: cython.ulonglong) -> cython.int:
        return self.keyspace.table.record_at(handle).state

    def set_state(self, handle: cython.ulonglong, bits: cython.int) -> None:
        self.keyspace.table.record_at(handle).state = cython.cast(cython.uchar, bits)

    def size(self, handle: cython.ulonglong) -> cython.longlong:
        return self.keyspace.table.memory(self.keyspace.table.record_at(handle))

    def count(self) -> cython.longlong:
        if self.number != NODE:
            return self.keyspace.table.space_keys(self.number)
        return self.keyspace.table.volatile if self.volatile else self.keyspace.table.size

    def room(self) -> cython.longlong:
        if self.number != NODE:
            return self.keyspace.rules[self.number].max_memory - self.keyspace.space_used(self.number)
        return self.evictor.max_memory - self.evictor.used_by(self.keyspace)


def scopes_of(namespaces: Namespaces, policy: str) -> list[int]:
    """By namespace, the scope whose engine its keys belong to; -1 for none. `policy` is the node's."""
    node = NODE if policy in QUEUED_POLICIES else -1
    own = [
        (number if item.policy in QUEUED_POLICIES else -1) if item.max_memory else node
        for number, item in enumerate(namespaces.items, 1)
    ]
    return [node, *own]


def kinds_of(namespaces: Namespaces, policy: str, scopes: list[int]) -> list[str | None]:
    """By scope, the policy of its engine; None where there is none."""
    used = set(scopes)
    policies = [policy, *(item.policy for item in namespaces.items)]
    return [each if number in used else None for number, each in enumerate(policies)]


def make_engines(keyspace: Keyspace, evictor: Evictor, kinds: list[str | None]) -> list[Any]:
    """By scope, a new engine; None where there is none."""
    return [kind and make_engine(keyspace, evictor, number, kind) for number, kind in enumerate(kinds)]


def make_engine(keyspace: Keyspace, evictor: Evictor, number: int, policy: str) -> Any:
    scope = Scope(keyspace, evictor, number, policy)
    if policy.endswith("s3-fifo"):
        return S3Fifo(scope)
    return WTinyLfu(scope, keyspace.random.getrandbits(62))
