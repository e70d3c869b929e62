"""The supervisor of a laptop's cluster: the operator's loop over the local runtime, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from ringkeeper_operator.model import Action, Spec
from ringkeeper_operator.runtime import loop
from ringkeeper_operator.runtime.local import LocalRuntime
from ringkeeper_operator.runtime.local_folder import ClusterFolder

log = logging.getLogger(__name__)


async def supervise(
    folder: ClusterFolder,
    spec: Spec,
    *,
    tell: Callable[[Action], None] | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Keep the cluster as its manifest says until SIGTERM or SIGINT, then stop its nodes.

    `ready` is called once, when all slots are served. Raises `FolderError` if another supervisor is at work.
    """
    with folder.supervised():
        runtime = LocalRuntime(folder, tell)
        stop, wake = asyncio.Event(), asyncio.Event()
        events = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            events.add_signal_handler(sign, stop.set)
        events.add_signal_handler(signal.SIGCHLD, wake.set)
        if ready is not None:
            runtime.when_ready = ready
        work = asyncio.create_task(loop.run(runtime, lambda: spec, wake))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            log.info("Stopping the nodes of %s", spec.name)
            await runtime.stop_nodes(spec)
            await runtime.close()
