"""What people see while nodes load their data."""

from __future__ import annotations

import io
from typing import Any

from ringkeeper_operator.loading_bar import LoadingBar


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def status(**percents: int | None) -> dict[str, Any]:
    rows = []
    for master, percent in percents.items():
        state = {"state": "online"} if percent is None else {"state": "loading", "loadedPercent": percent}
        rows.append({"master": master, **state})
    return {"shardStatuses": rows}


def test_in_a_terminal_one_line_is_drawn_again_and_again_and_removed_at_the_end() -> None:
    out = Terminal()
    bar = LoadingBar(out)
    assert bar.show(status(a=0, b=50))
    assert not bar.show(status(a=0, b=50)), "nothing new"
    assert out.getvalue() == f"\r\x1b[2K  {'█' * 7}{'░' * 23}  25 %  2 nodes load"
    bar.show(status(a=80, b=None))
    assert out.getvalue().endswith(f"\r\x1b[2K  {'█' * 24}{'░' * 6}  80 %  a loads")
    bar.tell("something else")
    assert "\r\x1b[2Ksomething else\n\r\x1b[2K  █" in out.getvalue()
    bar.show(status(a=None, b=None))
    assert out.getvalue().endswith("\r\x1b[2K")


def test_elsewhere_there_is_a_line_for_each_quarter() -> None:
    out = io.StringIO()
    bar = LoadingBar(out)
    for percent in (0, 5, 20, 25, 30, 95, 100):
        bar.show(status(a=percent))
    bar.show(status(a=None))
    assert out.getvalue().splitlines() == [f"  a loads its data: {percent} %" for percent in (0, 25, 95, 100)]


def test_a_cluster_that_loads_nothing_shows_nothing() -> None:
    out = Terminal()
    bar = LoadingBar(out)
    assert not bar.show({})
    assert not bar.show(status(a=None))
    assert out.getvalue() == ""
