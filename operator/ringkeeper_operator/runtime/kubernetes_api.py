"""A thin JSON client of the Kubernetes API: objects are the dictionaries that the builders make and the API speaks.

The official package does connecting, certificates and tokens; its generated models are left aside, since they would
translate every object twice. Every request has a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.parse
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes.aio import client, config

TIMEOUT_SECONDS = 10.0
FIELD_MANAGER = "ringkeeper"

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

PLURALS = {
    "CacheCluster": "cacheclusters",
    "ConfigMap": "configmaps",
    "Event": "events",
    "Lease": "leases",
    "NetworkPolicy": "networkpolicies",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
}

Object = Mapping[str, Any]


class ApiError(OSError):
    """The API server answered with an error. `status` is the HTTP code, `reason` Kubernetes' own word for it."""

    def __init__(self, status: int, reason: str, message: str, request: str) -> None:
        super().__init__(f"{request}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class ApiUnreachable(OSError):
    """No answer: whether a write was carried out is unknown."""


def path_of(api_version: str, kind: str, namespace: str, name: str | None = None, subresource: str = "") -> str:
    """The URL path of a namespaced collection or object."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    path = f"{root}/namespaces/{namespace}/{PLURALS[kind]}"
    if name is not None:
        path += f"/{name}"
    return f"{path}/{subresource}" if subresource else path


def path_of_object(body: Object) -> str:
    metadata = body["metadata"]
    return path_of(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"])


class Api:
    """One connection pool to the API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = api_client

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        return await self._call("GET", path, query)

    async def get_or_none(self, path: str) -> dict[str, Any] | None:
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list_metadata(self, path: str, selector: str) -> list[dict[str, Any]]:
        """The objects' metadata alone: the API server sends neither spec nor data."""
        answer = await self._call("GET", path, {"labelSelector": selector}, accept=METADATA_ONLY)
        return list(answer["items"] or [])  # an empty list of metadata comes as null

    async def get_metadata(self, path: str) -> dict[str, Any]:
        """An object's metadata alone."""
        return dict((await self._call("GET", path, {}, accept=METADATA_OF_ONE))["metadata"])

    async def list_objects(self, path: str, selector: str) -> list[dict[str, Any]]:
        return list((await self.get(path, labelSelector=selector))["items"])

    async def create(self, body: Object) -> dict[str, Any]:
        path = path_of(body["apiVersion"], body["kind"], body["metadata"]["namespace"])
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def replace(self, body: Object) -> dict[str, Any]:
        """Raises `ApiError` 409 when the object is no longer of the `resourceVersion` that `body` names."""
        return await self._call("PUT", path_of_object(body), {"fieldManager": FIELD_MANAGER}, body)

    async def delete(self, path: str, uid: str) -> None:
        """Only the object with this UID; raises `ApiError` 409 when it is another."""
        await self._call("DELETE", path, {}, {"preconditions": {"uid": uid}})

    async def server_side_apply(self, body: Object, *, force: bool) -> dict[str, Any]:
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._call("PATCH", path_of_object(body), query, body, content_type=APPLY_PATCH)

    async def patch(self, path: str, body: Object | list[Any]) -> dict[str, Any]:
        """A JSON patch for a list of operations, a merge patch for an object."""
        content_type = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, content_type=content_type)

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object = None,
        *,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        request = f"{method} {path}"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, raw = await self._send(method, path, query, body, accept, content_type)
        except TimeoutError:
            raise ApiUnreachable(f"{request}: no answer within {TIMEOUT_SECONDS:g} s") from None
        except aiohttp.ClientError as error:
            raise ApiUnreachable(f"{request}: {error}") from error
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = {"message": raw[:200].decode(errors="replace")}
        if not 200 <= status < 300:
            raise ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")), request)
        return dict(answer)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: object, accept: str, content_type: str
    ) -> tuple[int, bytes]:
        if query:
            path = f"{path}?{urllib.parse.urlencode(query)}"
        headers = {"Accept": accept, "Content-Type": content_type}
        method, url, headers, _, _ = await self._client.param_serialize(
            method, path, header_params=headers, auth_settings=["BearerToken"]
        )
        response = await self._client.call_api(method, url, headers, body, _request_timeout=TIMEOUT_SECONDS)
        return int(response.status), bytes(await response.read())  # type: ignore[no-untyped-call]


async def connect() -> Api:
    """With the pod's service account; outside a cluster with the kubeconfig."""
    configuration = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.connection_pool_maxsize = 32
    return Api(client.ApiClient(configuration))
