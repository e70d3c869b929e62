"""`ringkeeper ring`: plan a ring without any cluster."""

from __future__ import annotations

import dataclasses
import json

import click

from ringkeeper_operator.ring_report import RingReport, report
from ringkeeper_operator.schema import HEAVIEST, LIGHTEST, MOST_SHARDS


class Weights(click.ParamType[dict[int, float]]):
    name = "SHARD=WEIGHT,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[int, float]:
        if isinstance(value, dict):
            return value
        weights: dict[int, float] = {}
        for part in str(value).split(","):
            shard, _, weight = part.partition("=")
            try:
                index, number = int(shard), float(weight)
            except ValueError:
                self.fail(f"{part!r} is not SHARD=WEIGHT; write for example 0=2,3=0.5", param, ctx)
            if not LIGHTEST <= number <= HEAVIEST or index < 0:
                self.fail(f"{part!r}: a weight must be {LIGHTEST} to {HEAVIEST}, a shard an index from 0", param, ctx)
            if index in weights:
                self.fail(f"shard {index} has two weights, {weights[index]:g} and {number:g}", param, ctx)
            weights[index] = number
        return weights


@click.command(name="ring")
@click.option("--from", "start", type=click.IntRange(1, MOST_SHARDS), help="Shards now; without it, a new cluster.")
@click.option("--to", required=True, type=click.IntRange(1, MOST_SHARDS), help="Shards to plan for.")
@click.option("--vnodes", default=1000, show_default=True, type=click.IntRange(1, 4096), help="vnodesPerShard.")
@click.option("--weights", type=Weights(), help="Weights of single shards, as 0=2,3=0.5; the others' is 1.")
@click.option("--from-weights", "weights_before", type=Weights(), help="Weights before, if they were others.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
def ring_command(
    start: int | None,
    to: int,
    vnodes: int,
    weights: dict[int, float] | None,
    weights_before: dict[int, float] | None,
    output: str,
) -> None:
    """Show how even a ring would be, and how many slots another number of shards or other weights would move.

    --from 3 --from-weights 0=1 --to 3 --weights 0=2 tells what a weight costs.
    """
    if weights_before is not None and start is None:
        raise click.BadParameter("a new cluster had no weights before; give --from, too", param_hint="--from-weights")
    _check(weights, max(start or 0, to), "--weights")
    _check(weights_before, start or 0, "--from-weights")
    found = report(start, to, vnodes=vnodes, weights=weights, weights_before=weights_before)
    click.echo(json.dumps(as_json(found), indent=2) if output == "json" else as_text(found))


def _check(weights: dict[int, float] | None, known: int, option: str) -> None:
    if weights and max(weights) >= known:
        raise click.BadParameter(
            f"shard {max(weights)} is not among the {known} of this plan (0 to {known - 1})", param_hint=option
        )


def as_json(found: RingReport) -> dict[str, object]:
    """The report's fields, `start` and `to` as the options are called."""
    fields = dataclasses.asdict(found)
    return {"from": fields.pop("start"), **fields}


def as_text(found: RingReport) -> str:
    change = "a new cluster of" if found.start is None else f"from {found.start} to"
    lines = [
        f"{change} {found.to} shards, {found.vnodes_per_shard} vnodes a shard ({found.points_per_shard} in use)",
        "",
        f"  peak_over_mean         {found.peak_over_mean:.3f}   the fullest shard over its fair share",
        f"  emptiest_over_mean     {found.emptiest_over_mean:.3f}   the emptiest",
    ]
    lines += [
        f"  shard {shard:<16} {slots}   slots, with weight {found.weights[shard]:g}"
        for shard, slots in found.weighted_slots.items()
    ]
    if found.start is not None:
        lines += [
            f"  slots moved            {found.slots_moved}   of 16384; {found.ideal_moves} would make all shares exact",
            f"  moved_over_ideal       {found.moved_over_ideal:.3f}   "
            f"{found.moved_over_least:.3f} of the least that keeps the bounds",
            f"  moves to own arcs      {found.moves_to_own_arcs_share:.1%}   went to the slot's plain ring successor",
        ]
    return "\n".join(
        [
            *lines,
            f"  at ring successor      {found.ring_successor_share:.1%}   of all slots",
            f"  CLUSTER SLOTS          {found.cluster_slots_reply_bytes:,} bytes in "
            f"{found.cluster_slots_ranges:,} ranges, with two nodes a shard",
        ]
    )
