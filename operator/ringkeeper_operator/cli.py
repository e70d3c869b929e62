"""`ringkeeper`: run, see and plan clusters. Commands that need much are imported when they are called."""

from __future__ import annotations

import sys

import click

from ringkeeper import __version__
from ringkeeper_operator.cli_check import check_aof_command, check_rdb_command
from ringkeeper_operator.cli_common import Sentences
from ringkeeper_operator.cli_down import down
from ringkeeper_operator.cli_failover import failover
from ringkeeper_operator.cli_load import load_command
from ringkeeper_operator.cli_ring import ring_command
from ringkeeper_operator.cli_scale import plan_command, scale
from ringkeeper_operator.cli_status import kill, logs, status
from ringkeeper_operator.cli_up import supervise_command, up


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="ringkeeper %(version)s")
def main() -> None:
    """A distributed cache that any Redis Cluster client can use.

    \b
      ringkeeper up -f examples/quickstart.yaml --detach
      redis-cli -c -p 6400 set greeting hello
      ringkeeper status
      ringkeeper down
    """


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def server(arguments: tuple[str, ...]) -> None:
    """Run one cache node; takes redis.conf directives (`ringkeeper server --help`)."""
    from ringkeeper.server.__main__ import run

    sys.exit(run(list(arguments)))


for _command in (
    up,
    status,
    kill,
    failover,
    scale,
    plan_command,
    logs,
    down,
    ring_command,
    check_rdb_command,
    check_aof_command,
    load_command,
    server,
):
    main.add_command(_command)
main.add_command(supervise_command, "supervise")

if __name__ == "__main__":
    main()
