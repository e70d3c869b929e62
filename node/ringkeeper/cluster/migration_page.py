"""`docs/migration-rules.md`, with diagrams drawn from the tables by which the code moves.

python -m ringkeeper.cluster.migration_page > docs/migration-rules.md
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ringkeeper.cluster import migration
from ringkeeper.cluster.migration import Source, Target
from ringkeeper.cluster.rules_page import diagram, doc_of, states

HEAD = """# The rules of moving slots

<!-- Made by `make generate` from node/ringkeeper/cluster; edit that. -->

A slot is answered by one owner at a time, by no earlier one after a later one, and what was acknowledged of it goes
with it. There is no half-moved slot and no `ASK`: a move is a replication of some slots to the target, where no client
is shown them, and then one epoch that changes their owner. The rules are code without clock and socket
(`node/ringkeeper/cluster/migration.py`, `changes.py`). `tests/simulation/run.py --moves` runs them in two shards that
fail over under lost, late and repeated messages, crashes at every step of a move and changing operators;
`tests/simulation/moving_mutations.py` leaves each rule out in turn and shows that a history then ends badly.

## The order

1. **Begin.** An epoch names the move: its slots, and the terms and runs of both masters. It is *feeding* as long as
   both are still so; with another master on either side it is dead, and an epoch without it cancels it.
2. **Feed.** The target drops what it has of the slots. Then they come, with all that is written to them meanwhile.
   One feed a move: if it is lost, another move begins from nothing.
3. **Release.** Asked by the operator, the source holds back writes of these slots until the target has confirmed the
   end of the feed (100 ms at most, else it goes on as before). Then it answers nothing of them, reads or writes. From
   here on only a committed epoch helps: with the slots settled, or without the move. No timeout, no lost lease and no
   closed connection undoes a release.
4. **Settle.** The operator commits that the target owns the slots, if both masters confirmed the same offset in the
   terms and runs of the move, and the target's voters hold it: as many as a write waits for (`minAcks`), a majority
   where writes wait for none; with an append-only file also the disk. The epoch says how much of the target's stream
   that is (`held`).
5. **Keep.** The source answers `MOVED` and hides its copy. When the target's present master has confirmed in this
   epoch that its voters hold the slots, an epoch without the move lets the source drop it.

If a master is appointed in the target's shard that has not `held` (a failover with `minAcks: 0`, or after all were
down), the same epoch *returns* the slots: the source serves its copy again. It lacks what the target was written since
the move was settled, which whoever was appointed lacks as well.

What one of them confirmed stays true while its term and run last. So a late or repeated confirmation does no harm, and
an operator may commit by those that its predecessor asked for. The target drops nothing that it confirmed while the
move is in the topology, not even when it fails.

A slot is in one move at a time, whatever its phase; a shard may be in several, as source of some and target of others.
Nothing but the terms and runs of their masters ties them: each is released, settled, kept or cancelled by itself, and
when a master is appointed, each that was settled in its shard is returned or not by what it `held`. Of slots that a
shard does not own, and that no move lets it keep, nothing is served; they are dropped in the background.

"""

LIMITS = """
## What it does not promise

- Voters are judged as they are when something is confirmed. A shard whose replicas are all down confirms by its master
  alone: what is moved there meanwhile is in one copy until they are back.
- If the operator dies between release and settling, the slots of that move (no others) wait for the next leader.
- With `minAcks: 0` a failover loses the writes that no replica had received, of moved slots as of others.
"""


def render() -> str:
    return "\n".join(
        [
            HEAD.rstrip("\n"),
            states("The source", "Told in `/control/state`, of the master of the source's shard.", _meanings(Source)),
            diagram(_arrows(migration.SOURCE_TRANSITIONS), "waiting"),
            states("The target", "Told in `/control/state`, of the master of the target's shard.", _meanings(Target)),
            diagram(_arrows(migration.TARGET_TRANSITIONS), "clearing"),
            LIMITS.rstrip("\n"),
            "",
        ]
    )


def _meanings(kind: type[StrEnum]) -> dict[str, str]:
    return {str(state): doc_of(kind, state.name) for state in kind}


def _arrows(table: Mapping[Any, StrEnum]) -> list[tuple[str, str, str]]:
    """`table`: by state and event, the next state."""
    return [(_word(before), _word(after), event) for (before, event), after in table.items()]


def _word(state: StrEnum) -> str:
    """A name without spaces, as the drawing needs."""
    return state.replace(" ", "_")


if __name__ == "__main__":
    print(render(), end="")
