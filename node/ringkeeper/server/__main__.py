"""`ringkeeper-server`: reads the configuration, runs one node until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ringkeeper import __version__, _compiled
from ringkeeper.server import logs
from ringkeeper.server.config import Config, ConfigError, describe, read_arguments

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

USAGE = """\
Usage: ringkeeper-server [FILE] [--directive value ...] ...

Runs one cache node that speaks the Redis protocol. FILE holds redis.conf directives; those of the command line win.

  ringkeeper-server --port 6400 --requirepass secret --maxmemory 100mb
  ringkeeper-server ringkeeper.conf --loglevel verbose

Other options:
  --help, -h                       this text
  --version, -v                    version, and which form of each hot module runs

Directives [default]:"""

log = logging.getLogger("ringkeeper.server")

YOUNG = 5_000
"""New objects until the collector looks at those: some 0.1 ms."""
MIDDLE_AGED = 4
"""Such looks until it looks at what they left: some 0.5 ms."""
NEVER = 10**9


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run a node; the exit code: 0 after an orderly stop, 1 for a configuration that cannot be used."""
    if argv and argv[0] in ("--help", "-h"):
        print(USAGE, *describe(), sep="\n")
        return 0
    if argv and argv[0] in ("--version", "-v"):
        print(version())
        return 0
    try:
        config = read_arguments(argv)
        logs.start(config.text("logfile"), config.text("loglevel"))
        return serve(config)
    except ConfigError as error:
        return complain(str(error))
    except OSError as error:
        return complain(f"{error.filename or 'start'}: {error.strerror or error}")


def complain(text: str) -> int:
    print(f"ringkeeper-server: {text}", file=sys.stderr)
    return 1


def version() -> str:
    import importlib

    for module in _compiled.MODULES:
        importlib.import_module(module)
    forms = "\n".join(f"  {module}: {_compiled.form(module)}" for module in _compiled.MODULES)
    return f"ringkeeper-server {__version__}\n{forms}"


def serve(config: Config) -> int:
    import uvloop

    from ringkeeper.server.memory import set_up_allocator

    set_up_allocator()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_stopped(config))


async def until_stopped(config: Config) -> int:
    from ringkeeper.server.node import Node

    loop = asyncio.get_running_loop()
    node = Node(config, loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, node, number)
    await node.start()
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        log.warning("PYTHONHASHSEED is set: clients could choose keys that collide. Unset it in production")
    spare_the_collector()
    await node.stopped.wait()
    await node.stop()
    log.info("Ringkeeper is now ready to exit, bye bye...")
    return 0


def spare_the_collector() -> None:
    """Let the cyclic collector look at young objects only: a pass over millions of old ones would stall every client.

    What the data is made of has no cycles, and a session cuts its own when its connection ends
    (`Session.connection_lost`), so counting references frees both. What is there now is here to stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE_AGED, NEVER)


def ask_to_stop(node: Node, number: signal.Signals) -> None:
    log.info("Received %s, shutting down...", number.name)
    if number is signal.SIGTERM:
        node.departure.begin()
    else:
        node.departure.begin(now=True)


if __name__ == "__main__":
    main()
