"""What people are told of slots that move: the field `rebalance` of the status, its condition, and Events. Pure.

How far a rebalance is follows from what is left of the plan. What was to move when it began is known from the status
alone: if that is lost, counting begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ringkeeper.cluster.topology import FEEDING, Topology
from ringkeeper_operator.model import LOAD_EVEN, Action, Observed, Spec
from ringkeeper_operator.plan.rebalance import Transfer, goal, hindrance, is_by_load, told_pace, transfers
from ringkeeper_operator.plan.room import as_it_fits
from ringkeeper_operator.plan.window import by_the_clock, told_opening
from ringkeeper_operator.quantity import render_bytes
from ringkeeper_operator.timestamps import seconds_of, timestamp

SHOWN = 16
PARTS = 10
"""An Event is told each time another such part has moved."""

Section = Mapping[str, Any]


def section_of(spec: Spec, observed: Observed, before: Section, now: float) -> dict[str, Any]:
    """The field as it is to be; empty if slots have never moved. `now` is seconds since the epoch."""
    topology = observed.topology
    if topology is None:
        return dict(before)
    spec = by_the_clock(as_it_fits(spec, observed), now)
    pending = transfers(spec, topology, topology.owners)
    loaded = is_by_load(spec) and not pending and (not _goes_on(before) or before.get("strategy") == LOAD_EVEN)
    if loaded:
        pending = tuple(
            Transfer(move.source, move.target, move.slots) for move in topology.moves if move.phase == FEEDING
        )
    if not pending and not topology.moves:
        return _done(before, now) if _goes_on(before) else dict(before)
    slots = [(transfer.source, slot) for transfer in pending for slot in transfer.slots]
    if not _goes_on(before) or before.get("to") != spec.lasting_shards:
        before = {"from": len(set(topology.owners)), "to": spec.lasting_shards}
    section = _counted(before, len(slots), _bytes_of(observed, slots))
    phase, blocked = _phase(spec, observed, topology)
    section |= {"phase": phase} | ({"blocked": blocked} if blocked else {})
    section |= ({"weighted": True} if spec.weights else {}) | ({"strategy": LOAD_EVEN} if loaded else {})
    if phase == "Moving" and "startedAt" not in section:
        section["startedAt"] = timestamp(now)
    return section | _speed(section, before, now) | {"transfers": _largest(pending)}


def _goes_on(section: Section) -> bool:
    return bool(section.get("phase", "Done") != "Done")


def _done(before: Section, now: float) -> dict[str, Any]:
    kept = {
        name: before[name]
        for name in ("from", "to", "weighted", "strategy", "slots", "bytes", "startedAt")
        if name in before
    }
    section = kept | {"phase": "Done", "slotsMoved": kept.get("slots", 0), "endedAt": timestamp(now)}
    return section | ({"bytesMoved": kept["bytes"]} if "bytes" in kept else {})


def _counted(before: Section, left: int, bytes_left: int | None) -> dict[str, Any]:
    """In all what has moved so far and what is left: a plan may change on the way."""
    slots, moved = before.get("slots", left), before.get("slotsMoved", 0)
    slots = max(slots, moved + left) if moved else max(left, slots)
    section = {"from": before["from"], "to": before["to"], "slots": slots, "slotsMoved": max(moved, slots - left)}
    if "startedAt" in before:
        section["startedAt"] = before["startedAt"]
    if bytes_left is not None:
        known, gone = before.get("bytes", bytes_left), before.get("bytesMoved", 0)
        total = max(known, gone + bytes_left)
        return section | {"bytes": total, "bytesMoved": max(gone, total - bytes_left)}
    return section | {name: before[name] for name in ("bytes", "bytesMoved") if name in before}


def _bytes_of(observed: Observed, slots: list[tuple[int, int]]) -> int | None:
    """None while a shard that gives slots has not been asked."""
    if any(shard not in observed.slot_bytes for shard, _ in slots):
        return None
    return sum(observed.slot_bytes[shard].get(slot, 0) for shard, slot in slots)


def _phase(spec: Spec, observed: Observed, topology: Topology) -> tuple[str, str]:
    """And why nothing moves, or not as fast as it could, although it should."""
    if topology.moves:
        return "Moving", told_pace(spec, observed, topology)
    if spec.rebalance.dry_run:
        return "DryRun", ""
    if spec.rebalance.paused:
        return "Paused", ""
    if not spec.overweight and (opening := told_opening(spec.rebalance)):
        return "Waiting", opening
    reasons = [hindrance(spec, observed, topology, transfer) for transfer in transfers(spec, topology)]
    if not reasons or not all(reasons):
        return "Planned", ""
    lasting = [reason.text for reason in reasons if reason is not None and not reason.passes]
    if lasting:
        return "Blocked", lasting[0]
    return "Planned", next(reason.text for reason in reasons if reason is not None)


def _speed(section: Section, before: Section, now: float) -> dict[str, Any]:
    """Reckoned when another batch has moved, so that the status is not written all the time."""
    names = ("bytesPerSecond", "secondsLeft")
    if section["slotsMoved"] == before.get("slotsMoved", 0):
        return {name: before[name] for name in names if name in before}
    if "startedAt" not in section or not section.get("bytesMoved"):
        return {}
    elapsed = max(1.0, now - seconds_of(section["startedAt"]))
    rate = max(1, int(section["bytesMoved"] / elapsed))
    return {"bytesPerSecond": rate, "secondsLeft": int((section["bytes"] - section["bytesMoved"]) / rate)}


def _largest(pending: Sequence[Transfer]) -> list[dict[str, int]]:
    ordered = sorted(pending, key=lambda transfer: (-len(transfer.slots), transfer.source, transfer.target))
    return [
        {"from": transfer.source, "to": transfer.target, "slots": len(transfer.slots)} for transfer in ordered[:SHOWN]
    ]


def condition_of(section: Section) -> tuple[str, str, str] | None:
    """Status, reason and message of `Rebalancing`; None if slots have never moved."""
    if not section:
        return None
    status = "True" if section["phase"] in ("Planned", "Moving", "Blocked") else "False"
    return status, section["phase"], told(section)


def told(section: Section) -> str:
    """One line for people."""
    phase, slots = section["phase"], section["slots"]
    size = f" ({render_bytes(section['bytes'])})" if section.get("bytes") else ""
    weighted, loaded = section.get("weighted", False), section.get("strategy") == LOAD_EVEN
    if phase == "Done":
        by = " by their weights" if weighted else ""
        return f"{slots} slots{size} have moved; {_shards(section['to'])} own all slots{by}"
    aim = goal(section["to"], weighted=weighted, loaded=loaded)
    text = f"{section['slotsMoved']} of {slots} slots{size} have moved, {aim}"
    if phase == "Moving" and "secondsLeft" in section:
        text = f"{text}; {render_bytes(section['bytesPerSecond'])}/s, {section['secondsLeft']} s left"
    if phase in ("Moving", "Blocked") and section.get("blocked"):
        return f"{text}; held up: {section['blocked']}"
    if phase in ("Planned", "Waiting") and section.get("blocked"):
        return f"{text}; waiting: {section['blocked']}"
    return text if phase == "Moving" else f"{text}; {_WHY[phase]}"


_WHY = {
    "Planned": "it is about to begin",
    "Paused": "spec.rebalance.paused is set",
    "DryRun": "spec.rebalance.dryRun is set, so nothing moves",
}


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


def news(before: Section, section: Section) -> Action | None:
    """What is worth an Event: the start, each tenth, the end, and what holds it up."""
    if not section or dict(before) == dict(section):
        return None
    if section["phase"] == "Done":
        return Action(reason="Rebalanced", message=told(section)) if _goes_on(before) else None
    if section["phase"] == "Blocked" and section["blocked"] != before.get("blocked"):
        return Action(reason="RebalanceBlocked", message=told(section), warning=True)
    if "startedAt" in section and section["startedAt"] != before.get("startedAt"):
        return Action(reason="RebalanceStarted", message=told(section))
    if section["phase"] in ("Paused", "DryRun", "Waiting") and section["phase"] != before.get("phase"):
        return Action(reason=f"Rebalance{section['phase']}", message=told(section))
    if _tenths(section) > _tenths(before):
        return Action(reason="RebalanceProgress", message=told(section))
    if section["phase"] == before.get("phase") == "Moving" and section.get("blocked") and not before.get("blocked"):
        return Action(reason="RebalanceSlow", message=told(section), warning=True)
    return None


def _tenths(section: Section) -> int:
    return int(PARTS * section.get("slotsMoved", 0) // max(1, section.get("slots", 0)))
