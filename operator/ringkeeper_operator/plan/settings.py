"""Hand the settings of the manifest to the nodes that hold others: a change of them restarts nothing."""

from __future__ import annotations

from ringkeeper.cluster.settings import Settings
from ringkeeper_operator.model import Observed, PushSettings, Spec
from ringkeeper_operator.plan.nodes import answering, names


def push_settings(spec: Spec, observed: Observed) -> PushSettings | None:
    """Also after somebody's CONFIG SET: the manifest counts. A node that tells no digest is older and takes none; one
    that loads its data is told when it has.
    """
    if observed.topology is None:
        return None
    wanted = spec.settings
    others = tuple(
        name
        for name, (_, report) in answering(spec, observed).items()
        if report.settings and report.settings != wanted.digest and report.state != "loading"
    )
    if not others:
        return None
    return PushSettings(
        reason="SettingsPushed",
        message=f"{described(wanted)} handed to {names(others)}",
        settings=wanted,
        topology=observed.topology,
        nodes=others,
    )


def described(settings: Settings) -> str:
    """For people."""
    count = len(settings.namespaces)
    namespaces = "1 namespace" if count == 1 else f"{count or 'no'} namespaces"
    if settings.mode == "none":
        return f"eviction {settings.eviction} and {namespaces}"
    return f"eviction {settings.eviction}, {namespaces} and {persistence_of(settings)}"


def persistence_of(settings: Settings) -> str:
    """The mode, and what belongs to it."""
    save = f", save {settings.save}" if settings.save else ""
    fsync = f", fsync {settings.fsync}" if settings.append_only else ""
    return f"persistence {settings.mode}{fsync}{save}"
