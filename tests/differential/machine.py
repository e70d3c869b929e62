"""Hypothesis drives a group's generator against a real server and a node, and shortens what it finds.

A command is drawn as one number, the seed that its generator makes it from; a batch is a list of such numbers. So
Hypothesis draws thousands of commands a second, and shrinking deletes commands until the few are left that matter.
"""

from __future__ import annotations

import ast
import contextlib
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from compare import Command, Difference, Peer, final_difference, first_difference
from groups import generator_for
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

LONGEST = 150
"""Commands in a batch."""
STEPS = 20
COMMANDS_PER_EXAMPLE = 600
"""About as many as come of so many steps; but the first example is always the shortest."""
PATIENCE_MS = 5
"""What dies soon is given so long: both servers must have heard of it before."""
SOON = b"@soon"
"""In a command: a moment shortly after it, in Unix milliseconds."""
WAIT = [b"@wait"]
"""In place of a command: wait until the last `SOON` is over."""
LIMITS = {
    b"hash-max-listpack-entries": b"512", b"hash-max-listpack-value": b"64", b"set-max-intset-entries": b"512",
    b"set-max-listpack-entries": b"128", b"set-max-listpack-value": b"64", b"zset-max-listpack-entries": b"128",
    b"zset-max-listpack-value": b"64", b"list-max-listpack-size": b"-2",
}  # fmt: skip
"""What commands may have changed in an example before."""

seeds = st.integers(0, 2**30)


@st.composite
def batches(draw: st.DrawFn, longest: int = LONGEST) -> list[int]:
    """Seeds, with a 0 behind the last: to delete a number is to delete a command."""
    drawn: list[int] = []
    while len(drawn) < longest and (seed := draw(seeds)):
        drawn.append(seed)
    return drawn


class Differs(AssertionError):
    """Carries the commands that show it, in a form that `run.py --replay` takes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Between whom, and how."""

    peer: str
    mode: str
    protocol: int
    ports: tuple[int, int]
    """Theirs, ours."""


class Pair:
    """A connection to each side."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.theirs, self.ours = (Peer(port, setting.protocol) for port in setting.ports)
        self.soon = 0

    def run(self, commands: list[Command]) -> Difference | None:
        start = 0
        while start < len(commands):
            end = commands.index(WAIT, start) if WAIT in commands[start:] else len(commands)
            if found := self.run_at_once(commands[start:end]):
                return found
            if end < len(commands):
                while time.time_ns() // 1_000_000 <= self.soon:
                    time.sleep(0.001)
            start = end + 1
        return None

    def run_at_once(self, commands: list[Command]) -> Difference | None:
        if any(SOON in command for command in commands):
            self.soon = time.time_ns() // 1_000_000 + PATIENCE_MS
            commands = [[b"%d" % self.soon if word == SOON else word for word in command] for command in commands]
        replies = (side.run(commands) for side in (self.theirs, self.ours))
        return first_difference(self.setting.peer, commands, *replies)

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()


class Machine(RuleBasedStateMachine):
    """One example begins with empty databases."""

    setting: ClassVar[Setting]
    group: ClassVar[str]
    commands_run: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int, Command]] = []
        self.failed = False
        self.pairs: list[Pair] = []

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        self.generator = generator_for(self.group, seed)
        if self.setting.mode == "cluster":
            self.generator.in_cluster()
        self.pairs = [Pair(self.setting), Pair(self.setting)]
        for side in (self.pairs[0].theirs, self.pairs[0].ours):
            side.run([[b"CONFIG", b"SET", *limit] for limit in LIMITS.items()])
        self.run([[b"FLUSHALL"], [b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]])

    @rule(batch=batches(), look=st.integers(0, 15))
    def commands(self, batch: list[int], look: int) -> None:
        self.run(self.made(batch))
        if look == 15:
            self.compare_state()

    @rule(batch=batches(12), others=batches(5), watched=st.integers(0, 3), discarded=st.booleans())
    def transaction(self, batch: list[int], others: list[int], watched: int, discarded: bool) -> None:
        """At times watched keys, and what another session does to them."""
        if watched:
            self.run([[b"WATCH", *self.generator.keys[:watched]]])
            self.run(self.made(others), 1)
        self.run([[b"MULTI"], *self.made(batch), [b"DISCARD"] if discarded else [b"EXEC"]])

    @rule(batch=batches(), doomed=st.integers(1, 255))
    def expiry(self, batch: list[int], doomed: int) -> None:
        """Commands that meet keys whose time has come, but that nobody has removed."""
        keys = [key for i, key in enumerate(self.generator.keys) if doomed >> i & 1]
        self.run([[b"PEXPIREAT", key, SOON] for key in keys] + [WAIT] + self.made(batch))

    def made(self, batch: list[int]) -> list[Command]:
        made = []
        for seed in batch:
            self.generator.random.seed(seed)
            made.append(self.generator.command())
        return made

    def run(self, commands: list[Command], session: int = 0) -> None:
        Machine.commands_run += len(commands)
        self.said += [(session, command) for command in commands]
        if found := self.pairs[session].run(commands):
            self.fail(found)

    def compare_state(self) -> None:
        with contextlib.closing(Pair(self.setting)) as pair:
            if found := final_difference(self.setting.peer, pair.theirs, pair.ours):
                self.fail(found)

    def fail(self, found: Difference) -> None:
        self.failed = True
        lines = [f"{session}: {command}" for session, command in self.said]
        setting = f"{self.setting.peer} {self.setting.mode} {self.setting.protocol} # {self.group}"
        raise Differs("\n".join([setting, *lines, f"# differs: {found}"]))

    def teardown(self) -> None:
        try:
            if self.pairs and not self.failed:
                self.compare_state()
        finally:
            for pair in self.pairs:
                pair.close()


def replay(setting: Setting, text: str) -> Difference | None:
    """Run the commands that `Differs` showed."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(contextlib.closing(Pair(setting))) for _ in range(2)]
        for line in text.splitlines():
            session, colon, command = line.partition(": ")
            if colon and session.isdigit() and (found := pairs[int(session)].run([ast.literal_eval(command)])):
                return found
        return final_difference(setting.peer, pairs[0].theirs, pairs[0].ours)


def run_machine(group: str, setting: Setting, commands: int, seed: int, *, shorten: bool = True) -> int:
    """Run at least so many commands, and say how many; raises `Differs`."""
    machine = type(group, (Machine,), {"setting": setting, "group": group})
    start = Machine.commands_run
    while (left := commands - (Machine.commands_run - start)) > 0:
        machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined] # what @seed sets
        run_state_machine_as_test(machine, settings=chosen(2 + left // COMMANDS_PER_EXAMPLE, shorten))
        seed += 1
    return Machine.commands_run - start


def chosen(examples: int, shorten: bool) -> Any:
    phases = (Phase.generate, Phase.shrink) if shorten else (Phase.generate,)
    return settings(
        max_examples=min(examples, 50), stateful_step_count=STEPS, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=phases, report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )  # fmt: skip
