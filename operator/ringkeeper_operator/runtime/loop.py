"""The level-triggered loop that both runtimes share: observe, decide, apply, status; again and again.

Whatever happened before this round does not matter: each round starts from what is there. A wake-up only ends a wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import Refuse, Spec, Wait
from ringkeeper_operator.runtime.base import Blocked, Conflict, Runtime, UncertainCommit

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0
"""How long a converged cluster is left alone when nothing wakes the loop: nodes send no events when they die."""
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 15.0


async def reconcile_once(runtime: Runtime, spec: Spec) -> float:
    """One round. Returns how long the loop may sleep (0: look again at once)."""
    observed = await runtime.observe(spec)
    action = decide(spec, observed, time.time())
    await runtime.publish(spec, observed, action)
    if action is None:
        return IDLE_SECONDS
    if isinstance(action, Wait):
        return action.seconds
    if isinstance(action, Refuse):
        await runtime.record(spec, action)
        return IDLE_SECONDS
    try:
        await runtime.apply(spec, action)
    except (Conflict, UncertainCommit) as error:
        log.info("%s: %s; looking again", spec.name, error)
        return 0.0
    except Blocked as error:
        refusal = Refuse(reason="Blocked", message=str(error), warning=True)
        await runtime.publish(spec, observed, refusal)
        await runtime.record(spec, refusal)
        return IDLE_SECONDS
    await runtime.record(spec, action)
    return 0.0


async def run(runtime: Runtime, current_spec: Callable[[], Spec | None], wake: asyncio.Event) -> None:
    """Reconcile until `current_spec` answers None (the cluster is gone) or the task is cancelled."""
    retry = FIRST_RETRY_SECONDS
    while (spec := current_spec()) is not None:
        wake.clear()
        try:
            pause = await reconcile_once(runtime, spec)
            retry = FIRST_RETRY_SECONDS
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s/%s: the round failed; again in %.1f s", spec.namespace, spec.name, retry)
            pause, retry = retry, min(retry * 2, LAST_RETRY_SECONDS)
        if pause:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), pause)
