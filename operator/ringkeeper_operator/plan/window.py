"""The hours in which slots may begin to move.

Opening and closing are times that a clock shows, in the sense of RFC 5545: one that the clock goes over in spring is as
much later as the clock goes forward, of one that it shows twice in autumn the first counts. So a window is never in two
parts, and an hour longer or shorter on such days; one that would close before it opens falls out.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ringkeeper_operator.model import RebalanceRules, Spec, Window
from ringkeeper_operator.schema_window import DAYS

DAY = 24 * 60
"""Minutes."""


def by_the_clock(spec: Spec, now: float) -> Spec:
    """The spec with when its window opens next, while that is closed. `now` is seconds since the epoch."""
    window = spec.rebalance.window
    opens = None if window is None else next_opening(window, now)
    return spec if opens is None else replace(spec, rebalance=replace(spec.rebalance, opens=opens))


def next_opening(window: Window, now: float) -> float | None:
    """In seconds since the epoch; None while it is open."""
    zone = ZoneInfo(window.zone)
    today = datetime.fromtimestamp(now, zone).date()
    for offset in itertools.count(-1):  # yesterday's may be open still
        day = today + timedelta(offset)
        if day.weekday() not in window.days:
            continue
        closing = window.end if window.end > window.start else window.end + DAY
        opens, closes = _instant(day, window.start, zone), _instant(day, closing, zone)
        if opens <= now < closes:
            return None
        if now < opens < closes:
            return opens
    raise AssertionError("unreachable")


def _instant(day: date, minutes: int, zone: ZoneInfo) -> float:
    """When the clock of the zone shows so many minutes after the day's midnight."""
    days, minutes = divmod(minutes, DAY)
    return datetime.combine(day + timedelta(days), time(*divmod(minutes, 60)), zone).astimezone(UTC).timestamp()


def told_opening(rules: RebalanceRules) -> str:
    """When the window opens that is closed, for people; empty if it is not."""
    if rules.window is None or rules.opens is None:
        return ""
    opens = datetime.fromtimestamp(rules.opens, ZoneInfo(rules.window.zone))
    return f"the window opens on {DAYS[opens.weekday()]} {opens:%Y-%m-%d} at {opens:%H:%M} ({rules.window.zone})"
