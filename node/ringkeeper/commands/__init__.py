"""One module per command group, one decorator per command; `load()` fills the table."""

from importlib import import_module

from ringkeeper.commands.table import COMMANDS, INTERNAL, Command

GROUPS = (
    "strings",
    "bits",
    "hashes",
    "hash_expiry",
    "sets",
    "lists",
    "lists_blocking",
    "sorted_sets",
    "sorted_sets_ranges",
    "sorted_sets_pops",
    "sorted_sets_algebra",
    "generic",
    "expiry",
    "serialization",
    "sort",
    "connection",
    "clients",
    "transactions",
    "pubsub",
    "tracking",
    "admin",
    "latency",
    "acl",
    "memory",
    "persistence",
    "replication",
    "debug",
    "introspection",
    "cluster",
    "peers",
)
"""Every module that registers commands; a new group is added here and nowhere else."""


def load() -> dict[bytes, Command]:
    """Import every group and return what can be dispatched, by lower-case name."""
    for group in GROUPS:
        import_module(f"ringkeeper.commands.{group}")
    return COMMANDS | INTERNAL
