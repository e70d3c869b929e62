"""`docs/failover-rules.md`, with diagrams drawn from the tables by which the code moves.

python -m ringkeeper.cluster.rules_page > docs/failover-rules.md
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping

from ringkeeper.cluster import arbiter, handover, lease, messages
from ringkeeper.cluster.messages import Message

HEAD = """# The rules of failover

<!-- Made by `make generate` from node/ringkeeper/cluster; edit that. -->

A shard has one master a *term*, and no command is answered as master after the first one that the next master
answered. What follows is what makes it so. It is code without clock and socket (`node/ringkeeper/cluster/`:
`lease.py`, `arbiter.py`, `handover.py`, `changes.py`), which the lease process of each node and the operator run, and
which `tests/simulation` runs under lost, late and repeated messages, crashes, pauses, partitions and clocks that go
wrong, some thousand histories in every test run. `tests/simulation/mutations.py` leaves each rule out in turn and
shows that one of these histories then ends badly.

## Who may serve

- A master serves until `stamp + lease` of its own clock, where the stamp is what it told in a heartbeat and the
  operator, or a majority of its voters, repeated. The lease is `misses × heartbeatInterval` (3 × 500 ms). A stamp of
  another run or term, or from the future, counts for nothing.
- Who granted reckons with 1.11 × lease from when it received the stamp. So no clock is compared with another; they
  may go wrong by ± 5 %.
- A master whose shard has no voters needs no lease, and cannot be failed over until its end is certain.
- A voter is a *run* of a node, one start of its process. Another start is another voter: it counts again when an
  epoch names it and it has caught up.

## Who may be appointed

The operator's leader suspects a master, asks every node of the shard to promise the next term, and may commit an
appointment when both hold:

1. **The old master is blocked.** So many of its voters promised (or are certain to have ended) that the others are no
   majority; their last grants, and the operator's own, have run out. Or the master's end is certain. Or it released
   its term.
2. **Acknowledged writes are there.** With `minAcks` n of v voters, v − n + 1 of them promised and are still there, so
   that each acknowledged write is with one of them; the one with the greatest `(term of the last stream, offset)` is
   chosen. It must have what the last master had when it was appointed (`base` in the topology). With `minAcks: 0` one
   promise is enough, and the other voters are awaited for a heartbeat.

While the voters change, both must hold for the former ones as well, until the master has acknowledged the epoch that
changed them and enough of the new ones have what was acknowledged before. An election that began ends by an
appointment in the next term: of the old master, if it is well.

A master that was told to end (SIGTERM) says so in its heartbeats, and while it is well it is asked to hand over to the
voter that has the most. Who is leaving is no candidate and becomes no voter, whatever it has.

If the second cannot be had, because all were down or too many are gone, `recoveryPolicy` decides:

"""

LIMITS = """
## What it does not promise

- A hypervisor that stops `CLOCK_BOOTTIME` of a running node while others go on stops its lease too.
- With `minAcks: 0` a failover loses the writes that no replica had received. They are counted when the old master is
  back.
- A replica that starts again without an operator to name its new run is no voter meanwhile.
- When `heartbeatInterval` is made shorter, grants of the longer lease are remembered by who gave them, but not by the
  next leader: a leader change within one old lease of the change is not covered.
"""
MESSAGES: tuple[type[Message], ...] = (
    messages.Hello,
    messages.Heartbeat,
    messages.Grant,
    messages.AskPromise,
    messages.Promise,
    messages.Refusal,
    messages.AskRelease,
)


def render() -> str:
    policies = "\n".join(f"- `{policy}`: {doc_of(handover.Policy, policy.name)}" for policy in handover.Policy)
    release = [(str(one), str(other), event) for (one, event), other in handover.TRANSITIONS.items()]
    return "\n".join(
        [
            HEAD + policies,
            states("What a node is", "Told in its heartbeats and in `/control/state`.", lease.MODES),
            diagram(_arrows(lease.TRANSITIONS), "unassigned"),
            states("What the operator finds", "One verdict a shard; its reason ends in the status.", arbiter.STATES),
            diagram(_arrows(arbiter.TRANSITIONS), "following"),
            "\n## What a master does about a handover\n",
            diagram(release, "nothing"),
            "\n## What is said\n\nOne UDP datagram each, JSON, authenticated. Durations are nanoseconds.\n",
            *(_message(kind) for kind in MESSAGES),
            LIMITS.rstrip("\n"),
            "",
        ]
    )


def states(title: str, words: str, states: Mapping[str, str]) -> str:
    lines = [f"| `{state}` | {meaning} |" for state, meaning in states.items()]
    return "\n".join(["", f"## {title}", "", words, "", "| | |", "|---|---|", *lines, ""])


def _arrows(table: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    return [(before, after, event) for (before, after), event in table.items()]


def diagram(transitions: list[tuple[str, str, str]], first: str) -> str:
    """Numbered arrows, and under it what they mean: whole sentences make a drawing unreadable."""
    numbers = {event: number for number, event in enumerate(dict.fromkeys(event for _, _, event in transitions), 1)}
    arrows = [f"    {before} --> {after}: {numbers[event]}" for before, after, event in transitions]
    meanings = [f"{number}. {event}" for event, number in numbers.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, "```", "", *meanings])


def _message(kind: type[Message]) -> str:
    words = " ".join((kind.__doc__ or "").split())
    fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind))
    return f"- **{kind.__name__}** ({fields}). {words}"


def doc_of(owner: type, name: str) -> str:
    """The string that stands under an attribute."""
    found = re.search(rf'^    {name} = .*?\n    """(.*?)"""', inspect.getsource(owner), re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return " ".join(found[1].split())


if __name__ == "__main__":
    print(render(), end="")
