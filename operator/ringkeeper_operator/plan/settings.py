"""Hand the settings of the manifest to the nodes that hold others: a change of them restarts nothing."""

from __future__ import annotations

from ringkeeper_operator.model import Observed, PushSettings, Spec
from ringkeeper_operator.plan.nodes import answering, names


def push_settings(spec: Spec, observed: Observed) -> PushSettings | None:
    """Also after somebody's CONFIG SET: the manifest counts. A node that tells no digest is older and takes none."""
    if observed.topology is None:
        return None
    wanted = spec.settings
    others = tuple(
        name
        for name, (_, report) in answering(spec, observed).items()
        if report.settings and report.settings != wanted.digest
    )
    if not others:
        return None
    return PushSettings(
        reason="SettingsPushed",
        message=f"eviction {wanted.eviction} and {count_of(len(wanted.namespaces))} handed to {names(others)}",
        settings=wanted,
        topology=observed.topology,
        nodes=others,
    )


def count_of(namespaces: int) -> str:
    """For people."""
    return "1 namespace" if namespaces == 1 else f"{namespaces or 'no'} namespaces"
