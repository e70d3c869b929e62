"""What schedules are made of, by seed."""

from partitions.schedules import KINDS, OPERATOR, PARTITIONS, schedule
from process_faults import DEATH


def test_a_seed_makes_the_same_schedule_again() -> None:
    assert str(schedule(17)) == str(schedule(17))
    assert str(schedule(17)) != str(schedule(18))


def test_short_schedules_go_through_every_kind() -> None:
    seen = {
        (step.partition, step.flap > 0) for seed in range(len(KINDS) // 2) for step in schedule(seed, short=True).steps
    }
    assert len(seen) == len(KINDS)


def test_at_most_one_node_is_killed() -> None:
    schedules = [schedule(seed) for seed in range(500)]
    deaths = [
        sum(step.trouble is not None and step.trouble.name == DEATH and step.trouble.target != OPERATOR
            for step in each.steps)
        for each in schedules
    ]  # fmt: skip
    assert set(deaths) == {0, 1}
    assert [each.deadly for each in schedules] == [count > 0 for count in deaths]
    assert not any(schedule(seed, deadly=False).deadly for seed in range(500))


def test_one_way_partitions_leave_the_other_way_open() -> None:
    for kind in ("nodes to operator", "operator to nodes", "master to replicas", "replicas to master"):
        links = PARTITIONS[kind]
        assert links
        assert not links & {(target, source) for source, target in links}
