"""Commands as people may see them, in SLOWLOG and MONITOR: without passwords and what else users are known by."""

from __future__ import annotations

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.server.directives import DIRECTIVES

REDACTED = b"(redacted)"
USERS = frozenset({"acl|setuser", "acl|getuser", "acl|deluser"})


def redacted(command: Command, args: Arguments) -> Arguments:
    """The words of a command; those that are secret replaced."""
    match command.name:
        case "auth":
            return hide(args, range(1, len(args)))
        case "hello":
            at = next((place for place, word in enumerate(args) if word.lower() == b"auth"), len(args))
            return hide(args, range(at + 1, min(at + 3, len(args))))
        case "config|set":
            return hide(args, [place for place in range(3, len(args), 2) if is_secret(args[place - 1])])
        case name if name in USERS:
            return hide(args, range(2, len(args)))
    return args


def is_secret(directive: bytes) -> bool:
    found = DIRECTIVES.get(directive.lower().decode("latin-1"))
    return found is not None and found.secret


def hide(args: Arguments, places: range | list[int]) -> Arguments:
    return [REDACTED if place in places else word for place, word in enumerate(args)]
