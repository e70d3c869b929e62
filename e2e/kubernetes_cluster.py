"""The tests' hands and eyes on the cluster: kubectl, polling with deadlines, and a pod full of clients."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import yaml

Answer = TypeVar("Answer")

SYSTEM_NAMESPACE = "ringkeeper-system"
OPERATOR = "deployment/ringkeeper"
CLIENT_NAMESPACE = "clients"
CLIENT = "client"
PORT = "6379"


class Refused(Exception):
    """kubectl failed; its words."""


def kubectl(*arguments: str, stdin: str | bytes | None = None, timeout: float = 120) -> str:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(["kubectl", *arguments], input=data, capture_output=True, timeout=timeout)
    if done.returncode:
        raise Refused((done.stderr or done.stdout).decode().strip())
    return done.stdout.decode()


def get(kind: str, *arguments: str, namespace: str) -> Any:
    return json.loads(kubectl("get", kind, *arguments, "-n", namespace, "-o", "json"))


def apply(*documents: dict[str, Any], namespace: str) -> str:
    return kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(documents))


def until(seconds: float, what: str, look: Callable[[], Answer | None]) -> Answer:
    """What `look` answers as soon as that is true; fails after the deadline with the last exception that it raised."""
    deadline = time.monotonic() + seconds
    while True:
        error = None
        try:
            if answer := look():
                return answer
        except (Refused, LookupError) as raised:
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}") from error
        time.sleep(0.2)


def cache_cluster(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ringkeeper.dev/v1alpha1",
        "kind": "CacheCluster",
        "metadata": {"name": name},
        "spec": {"memory": "64Mi", "replicasPerShard": 0, **spec},
    }


def condition(cluster: dict[str, Any], kind: str) -> dict[str, Any]:
    found = [entry for entry in cluster.get("status", {}).get("conditions", []) if entry["type"] == kind]
    return found[0] if found else {"status": "Unknown", "reason": "", "message": ""}


def is_ready(cluster: dict[str, Any]) -> bool:
    ready = condition(cluster, "Ready")
    return ready["status"] == "True" and ready["observedGeneration"] == cluster["metadata"]["generation"]


def is_routed(pod: dict[str, Any]) -> bool:
    """Whether Services name the pod."""
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod["status"].get("conditions", []))


def await_ready(name: str, namespace: str, seconds: float = 60) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        cluster: dict[str, Any] = get("cachecluster", name, namespace=namespace)
        return cluster if is_ready(cluster) else None

    return until(seconds, f"{namespace}/{name} is Ready", look)


def pods(cluster: str, namespace: str) -> dict[str, dict[str, Any]]:
    selector = f"ringkeeper.dev/cluster={cluster}"
    return {pod["metadata"]["name"]: pod for pod in get("pods", "-l", selector, namespace=namespace)["items"]}


def starts(cluster: str, namespace: str) -> dict[str, tuple[str, int]]:
    """The UID and the restarts of every pod: equal before and after when nothing was restarted."""
    return {
        name: (pod["metadata"]["uid"], sum(entry["restartCount"] for entry in pod["status"]["containerStatuses"]))
        for name, pod in pods(cluster, namespace).items()
    }


def password_of(cluster: str, namespace: str) -> str:
    secret = get("secret", f"{cluster}-auth", namespace=namespace)
    return base64.b64decode(secret["data"]["password"]).decode()


def in_client(*command: str, stdin: bytes | None = None, timeout: float = 300) -> str:
    """Run a command in the pod of clients."""
    return kubectl(
        "exec", "-i", "-n", CLIENT_NAMESPACE, CLIENT, "--", *command, stdin=stdin if stdin else b"", timeout=timeout
    )


def redis_cli(cluster: str, namespace: str, *arguments: str, host: str = "") -> str:
    """`redis-cli -c` against the cluster's Service, or one node."""
    password = password_of(cluster, namespace)
    host = host or f"{cluster}.{namespace}.svc"
    answer = in_client("env", f"REDISCLI_AUTH={password}", "redis-cli", "-c", "-h", host, "-p", PORT, *arguments)
    return answer.strip()


def host_of(pod: str, namespace: str) -> str:
    return str(get("pod", pod, namespace=namespace)["spec"]["nodeName"])


def engine(*words: str) -> None:
    """What runs the hosts, Docker or podman."""
    subprocess.run([os.environ["RINGKEEPER_E2E_ENGINE"], *words], check=True, capture_output=True)


@contextmanager
def paused(host: str) -> Iterator[None]:
    engine("pause", host)
    try:
        yield
    finally:
        engine("unpause", host)


def await_shards(name: str, namespace: str, count: int, seconds: float = 120) -> None:
    """Until so many shards share all slots evenly, and nothing moves any more."""

    def look() -> bool:
        found = get("cachecluster", name, namespace=namespace)
        slots = [row["slots"] for row in found["status"]["shardStatuses"]]
        even = len(slots) == count and sum(slots) == 16384 and min(slots) >= 0.95 * (16384 // count) - 1
        return even and condition(found, "Rebalancing").get("status") != "True"

    until(seconds, f"{count} shards with their slots", look)


# Known keys of every type (client/keeping.py)


def _keeping(what: str, name: str, namespace: str, batch: str) -> dict[str, Any]:
    secret, host = f"PASSWORD={password_of(name, namespace)}", f"{name}.{namespace}.svc"
    answer = in_client("env", secret, "python", "/client/keeping.py", what, host, PORT, batch)
    report: dict[str, Any] = json.loads(answer)
    return report


def write_batch(name: str, namespace: str, batch: str) -> None:
    assert _keeping("write", name, namespace, batch)["keys"] == 3600


def check_batches(name: str, namespace: str, *batches: str) -> None:
    for batch in batches:
        assert _keeping("check", name, namespace, batch) == {"keys": 3600, "different": 0, "first": []}


# Many keys of a kilobyte (client/thousands.py)

THOUSANDS = 25


def thousands(what: str, name: str, namespace: str) -> None:
    """`write` or `check` all of them."""
    secret, host, count = f"PASSWORD={password_of(name, namespace)}", f"{name}.{namespace}.svc", 1000 * THOUSANDS
    answer = in_client("env", secret, "python", "/client/thousands.py", what, host, PORT, str(count))
    assert json.loads(answer) == {"keys": count, "different": 0, "first": []}
