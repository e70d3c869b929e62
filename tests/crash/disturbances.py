"""What happens amid the writes of a crash test: snapshots, rewrites, kills of the process that makes them, switches."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal

from crash.client import Control, now_ms
from crash.cycles import CONTROL, Poll, Trial
from crash.model import OK
from crash.subjects import Node, children

from ringkeeper.resp.values import ReplyError


def save(trial: Trial, control: Control) -> None:
    began = now_ms()
    if control.ask("SAVE") == OK:
        trial.safe = began


def save_in_background(_: Trial, control: Control) -> None:
    control.ask("BGSAVE")


def rewrite(_: Trial, control: Control) -> None:
    control.ask("BGREWRITEAOF")


def rewrite_again_and_again(_: Trial, control: Control) -> Poll:
    def poll() -> bool:
        control.ask("BGREWRITEAOF")
        return True

    return poll


def kill_children(trial: Trial, control: Control) -> None:
    """Only the process that writes a file."""
    control.ask("BGREWRITEAOF")
    for child in children(trial.subject):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def fill_disk(trial: Trial, control: Control) -> Poll:
    """No file can grow much larger than the largest is, until it can."""
    pid = trial.subject.pid
    sizes = [path.stat().st_size for path in trial.subject.folder.rglob("*") if path.is_file()]

    def limit(size: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def poll() -> bool:
        if trial.random.random() < 0.1:
            limit(resource.RLIM_INFINITY)
            return False
        return True

    limit(max(sizes) + trial.random.randrange(20_000))
    if trial.random.random() < 0.3:
        control.ask("BGREWRITEAOF")
    return poll


def trouble_disk(trial: Trial, control: Control) -> Poll:
    """Calls of the disk fail, until they do no more."""
    assert isinstance(trial.subject, Node)
    trouble = trial.subject.trouble

    def poll() -> bool:
        if trial.random.random() < 0.1:
            trouble.unlink()
            return False
        return True

    trouble.touch()
    if trial.random.random() < 0.3:
        control.ask("BGREWRITEAOF")
    return poll


def written(control: Control) -> bool:
    """Whether a change of this connection was answered: what was answered to others before is as safe as this is."""
    control.ask("SELECT", "0")
    return not isinstance(control.ask("SET", CONTROL, str(now_ms())), ReplyError)


def order(control: Control, directive: str, word: str) -> None:
    assert control.ask("CONFIG", "SET", directive, word) == OK


def switch(trial: Trial, control: Control) -> Poll:
    """Switch the append-only file on; when it holds everything off, and on again."""

    def poll() -> bool:
        facts = control.facts("persistence")
        if (facts["aof_enabled"], facts["aof_rewrite_in_progress"], facts["aof_rewrite_scheduled"]) != ("1", "0", "0"):
            return True
        if trial.safe < math.inf:
            if written(control):
                trial.safe = math.inf
        elif trial.random.random() < 0.1:
            trial.safe = now_ms()
            order(control, "appendonly", "no")
            if trial.random.random() < 0.7:
                order(control, "appendonly", "yes")
        return True

    order(control, "appendonly", "yes")
    return poll


def change_policy(trial: Trial, control: Control) -> Poll:
    """Between `everysec` and `always`, under which everything is safe that is answered."""

    def poll() -> bool:
        if trial.safe < math.inf:
            order(control, "appendfsync", "always")
            if written(control):
                trial.safe = math.inf
        elif trial.random.random() < 0.2:
            trial.safe = now_ms()
            order(control, "appendfsync", "everysec")
        return True

    return poll
