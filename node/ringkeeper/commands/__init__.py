"""One module per command group, one decorator per command; `load()` fills the table."""

from importlib import import_module

from ringkeeper.commands.table import COMMANDS, Command

GROUPS = (
    "strings",
    "bits",
    "hashes",
    "hash_expiry",
    "sets",
    "lists",
    "lists_blocking",
    "generic",
    "expiry",
    "serialization",
    "connection",
    "clients",
    "transactions",
    "pubsub",
    "tracking",
    "admin",
    "memory",
    "debug",
    "introspection",
    "cluster",
)
"""Every module that registers commands; a new group is added here and nowhere else."""


def load() -> dict[bytes, Command]:
    """Import every group and return the command table, by lower-case name."""
    for group in GROUPS:
        import_module(f"ringkeeper.commands.{group}")
    return COMMANDS
