"""A HorizontalPodAutoscaler gives a busy cluster more shards, and takes them back: `make e2e-full`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_cluster import (
    CLIENT,
    CLIENT_NAMESPACE,
    PORT,
    apply,
    await_ready,
    await_shards,
    check_batches,
    get,
    in_client,
    password_of,
    pods,
    until,
    write_batch,
)

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[1]
NAME = "autoscaled"
MOST = 4
PATIENCE = 300
IDLE = "/tmp/idle"
"""Where the clients look whether they are to stop."""


@pytest.fixture(scope="module")
def _metrics_server() -> None:
    subprocess.run([str(ROOT / "e2e/metrics-server/install")], check=True, env=os.environ, timeout=1500)


def documents() -> list[dict[str, Any]]:
    """The example, for a machine with few processors, and of less patience."""
    cluster, autoscaler = yaml.safe_load_all((ROOT / "examples/autoscaled.yaml").read_text())
    cluster["spec"]["memory"] = "64Mi"
    autoscaler["spec"] |= {"maxReplicas": MOST}
    autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageValue"] = "100m"
    autoscaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    return [cluster, autoscaler]


@contextmanager
def busy(namespace: str) -> Iterator[None]:
    """Clients that ask as fast as they are answered."""
    secret, host = f"PASSWORD={password_of(NAME, namespace)}", f"{NAME}.{namespace}.svc"
    benchmark = f'redis-benchmark --cluster -h {host} -p {PORT} -a "$PASSWORD" -q -c 8 -r 1000 -n 50000 -t set,get'
    loop = f"rm -f {IDLE}; until [ -e {IDLE} ]; do {benchmark} || sleep 1; done"
    command = ["kubectl", "exec", "-n", CLIENT_NAMESPACE, CLIENT, "--", "env", secret, "timeout", str(PATIENCE),
               "sh", "-c", loop]  # fmt: skip
    client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        in_client("touch", IDLE)
        client.wait(timeout=60)


@pytest.mark.usefixtures("_metrics_server")
def test_shards_follow_the_load(namespace: str) -> None:
    apply(*documents(), namespace=namespace)
    await_ready(NAME, namespace, 120)
    write_batch(NAME, namespace, "known")
    until(PATIENCE, "the autoscaler knows what the masters use", lambda: bool(used(namespace)))
    assert get("cc", NAME, namespace=namespace)["spec"]["shards"] == 3
    with busy(namespace):
        await_shards(NAME, namespace, MOST, PATIENCE)
    autoscaler = get("hpa", NAME, namespace=namespace)["status"]
    assert autoscaler["desiredReplicas"] == MOST
    check_batches(NAME, namespace, "known")
    await_shards(NAME, namespace, 3, PATIENCE)
    until(120, "the fourth shard's pods go", lambda: len(pods(NAME, namespace)) == 6)
    check_batches(NAME, namespace, "known")


def used(namespace: str) -> list[dict[str, Any]]:
    return list(get("hpa", NAME, namespace=namespace)["status"].get("currentMetrics") or [])
