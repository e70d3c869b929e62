"""Masters that die, hang or are cut off on a real Kubernetes: a replica takes over, and no key is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from failing import (
    LEADER_SECONDS,
    NAME,
    OUTAGE_SECONDS,
    await_successor,
    hand_over,
    leaders_host,
    make_cluster,
    masters,
    settle,
    watched,
)
from kubernetes_cluster import PORT, SYSTEM_NAMESPACE, engine, get, host_of, kubectl, password_of, paused, pods


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    make_cluster(namespace)
    return namespace


def test_a_pod_deleted_by_force_is_replaced_by_its_replica(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster) as outage:
        kubectl("delete", "pod", former, "-n", cluster, "--force", "--grace-period=0")
        await_successor(cluster, 0, former)
    settle(cluster, outage)
    (last,) = [entry for entry in get("cc", NAME, namespace=cluster)["status"]["failovers"] if entry["shard"] == 0][:1]
    assert (last["from"], last["to"]) == (former, masters(cluster)[0])


def test_a_pod_deleted_with_grace_hands_over_before_it_ends(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster) as outage:
        kubectl("delete", "pod", former, "-n", cluster)
        await_successor(cluster, 0, former)
    settle(cluster, outage)
    assert outage.report["lost"] == 0
    (last,) = [entry for entry in get("cc", NAME, namespace=cluster)["status"]["failovers"] if entry["shard"] == 0][:1]
    assert (last["cause"], last["from"]) == ("handover", former)


def on_server(pod: str, namespace: str, signal: str) -> None:
    """A signal to the server's processes, from the host: nobody in the pod has a say."""
    engine("exec", host_of(pod, namespace), "pkill", f"-{signal}", "-f", f"node-name {pod}")


def test_a_killed_server_is_replaced_before_it_has_started_again(cluster: str) -> None:
    former = masters(cluster)[1]
    with watched(cluster) as outage:
        on_server(former, cluster, "KILL")
        await_successor(cluster, 1, former)
    settle(cluster, outage)
    assert "FailedOver" in kubectl("get", "events", "-n", cluster, "-o", "jsonpath={.items[*].reason}")


def test_a_server_that_hangs_is_replaced_and_serves_nothing_when_it_goes_on(cluster: str) -> None:
    former = masters(cluster)[2]
    with watched(cluster) as outage:
        on_server(former, cluster, "STOP")
        try:
            await_successor(cluster, 2, former)
        finally:
            on_server(former, cluster, "CONT")
    settle(cluster, outage)


@contextmanager
def cut_off(pod: str, namespace: str) -> Iterator[None]:
    """Nothing reaches the pod, and nothing leaves it, but for what its host itself sends."""
    host, address = host_of(pod, namespace), str(get("pod", pod, namespace=namespace)["status"]["podIP"])
    ends = (("-s", address), ("-d", address))
    for end in ends:
        engine("exec", host, "iptables", "-I", "FORWARD", "1", *end, "-j", "DROP")
    try:
        yield
    finally:
        for end in ends:
            engine("exec", host, "iptables", "-D", "FORWARD", *end, "-j", "DROP")


def test_a_master_that_is_cut_off_refuses_whoever_still_reaches_it(cluster: str) -> None:
    former = masters(cluster)[1]
    program = (
        f"import redis; client = redis.Redis(port={PORT}, password={password_of(NAME, cluster)!r})\n"
        "for command in (['SET', 'outages:1', 'late'], ['GET', 'outages:1'], ['DBSIZE']):\n"
        "    try: print('answered', client.execute_command(*command))\n"
        "    except redis.RedisError as error: print('refused', type(error).__name__, error)"
    )
    with watched(cluster) as outage, cut_off(former, cluster):
        await_successor(cluster, 1, former)
        answers = kubectl("exec", "-n", cluster, former, "--", "/opt/ringkeeper/bin/python", "-c", program).splitlines()
        assert len(answers) == 3
        assert all(answer.startswith("refused") for answer in answers[:2]), answers
    settle(cluster, outage)


def host_to_pause(namespace: str) -> tuple[str, int]:
    """One with a master, without the operator's leader; and the shard, which is handed over if need be."""
    leads = leaders_host()
    for shard, master in enumerate(masters(namespace)):
        for name in sorted(pods(NAME, namespace), key=lambda name: name != master):
            if name.startswith(f"{NAME}-{shard}-") and (host := host_of(name, namespace)) != leads:
                hand_over(namespace, shard, name)
                return host, shard
    pytest.fail(f"every node is on {leads}, which must stay")


def test_a_host_that_hangs_is_replaced_and_its_master_follows_when_it_is_back(cluster: str) -> None:
    host, shard = host_to_pause(cluster)
    former = masters(cluster)[shard]
    with watched(cluster) as outage, paused(host):
        await_successor(cluster, shard, former)
    settle(cluster, outage)


@pytest.mark.usefixtures("operator_running")
def test_a_failover_goes_on_when_the_operators_leader_dies_in_the_middle(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster, 45) as outage:
        kubectl("delete", "pod", former, "-n", cluster, "--force", "--grace-period=0", "--wait=false")
        kubectl("delete", "pod", "-n", SYSTEM_NAMESPACE, "--all", "--force", "--grace-period=0", "--wait=false")
        await_successor(cluster, 0, former)
    settle(cluster, outage, OUTAGE_SECONDS + LEADER_SECONDS)
