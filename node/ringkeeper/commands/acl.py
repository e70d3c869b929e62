"""ACL: who the users are and what they may do. The rules are in `ringkeeper.access`; here are only the words."""

from __future__ import annotations

from ringkeeper.commands.admin import container
from ringkeeper.commands.connection import text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import integer
from ringkeeper.commands.table import CATEGORIES, COMMANDS, Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError

ADMIN = "admin noscript loading stale"
OPEN = "noscript loading stale"
LONGEST_PASSWORD = 4096
"""Bits that ACL GENPASS makes at most."""

command(
    "ACL",
    arity=-2,
    flags="",
    group="server",
    since="6.0.0",
    complexity="Depends on subcommand.",
    summary="A container for Access List Control commands.",
)(container)


@command(
    "ACL|SETUSER",
    arity=-3,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of rules provided.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Creates and modifies an ACL user and its rules.",
)
def acl_setuser(context: Context, args: Arguments) -> Reply:
    context.access.set_user(args[2], args[3:])
    return OK


@command(
    "ACL|DELUSER",
    arity=-3,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(1) amortized time considering the typical user.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Deletes ACL users, and terminates their connections.",
)
def acl_deluser(context: Context, args: Arguments) -> Reply:
    return context.access.delete_users(args[2:])


@command(
    "ACL|GETUSER",
    arity=3,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of password, command and pattern rules that the user has.",
    summary="Lists the ACL rules of a user.",
)
def acl_getuser(context: Context, args: Arguments) -> Reply:
    return context.access.fields(args[2])


@command(
    "ACL|LIST",
    arity=2,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Dumps the effective rules in ACL file format.",
)
def acl_list(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.access.lines()


@command(
    "ACL|USERS",
    arity=2,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Lists all ACL users.",
)
def acl_users(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.access.names()


@command(
    "ACL|WHOAMI",
    arity=2,
    flags=OPEN,
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns the authenticated username of the current connection.",
)
def acl_whoami(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.client.user.name


@command(
    "ACL|CAT",
    arity=-2,
    flags=OPEN,
    group="server",
    since="6.0.0",
    complexity="O(1) since the categories and commands are a fixed set.",
    summary="Lists the ACL categories, or the commands inside a category.",
)
def acl_cat(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    if len(args) > 3:
        raise misused(args)
    if len(args) == 2:
        return list(CATEGORIES)
    category = text_of(args[2].partition(b"\0")[0])
    if category.lower() not in CATEGORIES:
        raise ReplyError(f"ERR Unknown category '{category[:128]}'")
    every = (each for entry in COMMANDS.values() for each in (entry, *entry.subcommands.values()))
    return [each.name for each in every if category.lower() in each.categories]


@command(
    "ACL|GENPASS",
    arity=-2,
    flags=OPEN,
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Generates a pseudorandom, secure password that can be used to identify ACL users.",
)
def acl_genpass(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise misused(args)
    bits = integer(args[2]) if len(args) == 3 else 256
    if not 0 < bits <= LONGEST_PASSWORD:
        raise ReplyError(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to "
            f"{LONGEST_PASSWORD}"
        )
    return context.access.new_password((bits + 3) // 4)


@command(
    "ACL|LOG",
    arity=-2,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N) with N being the number of entries shown.",
    summary="Lists recent security events generated due to ACL rules.",
)
def acl_log(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise misused(args)
    if len(args) == 3 and args[2].partition(b"\0")[0].lower() == b"reset":
        context.access.forget_refusals()
        return OK
    return context.access.refusals(integer(args[2]) if len(args) == 3 else 10)


@command(
    "ACL|DRYRUN",
    arity=-4,
    flags=ADMIN,
    group="server",
    since="7.0.0",
    complexity="O(1).",
    summary="Simulates the execution of a command by a user, without executing the command.",
)
def acl_dryrun(context: Context, args: Arguments) -> Reply:
    name, words = args[2], args[3:]
    if not context.access.has_user(name):
        raise ReplyError(f"ERR User '{text_of(name)}' not found")
    entry = COMMANDS.get(words[0].lower())
    if entry is not None and entry.subcommands and len(words) > 1:
        entry = entry.subcommands.get(words[1].lower())
    if entry is None:
        raise ReplyError(f"ERR Command '{text_of(words[0])}' not found")
    if (entry.arity > 0 and entry.arity != len(words)) or len(words) < -entry.arity:
        raise ReplyError(f"ERR wrong number of arguments for '{entry.name}' command")
    return context.access.try_out(name, entry, words) or OK


@command(
    "ACL|LOAD",
    arity=2,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Reloads the rules from the configured ACL file.",
)
def acl_load(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.access.load()
    return OK


@command(
    "ACL|SAVE",
    arity=2,
    flags=ADMIN,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Saves the effective ACL rules in the configured ACL file.",
)
def acl_save(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.access.save()
    return OK


@command(
    "ACL|HELP",
    arity=2,
    flags="loading stale",
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def acl_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("ACL", ACL_HELP)


def misused(args: Arguments) -> ReplyError:
    word = text_of(args[1][:128])
    return ReplyError(f"ERR unknown subcommand or wrong number of arguments for '{word}'. Try ACL HELP.")


ACL_HELP = """
CAT [<category>]
    List all commands that belong to <category>, or all command categories
    when no category is specified.
DELUSER <username> [<username> ...]
    Delete a list of users.
DRYRUN <username> <command> [<arg> ...]
    Returns whether the user can execute the given command without executing the command.
GETUSER <username>
    Get the user's details.
GENPASS [<bits>]
    Generate a secure 256-bit user password. The optional `bits` argument can
    be used to specify a different size.
LIST
    Show users details in config file format.
LOAD
    Reload users from the ACL file.
LOG [<count> | RESET]
    Show the ACL log entries.
SAVE
    Save the current config to the ACL file.
SETUSER <username> <attribute> [<attribute> ...]
    Create or modify a user with the specified attributes.
USERS
    List all the registered usernames.
WHOAMI
    Return the current connection username.
"""
