"""What LATENCY GRAPH and LATENCY DOCTOR say of the samples, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

from ringkeeper.commands.context import LatencyEvent

COLUMNS = 80
ROWS = 4
STEPS = "_o#"
"""How a column of the graph ends, from the lowest third of a row to the highest."""


def graph(name: str, event: LatencyEvent, now: int) -> str:
    """The newest samples as columns, each with its age written downwards below it. `now` is in Unix seconds."""
    samples = list(event.samples)[-COLUMNS:]
    heights = [milliseconds for _, milliseconds in samples]
    least, most = min(heights), max(heights)
    lines = [f"{name} - high {most} ms, low {least} ms (all time high {event.longest} ms)", "-" * COLUMNS]
    steps = ROWS * len(STEPS)
    levels = [min((height - least) * steps // max(most - least, 1), steps - 1) for height in heights]
    for row in reversed(range(ROWS)):
        rests = [level - row * len(STEPS) for level in levels]
        lines.append("".join(" " if rest < 0 else STEPS[rest] if rest < len(STEPS) else "|" for rest in rests))
    lines.append("")
    ages = [age(now - unix_seconds) for unix_seconds, _ in samples]
    lines += ["".join(text[row : row + 1] or " " for text in ages) for row in range(max(map(len, ages)))]
    return "\n".join(lines) + "\n"


def age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def report(events: Mapping[str, LatencyEvent], threshold_ms: int, slower_than_us: int) -> str:
    """`slower_than_us` is SLOWLOG's threshold."""
    if not events:
        if threshold_ms:
            return f"No event took {threshold_ms} ms or longer since this node started, or LATENCY RESET.\n"
        return "Nothing is monitored: CONFIG SET latency-monitor-threshold to the milliseconds that matter to you.\n"
    lines = [f"{number}. {finding(name, event)}" for number, (name, event) in enumerate(events.items(), 1)]
    if hints := list(advice(set(events), threshold_ms, slower_than_us)):
        lines += ["", *(f"- {hint}" for hint in hints)]
    return "\n".join(lines) + "\n"


def finding(name: str, event: LatencyEvent) -> str:
    times, lengths = zip(*event.samples, strict=True)
    mean = fmean(lengths)
    deviation = fmean(abs(length - mean) for length in lengths)
    text = f"{name}: {len(lengths)} samples, {mean:.0f} ms on average (mean deviation {deviation:.0f} ms)"
    if len(times) > 1:
        text += f", one every {(times[-1] - times[0]) / (len(times) - 1):.1f} s"
    return f"{text}. The longest ever took {event.longest} ms."


def advice(events: set[str], threshold_ms: int, slower_than_us: int) -> Iterator[str]:
    """What may be done, by what was seen."""
    if events & {"command", "fast-command"}:
        if slower_than_us < 0 or slower_than_us > 1000 * threshold_ms > 0:
            yield f"SLOWLOG misses some of these commands: CONFIG SET slowlog-log-slower-than {1000 * threshold_ms}."
        yield "SLOWLOG GET names slow commands and their clients; one of few keys or elements is not slow by itself."
    if "fast-command" in events:
        yield "Commands that do little took long: something else had the processor, or the machine swaps."
    if "expire-cycle" in events:
        yield "Many keys expire at the same moment: spread their times, or lower active-expire-effort."
