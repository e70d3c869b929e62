"""Grow the volumes to what the manifest asks for.

A StatefulSet's claim templates can't be changed, so they stay as they were made and each claim is grown by itself, also
one that is made later. No claim is ever made smaller: Kubernetes knows no way.
"""

from __future__ import annotations

from ringkeeper_operator.model import GrowVolumes, Observed, Spec
from ringkeeper_operator.plan.nodes import names
from ringkeeper_operator.quantity import render_bytes


def grow_volumes(spec: Spec, observed: Observed) -> GrowVolumes | None:
    if spec.volume is None:
        return None
    size = spec.volume.size
    small = tuple(claim.name for claim in observed.claims if claim.requested < size)
    if not small:
        return None
    return GrowVolumes(
        reason="VolumesGrowing",
        message=f"{names(small)}: asked to grow to {render_bytes(size)}",
        size=size,
        claims=small,
    )
