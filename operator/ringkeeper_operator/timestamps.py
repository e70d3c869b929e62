"""Times as Kubernetes writes them: RFC 3339, UTC, whole seconds."""

from __future__ import annotations

import datetime


def timestamp(seconds: float) -> str:
    """`seconds` are since the epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    """The reverse; raises `ValueError`."""
    return datetime.datetime.fromisoformat(text).timestamp()
