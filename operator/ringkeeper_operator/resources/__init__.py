"""The Kubernetes objects of a cluster, as the dictionaries that the API speaks: a file a kind, pure functions."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import Object, with_hash
from ringkeeper_operator.resources.config_map import build_config, build_topology_configmap
from ringkeeper_operator.resources.network_policy import build_network_policy
from ringkeeper_operator.resources.pod_disruption_budget import build_pod_disruption_budgets
from ringkeeper_operator.resources.secret import build_auth_secret, build_internal_secret, build_peer_secret
from ringkeeper_operator.resources.service import build_client_service, build_nodes_service, build_role_services
from ringkeeper_operator.resources.service_account import build_service_account
from ringkeeper_operator.resources.stateful_set import build_statefulset

__all__ = ["build_all", "build_topology_configmap", "new_secret"]


def new_secret() -> str:
    """A password of 192 random bits that needs no quoting anywhere."""
    return secrets.token_hex(24)


def build_all(spec: Spec, *, generate: Callable[[], str] = new_secret) -> dict[str, Object]:
    """Every object of a cluster by `Kind/name`, in the order of making, each with its hash.

    `generate` makes what new Secrets hold; a runtime creates these once and never writes them again.
    """
    objects = [
        build_service_account(spec),
        build_auth_secret(spec, generate()),
        build_internal_secret(spec, generate()),
        build_peer_secret(spec, generate()),
        build_config(spec),
        build_nodes_service(spec),
        build_client_service(spec),
        *build_role_services(spec),
        *build_pod_disruption_budgets(spec),
        build_network_policy(spec),
        *(build_statefulset(spec, shard) for shard in range(spec.shards)),
    ]
    return {f"{body['kind']}/{body['metadata']['name']}": with_hash(body) for body in objects if body is not None}
