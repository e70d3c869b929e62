"""Needs the cluster that `e2e/run` brings up; each test module gets namespaces of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubernetes_cluster import CLIENT, CLIENT_NAMESPACE, SYSTEM_NAMESPACE, kubectl


def pytest_sessionstart() -> None:
    if "RINGKEEPER_E2E_CLUSTER" not in os.environ:
        pytest.exit(
            "these tests need a Kubernetes cluster with the operator: run e2e/run (or `make e2e`)", returncode=2
        )


@pytest.fixture(scope="session", autouse=True)
def _client() -> None:
    """A pod with redis-cli, redis-benchmark and redis-py, which stays until the cluster goes; on a host of its own, so
    that tests may do to the others what they like.
    """
    container = {"name": "client", "image": "localhost/ringkeeper-client:e2e", "imagePullPolicy": "IfNotPresent"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": CLIENT, "namespace": CLIENT_NAMESPACE},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
            "tolerations": [{"operator": "Exists"}],
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CLIENT_NAMESPACE}}
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([namespace, pod]))
    kubectl("wait", "--for=condition=Ready", "-n", CLIENT_NAMESPACE, f"pod/{CLIENT}", "--timeout=120s")


@pytest.fixture(scope="module")
def new_namespace() -> Iterator[Callable[[], str]]:
    made = []

    def make() -> str:
        name = f"e2e-{uuid.uuid4().hex[:8]}"
        kubectl("create", "namespace", name)
        made.append(name)
        return name

    yield make
    for name in made:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def namespace(new_namespace: Callable[[], str]) -> str:
    return new_namespace()


@pytest.fixture
def operator_running() -> Iterator[None]:
    """Whatever a test does to the operator, the next test finds it running."""
    yield
    kubectl("scale", "-n", SYSTEM_NAMESPACE, "deployment/ringkeeper", "--replicas=2")
    kubectl("rollout", "status", "-n", SYSTEM_NAMESPACE, "deployment/ringkeeper", "--timeout=120s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Any:
    """A failed test shows what the cluster looked like then."""
    report = yield
    if report.failed and call.when != "teardown":
        for what in (
            ["get", "cachecluster,statefulset,pod,service", "-A", "-o", "wide"],
            ["logs", "-n", SYSTEM_NAMESPACE, "deployment/ringkeeper", "--all-pods", "--prefix", "--tail=60"],
            ["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ):
            try:
                report.sections.append((f"kubectl {' '.join(what[:2])}", kubectl(*what)[-8000:]))
            except Exception as error:
                report.sections.append((f"kubectl {' '.join(what[:2])}", str(error)))
    return report
