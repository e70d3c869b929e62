"""The reply of `CONTAINER HELP`, in Redis's layout."""

from __future__ import annotations

from ringkeeper.resp.values import Simple


def help_reply(container: str, text: str) -> list[Simple]:
    """A status line for each line of `text`, between Redis's own first and last lines."""
    lines = [f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    lines += text.strip("\n").splitlines()
    lines += ["HELP", "    Print this help."]
    return [Simple(line.encode()) for line in lines]
