from ringkeeper.commands.latency_report import age, graph, report
from ringkeeper.server.latency import KEPT_SAMPLES, Event, LatencyMonitor


def event(*samples: tuple[int, int]) -> Event:
    made = Event()
    for sample in samples:
        made.add(*sample)
    return made


def test_the_graph_is_redis_own() -> None:
    """What redis-server 7.0.15 drew for such samples."""
    assert graph("command", event((100, 20), (101, 50)), 101).splitlines() == [
        "command - high 50 ms, low 20 ms (all time high 50 ms)",
        "-" * 80,
        " #",
        " |",
        " |",
        "_|",
        "",
        "10",
        "ss",
    ]


def test_a_graph_of_one_sample_or_of_equal_ones_is_flat() -> None:
    assert graph("x", event((1, 7)), 1).splitlines()[2:6] == [" ", " ", " ", "_"]
    assert graph("x", event((1, 7), (2, 7)), 2).splitlines()[5] == "__"


def test_ages_are_told_in_the_largest_unit() -> None:
    told = {0: "0s", 59: "59s", 60: "1m", 3599: "59m", 3600: "1h", 86399: "23h", 86400: "1d"}
    assert {seconds: age(seconds) for seconds in told} == told


def test_within_a_second_the_longest_sample_counts() -> None:
    made = event((5, 10), (5, 30), (5, 20), (6, 1))
    assert list(made.samples) == [(5, 30), (6, 1)]
    assert made.longest == 30


def test_old_samples_are_dropped_and_the_longest_ever_is_remembered() -> None:
    made = event((0, 99), *((second, 1) for second in range(1, KEPT_SAMPLES + 10)))
    assert len(made.samples) == KEPT_SAMPLES
    assert made.longest == 99


def test_nothing_below_the_threshold_is_noted_and_nothing_at_all_without_one() -> None:
    monitor = LatencyMonitor()
    monitor.add("command", 1000, 10**12)
    assert not monitor.all()
    monitor.threshold = 5
    monitor.add("command", 1000, 4_999_999)
    assert not monitor.all()
    monitor.add("command", 1000, 5_000_000)
    monitor.add("expire-cycle", 1000, 6_000_000)
    assert list(monitor.all()["command"].samples) == [(1, 5)]
    assert monitor.reset(["command", "other"]) == 1
    assert monitor.reset([]) == 1
    assert not monitor.all()


def test_the_doctor_says_how_to_begin_and_what_to_do() -> None:
    assert "CONFIG SET latency-monitor-threshold" in report({}, 0, 10000)
    assert "No event took 5 ms" in report({}, 5, 10000)
    text = report({"command": event((10, 20), (12, 50)), "expire-cycle": event((1, 9))}, 5, 10000)
    assert "1. command: 2 samples, 35 ms on average (mean deviation 15 ms), one every 2.0 s." in text
    assert "slowlog-log-slower-than 5000" in text
    assert "active-expire-effort" in text
