"""Hypothesis drives a group's generator against a real server and a node.

A batch is drawn as two numbers: the seed that its generator makes commands from, and how many. What differs is
shortened by `shorten.py`, since commands made from numbers get no simpler with these.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from compare import Command, Difference, Peer, final_difference, first_difference
from groups import generator_for
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from shorten import shortened

LONGEST = 75
"""Commands in a batch."""
STEPS = 20
COMMANDS_PER_EXAMPLE = 600
"""About as many as come of so many steps; but the first example is always the shortest."""
SECONDS_TO_SHORTEN = 30.0
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

Said = tuple[int, Command]
"""The number of a session, and a command of it."""

seeds = st.integers(0, 2**30)


def batches(longest: int = LONGEST) -> st.SearchStrategy[tuple[int, int]]:
    """A seed, and the number of commands."""
    return st.tuples(seeds, st.integers(0, longest))


class Differs(AssertionError):
    """Its text shows the commands that lead there, in a form that `run.py --replay` takes."""

    def __init__(self, title: str, said: list[Said], found: Difference) -> None:
        lines = [f"{session}: {command}" for session, command in said]
        super().__init__("\n".join([title, *lines, f"# differs: {found}"]))
        self.title = title
        self.said = said


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

    def begin(self) -> None:
        """From the same state each time."""
        for side in (self.theirs, self.ours):
            side.run([[b"CONFIG", b"SET", *limit] for limit in LIMITS.items()])
            side.run([[b"FLUSHALL"], [b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]])

    def run(self, commands: list[Command]) -> Difference | None:
        start = 0
        while start < len(commands):
            end = commands.index(WAIT, start) if WAIT in commands[start:] else len(commands)
            if found := self.run_at_once(commands[start:end]):
                return found
            if end < len(commands):
                while (left := self.soon + 1 - time.time_ns() / 1_000_000) > 0:
                    time.sleep(left / 1000)
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
        self.said: list[Said] = []
        self.failed = False
        self.pairs: list[Pair] = []

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        self.generator = generator_for(self.group, seed)
        if self.setting.mode == "cluster":
            self.generator.in_cluster()
        self.pairs = [Pair(self.setting), Pair(self.setting)]
        self.pairs[0].begin()

    @rule(batch=batches(), look=st.integers(0, 15))
    def commands(self, batch: tuple[int, int], look: int) -> None:
        self.run(self.made(batch))
        if look == 15:
            self.compare_state()

    @rule(batch=batches(12), others=batches(5), watched=st.integers(0, 3), discarded=st.booleans())
    def transaction(self, batch: tuple[int, int], others: tuple[int, int], watched: int, discarded: bool) -> None:
        """At times watched keys, and what another session does to them."""
        if watched:
            self.run([[b"WATCH", *self.generator.keys[:watched]]])
            self.run(self.made(others), 1)
        self.run([[b"MULTI"], *self.made(batch), [b"DISCARD"] if discarded else [b"EXEC"]])

    @rule(batch=batches(), doomed=st.integers(1, 255))
    def expiry(self, batch: tuple[int, int], doomed: int) -> None:
        """Commands that meet keys whose time has come, but that nobody has removed."""
        keys = [key for i, key in enumerate(self.generator.keys) if doomed >> i & 1]
        self.run([[b"PEXPIREAT", key, SOON] for key in keys] + [WAIT] + self.made(batch))

    def made(self, batch: tuple[int, int]) -> list[Command]:
        seed, many = batch
        self.generator.random.seed(seed)
        return [self.generator.command() for _ in range(many)]

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
        setting = f"{self.setting.peer} {self.setting.mode} {self.setting.protocol} # {self.group}"
        raise Differs(setting, self.said, found)

    def teardown(self) -> None:
        try:
            if self.pairs and not self.failed:
                self.compare_state()
        finally:
            for pair in self.pairs:
                pair.close()


def run_again(setting: Setting, said: list[Said]) -> Difference | None:
    """From the beginning, and what there is in the end."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(contextlib.closing(Pair(setting))) for _ in range(2)]
        pairs[0].begin()
        for session, run in itertools.groupby(said, lambda each: each[0]):
            if found := pairs[session].run([command for _, command in run]):
                return found
        for pair in pairs:  # EXEC may be among what was left out
            pair.run([[b"DISCARD"]])
        return final_difference(setting.peer, pairs[0].theirs, pairs[0].ours)


def replay(setting: Setting, text: str) -> Difference | None:
    """Run the commands that `Differs` showed."""
    split = (line.partition(": ") for line in text.splitlines())
    said = [(int(session), ast.literal_eval(command)) for session, _, command in split if session.isdigit() and command]
    return run_again(setting, said)


def shortest(setting: Setting, difference: Differs) -> Differs:
    """Fewer commands that lead to a difference too, if not to the same."""
    deadline = time.monotonic() + SECONDS_TO_SHORTEN
    said = shortened(difference.said, lambda part: run_again(setting, part) is not None, deadline)
    found = run_again(setting, said)
    return Differs(difference.title, said, found) if found else difference


def run_machine(group: str, setting: Setting, commands: int, seed: int, *, shorten: bool = True) -> int:
    """Run at least so many commands, and say how many; raises `Differs`."""
    machine = type(group, (Machine,), {"setting": setting, "group": group})
    start = Machine.commands_run
    while (left := commands - (Machine.commands_run - start)) > 0:
        machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined] # what @seed sets
        try:
            run_state_machine_as_test(machine, settings=chosen(2 + left // COMMANDS_PER_EXAMPLE))
        except (Differs, FlakyFailure) as raised:
            difference = next(each for each in getattr(raised, "exceptions", [raised]) if isinstance(each, Differs))
            raise (shortest(setting, difference) if shorten else difference) from None
        seed += 1
    return Machine.commands_run - start


def chosen(examples: int) -> Any:
    return settings(
        max_examples=min(examples, 50), stateful_step_count=STEPS, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate,), report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )  # fmt: skip
