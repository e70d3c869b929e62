"""Events of CacheClusters, and what they wake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

from operator_world import make_spec

from ringkeeper_operator.model import Observed, Spec
from ringkeeper_operator.runtime.clusters import Body, Clusters


class Quiet:
    """A runtime of a cluster where nothing is left to do."""

    async def observe(self, spec: Spec) -> Observed:  # noqa: ARG002
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None: ...


def body(generation: int, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c", "namespace": "n", "uid": "u", "generation": generation} | metadata}


async def test_a_manifest_is_read_once_for_each_of_its_generations() -> None:
    read: list[int] = []
    complaints: list[str] = []

    def spec_of(event: Body) -> Spec:
        generation = int(event["metadata"]["generation"])
        read.append(generation)
        if generation == 2:
            raise ValueError("bad")
        return replace(make_spec(), generation=generation, deleting="deletionTimestamp" in event["metadata"])

    clusters = Clusters(spec_of, lambda _: cast(Any, Quiet()), lambda _, text: complaints.append(text))
    clusters.update(body(1))
    clusters.update(body(1, resourceVersion="2"))
    clusters.update(body(1, resourceVersion="3"))
    assert read == [1], "what was written to the status is no reason to read it again"
    clusters.update(body(2))
    clusters.update(body(2))
    assert (read, complaints) == ([1, 2, 2], ["bad", "bad"])
    clusters.update(body(3))
    clusters.update(body(3, deletionTimestamp="now"))
    clusters.update(body(3, deletionTimestamp="now"))
    assert read == [1, 2, 2, 3, 3]
    clusters.update(body(3, uid="another"))
    assert read[-1:] == [3]
    assert len(read) == 6
    await clusters.stop()
