"""What of a list matters: parts of it are left out, ever smaller ones, as long as the rest still fails.

The algorithm is Zeller's and Hildebrandt's ddmin ("Simplifying and isolating failure-inducing input", 2002), of which
only the complements are tried. Takes some hundreds of runs for a thousand items.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")


def shortened(items: list[Item], fails: Callable[[list[Item]], bool], deadline: float) -> list[Item]:
    """The shortest failing rest found until `deadline` (monotonic seconds); `items` if they do not fail again."""
    size = len(items) if fails(items) else 0
    while size:
        start, before = 0, len(items)
        while start < len(items):
            if time.monotonic() > deadline:
                return items
            rest = items[:start] + items[start + size :]
            if fails(rest):
                items = rest
            else:
                start += size
        if size > 1 or len(items) == before:  # the last round is repeated until nothing goes any more
            size //= 2
    return items
