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
from ringkeeper_operator.model import (
    AskHandover,
    AskRelease,
    CommitTopology,
    MeasureSlots,
    Observed,
    Refuse,
    Spec,
    Wait,
    WatchMoves,
)
from ringkeeper_operator.runtime.base import Blocked, Conflict, PushError, Runtime, UncertainCommit
from ringkeeper_operator.status import has_no_master

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0
"""How long a converged cluster is left alone when nothing wakes the loop: nodes send no events when they die."""
ASKED_SECONDS = 0.2
"""How long the loop waits for what a master says that was asked to hand over, and keeps the machine free for it."""
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 15.0
SHARDS_TOLD = 3


async def reconcile_once(runtime: Runtime, spec: Spec) -> float:
    """One round. Returns how long the loop may sleep (0: look again at once)."""
    observed = await _look(runtime, spec)
    action = decide(spec, observed, time.time())
    if observed.is_glance and isinstance(action, AskRelease):
        await runtime.apply(spec, action)
        runtime.urgent.clear()
        observed = await runtime.glance(spec) or observed
        action = decide(spec, observed, time.time())
    if observed.is_glance and not isinstance(action, CommitTopology):
        return 0.0
    if not observed.is_glance and not (isinstance(action, CommitTopology) and action.at_once):
        await runtime.publish(spec, observed, None if isinstance(action, MeasureSlots) else action)  # a mere question
    if action is None:
        return IDLE_SECONDS
    if isinstance(action, Wait) and not isinstance(action, WatchMoves):
        return action.seconds
    if isinstance(action, Refuse):
        await runtime.record(spec, action)
        return IDLE_SECONDS
    try:
        await runtime.apply(spec, action)
    except (Conflict, UncertainCommit) as error:
        log.info("%s: %s; looking again", spec.name, error)
        return 0.0
    except PushError as error:
        await runtime.publish(spec, observed, Wait(reason="NotTaken", message=str(error), warning=True, seconds=0.0))
        raise
    except Blocked as error:
        refusal = Refuse(reason="Blocked", message=str(error), warning=True)
        await runtime.publish(spec, observed, refusal)
        await runtime.record(spec, refusal)
        return IDLE_SECONDS
    if not isinstance(action, WatchMoves):
        await runtime.record(spec, action)
    return ASKED_SECONDS if isinstance(action, AskHandover) else 0.0


async def _look(runtime: Runtime, spec: Spec) -> Observed:
    """A thorough look, unless it is urgent or becomes so meanwhile: a node that hangs answers nobody for a while."""
    if runtime.urgent.is_set():
        runtime.urgent.clear()
        if (glance := await runtime.glance(spec)) is not None:
            return glance
    urgent = asyncio.ensure_future(runtime.urgent.wait())
    thorough = asyncio.ensure_future(runtime.observe(spec))
    try:
        await asyncio.wait((urgent, thorough), return_when=asyncio.FIRST_COMPLETED)
        if thorough.done():
            return thorough.result()
        runtime.urgent.clear()
        glance = await runtime.glance(spec)
        return glance if glance is not None else await thorough
    finally:
        for task in (urgent, thorough):
            task.cancel()
        await asyncio.gather(urgent, thorough, return_exceptions=True)


async def tell_alarm(runtime: Runtime, spec: Spec) -> None:
    """Say in the status, from what is known at once, that a shard has no master."""
    runtime.alarm.clear()
    seen = await runtime.glance(spec)
    if seen is None or seen.topology is None:
        return
    told = [verdict.reason for index, verdict in seen.verdicts.items() if has_no_master(seen.topology, index, verdict)]
    if told:
        message = f"{'; '.join(told[:SHARDS_TOLD])}{' and others' if len(told) > SHARDS_TOLD else ''}"
        await runtime.publish(spec, seen, Wait(reason="MasterSuspected", message=message, warning=True, seconds=0.0))


async def herald(runtime: Runtime, current_spec: Callable[[], Spec | None]) -> None:
    """Beside the loop, which may be waiting for a node that answers nobody, or be busy with appointing another master:
    by then a status that follows would say that all is well again.
    """
    while True:
        await runtime.alarm.wait()
        runtime.alarm.clear()
        if (spec := current_spec()) is not None:
            try:
                await tell_alarm(runtime, spec)
            except OSError as error:
                log.warning("%s/%s: the status could not be written: %s", spec.namespace, spec.name, error)


async def run(runtime: Runtime, current_spec: Callable[[], Spec | None], wake: asyncio.Event) -> None:
    """Reconcile until `current_spec` answers None (the cluster is gone) or the task is cancelled."""
    heralding = asyncio.create_task(herald(runtime, current_spec))
    try:
        await _run(runtime, current_spec, wake)
    finally:
        heralding.cancel()
        await asyncio.gather(heralding, return_exceptions=True)


async def _run(runtime: Runtime, current_spec: Callable[[], Spec | None], wake: asyncio.Event) -> None:
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
