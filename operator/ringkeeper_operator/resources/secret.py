"""Secrets: the clients' password where the user names none, the operator's credential for the admin ports, and the
nodes' credential towards each other on the data ports.

Their content is generated once. A Secret that the user names is only read by the pods, never owned or written.
"""

from __future__ import annotations

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import Object, build_object

PASSWORD_KEY = "password"
TOKEN_KEY = "token"


def auth_secret_name(spec: Spec) -> str:
    """The Secret whose key `password` is the clients' password."""
    return spec.auth_secret or f"{spec.name}-auth"


def internal_secret_name(spec: Spec) -> str:
    return f"{spec.name}-internal"


def peer_secret_name(spec: Spec) -> str:
    return f"{spec.name}-peer"


def build_auth_secret(spec: Spec, password: str) -> Object | None:
    """None when the user names a Secret."""
    if spec.auth_secret is not None:
        return None
    body = {"type": "Opaque", "stringData": {PASSWORD_KEY: password}}
    return build_object(spec, "v1", "Secret", auth_secret_name(spec), body)


def build_internal_secret(spec: Spec, token: str) -> Object:
    body = {"type": "Opaque", "stringData": {TOKEN_KEY: token}}
    return build_object(spec, "v1", "Secret", internal_secret_name(spec), body)


def build_peer_secret(spec: Spec, token: str) -> Object:
    body = {"type": "Opaque", "stringData": {TOKEN_KEY: token}}
    return build_object(spec, "v1", "Secret", peer_secret_name(spec), body)
