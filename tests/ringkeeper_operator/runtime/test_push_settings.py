"""Settings on their way to nodes: by the admin port of real ones, and from the action of the Kubernetes runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from operator_world import Operator, World, make_spec
from ports import free_ports
from server_process import serving

from ringkeeper.cluster.settings import Settings
from ringkeeper.store.namespaces import Namespace
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import GrowVolumes, ObservedNode, PushSettings
from ringkeeper_operator.runtime.base import Blocked, PushError
from ringkeeper_operator.runtime.kubernetes import KubernetesRuntime
from ringkeeper_operator.runtime.kubernetes_api import ApiError
from ringkeeper_operator.runtime.node_admin import NodeAdmin, report_from

WANTED = Settings("allkeys-lfu", (Namespace(b"a:", 4096),))


def node_at(name: str, admin_port: int) -> ObservedNode:
    return ObservedNode(name=name, shard=0, ordinal=0, phase="running", address="127.0.0.1", admin_port=admin_port)


async def test_who_did_not_take_them_is_named_and_the_others_have_them(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    admin = NodeAdmin()
    admin.token = "secret"
    with serving(tmp_path, "--admin-token-file", str(tmp_path / "token")) as server:
        nodes = [node_at("c-0-0", server.admin_port), node_at("c-1-0", free_ports(1)[0])]
        with pytest.raises(PushError, match=r"the settings were not taken by 1 nodes: c-1-0: "):
            await admin.push_settings(WANTED, 1, nodes)
        (asked,) = await admin.ask_all(nodes[:1])
        assert asked.report is not None
        assert asked.report.settings == WANTED.digest
        await admin.push_settings(Settings(save="60 1 10 500"), 1, nodes[:1])
        assert server.client().config_get("save") == {"save": "60 1 10 500"}
        with pytest.raises(PushError, match=r"c-0-0: 409: .*Invalid save parameters"):
            await admin.push_settings(Settings(save="60"), 1, nodes[:1])
        await admin.push_settings(Settings(), 1, nodes[:1])
        assert server.client().config_get("save") == {"save": ""}
        (asked,) = await admin.ask_all(nodes[:1])
        assert asked.report is not None
        assert asked.report.settings == Settings().digest
    await admin.close()


async def test_a_node_that_takes_less_than_it_was_handed_is_named() -> None:
    """An older one, which passes over what it does not know: to hand it the same again at once would never end."""

    class Older(NodeAdmin):
        async def _call(self, *_: Any, **__: Any) -> Any:
            return {"settings": Settings().digest}

    with pytest.raises(PushError, match="c-0-0: it is of another release"):
        await Older().push_settings(WANTED, 1, [node_at("c-0-0", 1)])


async def test_a_class_that_lets_no_volume_grow_is_told_with_the_way_out() -> None:
    asked: list[tuple[str, Any]] = []

    class Cluster:
        async def patch(self, path: str, body: Any) -> None:
            asked.append((path, body))
            if path.endswith("data-ring-1-0"):
                raise ApiError(403, "Forbidden", "the storageclass must support resize", "PATCH")

    runtime = KubernetesRuntime(cast(Any, Cluster()), cast(Any, None))
    grow = GrowVolumes(reason="r", message="m", size=2**31, claims=("data-ring-0-0", "data-ring-1-0"))
    with pytest.raises(
        Blocked, match=r"data-ring-1-0 can't grow to 2Gi, .* must support resize. Set it back, or allow"
    ):
        await runtime.apply(make_spec(), grow)
    path = "/api/v1/namespaces/default/persistentvolumeclaims/data-ring-0-0"
    assert asked[0] == (path, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})


def test_a_node_that_tells_no_digest_knows_of_no_settings() -> None:
    state = dict.fromkeys(("id", "runId", "role", "state", "version"), "x")
    numbers = dict.fromkeys(("epoch", "leader", "term", "keys", "slotsServed", "usedMemory"), 0)
    assert report_from(state | numbers).settings == ""
    assert report_from(state | numbers | {"settings": "abc"}).settings == "abc"


async def test_on_kubernetes_they_go_to_the_addresses_of_the_topology() -> None:
    world, operator = World(make_spec()), Operator("only")
    world.work(operator)
    world.change_settings(WANTED)
    world.apply(operator, cast(Any, decide(world.spec, world.observe(operator), 0.0)))
    world.set_by_hand(1, WANTED)
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, PushSettings)
    told: list[tuple[Settings, int, list[str]]] = []

    class Admin:
        async def push_settings(self, settings: Settings, leader: int, nodes: list[ObservedNode]) -> None:
            told.append((settings, leader, [f"{node.address}:{node.admin_port}" for node in nodes]))

    runtime = KubernetesRuntime(cast(Any, None), cast(Any, None))
    runtime._nodes = cast(Any, Admin())
    await runtime.apply(world.spec, action)
    addresses = [f"{world.nodes[name].address}:16379" for name in ("ring-0-0", "ring-2-0")]
    assert told == [(WANTED, 1, addresses)]
