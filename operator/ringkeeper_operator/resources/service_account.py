"""ServiceAccount `NAME`: an identity for the pods that may do nothing, not even know its token."""

from __future__ import annotations

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import Object, build_object


def build_service_account(spec: Spec) -> Object:
    return build_object(spec, "v1", "ServiceAccount", spec.name, {"automountServiceAccountToken": False})
