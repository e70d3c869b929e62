"""The crash tests by name, each a server with its directives, what must survive there, and what happens meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from crash.cycles import (
    Disturbance,
    Required,
    Trial,
    all_answered,
    answered_for_two_seconds,
    two_seconds_of_answers,
    what_is_safe,
)
from crash.disturbances import (
    change_policy,
    fill_disk,
    kill_children,
    rewrite,
    rewrite_again_and_again,
    save,
    save_in_background,
    switch,
    trouble_disk,
)
from crash.subjects import Node, Redis
from forked import Zygote

SMALL = ("--auto-aof-rewrite-min-size", "1mb")
"""Logs that are soon loaded, however many cycles there are."""
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always", *SMALL)
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec", *SMALL)
NO_RULES = ("--save", "")
OFTEN = ("--auto-aof-rewrite-min-size", "20kb", "--auto-aof-rewrite-percentage", "20")
SELDOM = ("--auto-aof-rewrite-min-size", "8mb")
"""A rewrite syncs as well, and hides that nothing else does."""
REWRITES = (rewrite, rewrite_again_and_again, save_in_background, kill_children)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a node is run and killed."""

    directives: Sequence[str]
    required: Required
    disturb: Sequence[Disturbance] = ()
    forgets: bool = False
    """The power goes as well: what was not synced is cut off."""
    filling: int = 0
    killed_loading: float = 0.0
    slowest: float = 0.01
    """Seconds that a sync takes there at most."""
    longest: float = 0.2
    """Seconds of a cycle."""
    shortest: float = 0.02
    ends_by: signal.Signals = signal.SIGKILL

    def trial(self, zygote: Zygote, folder: Path, random: Random, ignored: int = 0) -> Trial:
        node = Node(zygote, folder, *NO_RULES, *self.directives, forgets=self.forgets, ignored=ignored)
        node.slowest = self.slowest
        return Trial(node, random, self.required, self.disturb, self.filling, self.killed_loading, self.ends_by)


PLANS = {
    "always": Plan((*ALWAYS, *OFTEN), all_answered, REWRITES),
    "always, the power goes": Plan((*ALWAYS, *OFTEN), all_answered, REWRITES, forgets=True),
    "rewritten all the time": Plan(ALWAYS, all_answered, (rewrite_again_and_again,), forgets=True, longest=0.7),
    "everysec": Plan((*EVERYSEC, *OFTEN), answered_for_two_seconds, REWRITES),
    "everysec, the power goes": Plan(
        (*EVERYSEC, *SELDOM), answered_for_two_seconds, forgets=True, longest=3.2, shortest=2.5
    ),
    "everysec, a slow disk": Plan(
        (*EVERYSEC, *SELDOM), two_seconds_of_answers, forgets=True, slowest=4, longest=6, shortest=4
    ),
    "the policy changes": Plan(EVERYSEC, what_is_safe, (change_policy,), forgets=True, longest=0.5),
    "told to stop": Plan(EVERYSEC, all_answered, REWRITES, forgets=True, ends_by=signal.SIGTERM),
    "the disk is full": Plan(ALWAYS, all_answered, (fill_disk,), forgets=True, longest=2.5),
    "the disk fails": Plan(ALWAYS, all_answered, (trouble_disk,), forgets=True, longest=2.5),
    "snapshots": Plan((), what_is_safe, (save, save_in_background), forgets=True),
    "killed while loading": Plan(ALWAYS, all_answered, (rewrite,), forgets=True, filling=20_000, killed_loading=0.6),
    "switched on and off": Plan(("--appendfsync", "always"), what_is_safe, (switch,), forgets=True, longest=0.5),
}


def redis(folder: Path, random: Random, required: Required, *directives: str) -> Trial:
    """A real one."""
    return Trial(Redis(folder, *NO_RULES, *directives), random, required)
