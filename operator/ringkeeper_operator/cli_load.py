"""`ringkeeper load`: put a dump of a Redis into a running cluster."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ringkeeper_operator.cli_common import BAD_INPUT, NoCluster, fail, find_cluster, locate
from ringkeeper_operator.runtime.local_folder import owner_of

if TYPE_CHECKING:
    from ringkeeper_operator.load_run import Target

HOST_AND_PORT = re.compile(r"\[?(?P<host>[^\[\]/]+?)\]?:(?P<port>\d{1,5})")


def find_target(word: str) -> Target:
    """A laptop's cluster by its name or folder, or the node at HOST:PORT; else the end of the program."""
    from ringkeeper_operator.load_run import Target

    match = HOST_AND_PORT.fullmatch(word)
    if match is not None and int(match["port"]) < 65536:
        return Target(word, [(match["host"], int(match["port"]))], None)
    in_folder = owner_of(Path(word)) is not None
    try:
        locate(*((None, word) if in_folder else (word, None)))
    except NoCluster as error:
        fail(f"--to: {error}; the HOST:PORT of any node of a cluster will do, too", BAD_INPUT)
    folder = find_cluster(*((None, word) if in_folder else (word, None)))
    from ringkeeper_operator.cli_status import look_at

    nodes = asyncio.run(look_at(folder)).observed.nodes
    seeds = [(node.address, node.port) for node in nodes if node.address]
    if not seeds:
        fail(f"no node of {folder.name} runs; `ringkeeper up` starts it")
    return Target(str(folder.path), seeds, folder.password())


@click.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "target", required=True, metavar="CLUSTER", help="Name, folder, or HOST:PORT of a node.")
@click.option("--user", help="Who logs in; by default the user `default`.")
@click.option("--password", envvar=["RINGKEEPER_PASSWORD", "REDISCLI_AUTH"], show_envvar=True, help="Their password.")
@click.option("--replace", is_flag=True, help="Overwrite keys that the cluster has already.")
@click.option("--skip-existing", is_flag=True, help="Leave them as they are. Without either, the first one is the end.")
@click.option("--db", type=click.IntRange(0), metavar="N", help="Take only this database of the dump.")
@click.option("--match", "pattern", metavar="PATTERN", help="Take only keys like this, as in KEYS: 'session:*'.")
@click.option("--skip-unsupported", is_flag=True, help="Leave out streams, module values and functions.")
@click.option("--no-check", is_flag=True, help="Do not read the file through before the first key is sent.")
@click.option("--restart", is_flag=True, help="Begin anew, even if an earlier load was interrupted.")
@click.option("--rate", type=click.IntRange(0), default=0, metavar="N", help="Keys a second at most; 0 for no limit.")
@click.option("--wait", type=click.FloatRange(0), default=60.0, show_default=True, metavar="SECONDS",
              help="For how long nothing at all may succeed: nodes that start, or fail over.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would be sent where.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def load_command(
    file: Path,
    target: str,
    user: str | None,
    password: str | None,
    replace: bool,
    skip_existing: bool,
    db: int | None,
    pattern: str | None,
    skip_unsupported: bool,
    no_check: bool,
    restart: bool,
    rate: int,
    wait: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put what a snapshot (RDB file) of Redis, Valkey or Ringkeeper holds into a running cluster.

    The file is read through first, so that nothing is sent of one that is damaged. A load that was interrupted goes on
    where it stopped when the same command is given again. Keys whose time to expire has come are left out. The exit
    code is 0 if all of the rest is in the cluster.
    """
    from ringkeeper_operator.load_run import Order, carry_out
    from ringkeeper_operator.runtime.importing import Choice

    if replace and skip_existing:
        raise click.UsageError("--replace and --skip-existing exclude each other.")
    if no_check and db is None:
        raise click.UsageError("--no-check needs --db: nobody has seen which databases the file holds.")
    choice = Choice(
        existing="replace" if replace else "skip" if skip_existing else "stop",
        database=db,
        pattern=pattern,
        unsupported="skip" if skip_unsupported else "refuse",
    )
    found = find_target(target)
    password = found.password if password is None else password
    if user is not None and password is None:
        raise click.UsageError("--user needs --password, or RINGKEEPER_PASSWORD in the environment.")
    order = Order(file, found, user, password, choice, not no_check, restart, dry_run, rate, wait)
    outcome = carry_out(order)
    click.echo(json.dumps(outcome.as_json(), indent=2) if as_json else "\n".join(outcome.lines()))
    if outcome.error:
        fail(outcome.error, outcome.code)
    sys.exit(outcome.code)
