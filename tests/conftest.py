"""Leaves out of a run what tells nothing of the form that runs."""

from __future__ import annotations

import pytest

from ringkeeper import _compiled
from ringkeeper.store import table


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _compiled.form(table.__name__) == "compiled":
        return
    left_out = [item for item in items if item.get_closest_marker("compiled_only")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("compiled_only")]
