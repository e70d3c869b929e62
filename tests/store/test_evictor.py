"""Making room: who goes under each policy, for the node and for namespaces, and how much work a call may do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from ringkeeper import _compiled
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.namespaces import put_into_force
from ringkeeper.store.evictor import Evictor
from ringkeeper.store.keyspace import NO_EXPIRY, Clock, Keyspace
from ringkeeper.store.namespaces import NO_NAMESPACES, Namespace, Namespaces
from ringkeeper.store.policies import POLICIES, QUEUED_POLICIES
from ringkeeper.store.slot import key_slot

HOUR = 3_600_000
COMPILED = _compiled.form("ringkeeper.store.evictor") == "compiled"


class World:
    """A node's databases and what makes room in them."""

    def __init__(self, policy: str, *namespaces: Namespace, databases: int = 1) -> None:
        self.clock = Clock(1_700_000_000_000)
        random = Random(11)
        self.databases = [Keyspace(self.clock, random, index) for index in range(databases)]
        self.keyspace = self.databases[0]
        self.evictor = Evictor(self.databases)
        self.evictor.set_policy(policy)
        for keyspace in self.databases:
            keyspace.siblings = self.databases
        put_into_force(Namespaces(namespaces), *self.parts)

    @property
    def parts(self) -> tuple[Evictor, list[Keyspace]]:
        return self.evictor, self.databases

    def fill(self, form: bytes, count: int, at: int = NO_EXPIRY) -> None:
        for number in range(count):
            self.keyspace.set(form % number, b"x" * 50, at)

    def halve(self) -> None:
        self.evictor.max_memory = self.evictor.used_bytes // 2
        while self.evictor.is_needed:
            assert self.evictor.make_room(1000)

    def share(self, form: bytes, count: int) -> float:
        """Of so many keys, how many are left."""
        return sum(self.keyspace.look(form % number) is not None for number in range(count)) / count


@pytest.mark.parametrize("tag", [b"", b"{of one slot}"])
@pytest.mark.parametrize("prefix", ["allkeys-", "volatile-"])
def test_lru_removes_what_nobody_used_for_long(prefix: str, tag: bytes) -> None:
    world = World(prefix + "lru")
    at = world.clock.now_ms + HOUR
    world.fill(tag + b"old:%d", 1000, at)
    world.clock.now_ms += 60_000
    world.fill(tag + b"new:%d", 1000, at)
    world.halve()
    assert world.share(tag + b"new:%d", 1000) > 0.8
    assert world.share(tag + b"old:%d", 1000) < 0.2
    assert world.keyspace.evicted == 2000 - len(world.keyspace)
    world.keyspace.check()


def test_a_read_makes_a_key_worth_keeping() -> None:
    world = World("allkeys-lru")
    world.fill(b"k:%d", 2000)
    world.clock.now_ms += 60_000
    for number in range(0, 2000, 2):
        world.keyspace.read(b"k:%d" % number)
    world.halve()
    kept = [number for number in range(2000) if world.keyspace.look(b"k:%d" % number) is not None]
    assert sum(number % 2 == 0 for number in kept) > 0.9 * len(kept)


def test_lfu_keeps_what_is_used_often_and_forgets_with_time() -> None:
    world = World("allkeys-lfu")
    world.fill(b"k:%d", 2000)
    for _ in range(20):
        for number in range(1000):
            world.keyspace.read(b"k:%d" % number)
    assert world.keyspace.frequency(b"k:1") > world.keyspace.frequency(b"k:1001") == 5
    world.halve()
    assert world.share(b"k:%d", 1000) > 0.9
    world.clock.now_ms += 30 * 60_000
    assert world.keyspace.frequency(b"k:1") == 0


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy.startswith("volatile-")])
def test_a_volatile_policy_never_touches_a_key_without_an_expiry(policy: str) -> None:
    world = World(policy)
    world.fill(b"stays:%d", 500)
    world.fill(b"goes:%d", 500, world.clock.now_ms + HOUR)
    world.evictor.max_memory = 1
    while world.evictor.make_room(10):
        pass
    assert len(world.keyspace) == 500
    assert world.share(b"stays:%d", 500) == 1
    world.keyspace.check()


def test_volatile_ttl_removes_what_ends_soonest() -> None:
    world = World("volatile-ttl")
    world.fill(b"later:%d", 1000, world.clock.now_ms + 2 * HOUR)
    world.fill(b"soon:%d", 1000, world.clock.now_ms + HOUR)
    world.halve()
    assert world.share(b"later:%d", 1000) > 0.9


def test_random_removes_anything() -> None:
    world = World("allkeys-random")
    world.fill(b"a:%d", 1000)
    world.fill(b"b:%d", 1000)
    world.halve()
    assert 0.3 < world.share(b"a:%d", 1000) < 0.7


@pytest.mark.parametrize("form", [b"%d", b"{t}%d"])
def test_random_removes_each_as_often_as_any_other(form: bytes) -> None:
    """Chi-squared, with room for what a key that stands behind a gap is met more often."""
    world = World("allkeys-random")
    gone = dict.fromkeys([form % number for number in range(200)], 0)
    for _ in range(100):
        for key in gone:
            if world.keyspace.look(key) is None:
                world.keyspace.set(key, b"x" * 50)
        world.evictor.max_memory = 1
        world.evictor.make_room(20)
        for key in gone:
            gone[key] += world.keyspace.look(key) is None
    assert sum(gone.values()) == 2000
    squared = sum((count - 10) ** 2 / 10 for count in gone.values())
    assert squared < 1.5 * 199, squared


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lfu", "volatile-ttl"])
@pytest.mark.parametrize("form", [b"%d", b"{t}%d"])
def test_candidates_may_go_and_move_before_their_turn(policy: str, form: bytes) -> None:
    """Whatever else happens, what goes is a key that is there, and of one database with the other's keys."""
    world = World(policy, databases=2)
    random = Random(4)
    for step in range(6000 if COMPILED else 1500):
        keyspace = random.choice(world.databases)
        key = form % random.randrange(1500)
        at = world.clock.now_ms + random.randrange(1, HOUR) if random.random() < 0.7 else NO_EXPIRY
        if random.random() < 0.7:
            keyspace.set(key, bytes(random.randrange(100)), at)
        else:
            keyspace.delete(key)
        if step % 700 == 699:
            random.choice(world.databases).flush()
        if step % 500 == 499:
            world.databases[0].swap(world.databases[1])
        if step % 3 == 0:
            before = sum(map(len, world.databases))
            world.evictor.max_memory = max(1, world.evictor.used_bytes - 1)
            helped = world.evictor.make_room(1)
            assert before - sum(map(len, world.databases)) == helped
            assert helped or not any(each.volatile if "volatile" in policy else len(each) for each in world.databases)
    for keyspace in world.databases:
        keyspace.check()


@pytest.mark.parametrize("policy", QUEUED_POLICIES)
def test_what_stayed_because_it_was_on_its_way_has_its_turn_when_it_is_served(policy: str) -> None:
    world = World(policy)
    at = world.clock.now_ms + HOUR
    world.fill(b"{hidden}:%d", 100, at)
    world.fill(b"{shown}:%d", 100, at)
    world.keyspace.hidden = frozenset({key_slot(b"hidden")})
    world.evictor.max_memory = world.evictor.used_bytes * 3 // 4
    while world.evictor.is_needed:
        assert world.evictor.make_room(1000)
    [engine] = filter(None, world.keyspace.engines)
    assert sum(map(len, engine.listed())) == len(world.keyspace)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-s3-fifo"])
def test_what_is_on_its_way_between_shards_stays(policy: str) -> None:
    world = World(policy)
    world.fill(b"{hidden}:%d", 100)
    world.fill(b"{shown}:%d", 100)
    world.keyspace.hidden = frozenset({key_slot(b"hidden")})
    world.evictor.max_memory = world.evictor.used_bytes * 3 // 4
    while world.evictor.is_needed:
        assert world.evictor.make_room(1000)
    assert world.share(b"{hidden}:%d", 100) == 1
    assert world.share(b"{shown}:%d", 100) < 1
    world.evictor.max_memory = 1
    while world.share(b"{shown}:%d", 100):
        world.evictor.make_room(1000)
    assert not world.evictor.make_room(1000), "it gives up"
    assert len(world.keyspace) == 100


def test_noeviction_removes_nothing() -> None:
    world = World("noeviction")
    world.fill(b"k:%d", 100)
    world.evictor.max_memory = 1
    assert not world.evictor.make_room(10)
    assert len(world.keyspace) == 100


def test_keys_go_from_all_databases() -> None:
    world = World("allkeys-lru", databases=3)
    for number in range(500):
        world.clock.now_ms += 100
        for keyspace in world.databases:
            keyspace.set(b"%d" % number, b"x" * 50)
    world.evictor.max_memory = world.evictor.used_bytes // 2
    while world.evictor.is_needed:
        world.evictor.make_room(100)
    assert all(len(keyspace) < 400 for keyspace in world.databases)


def test_a_call_removes_no_more_than_it_may_and_says_that_the_command_may_run() -> None:
    world = World("allkeys-lru")
    world.fill(b"k:%d", 1000)
    world.evictor.max_memory = 1
    assert world.evictor.make_room(7)
    assert len(world.keyspace) == 993


def test_evictions_are_told() -> None:
    world = World("allkeys-random")
    world.fill(b"k:%d", 3)
    world.keyspace.changes = changes = []
    world.evictor.max_memory = 1
    world.evictor.make_room(2)
    assert [(event, changed) for _, event, _, changed in changes] == [("evicted", True)] * 2


QUEUED = [policy.partition("-")[2] for policy in QUEUED_POLICIES if policy.startswith("allkeys-")]


@pytest.mark.parametrize("policy", QUEUED)
def test_an_engine_keeps_what_is_used_from_a_scan(policy: str) -> None:
    world = World("allkeys-" + policy)
    world.fill(b"hot:%d", 300)
    world.evictor.max_memory = world.evictor.used_bytes * 3 // 2
    for number in range(20_000):
        world.keyspace.read(b"hot:%d" % (number % 300))
        world.keyspace.set(b"scan:%d" % number, b"x" * 50)
        assert world.evictor.make_room(10)
    assert world.share(b"hot:%d", 300) > 0.95
    world.keyspace.check()
    for engine in world.keyspace.engines:
        engine.check()


@pytest.mark.parametrize("policy", QUEUED)
def test_an_engine_that_is_chosen_later_learns_of_what_is_there(policy: str) -> None:
    world = World("allkeys-lru")
    world.fill(b"k:%d", 2000)
    world.evictor.set_policy("allkeys-" + policy)
    put_into_force(NO_NAMESPACES, world.evictor, world.databases)
    (engine,) = world.keyspace.engines
    assert engine.entries() == 0
    labelled(world)
    assert engine.entries() == 2000
    engine.check()
    world.halve()
    assert len(world.keyspace) <= engine.entries() < len(world.keyspace) + 20, "the engine said who goes"
    engine.check()


@pytest.mark.parametrize("policy", QUEUED)
def test_before_an_engine_knows_the_keys_others_go_all_the_same(policy: str) -> None:
    world = World("allkeys-lru")
    world.fill(b"k:%d", 2000)
    world.evictor.set_policy("allkeys-" + policy)
    put_into_force(NO_NAMESPACES, world.evictor, world.databases)
    world.halve()
    assert 500 < len(world.keyspace) < 1500


@pytest.mark.parametrize("policy", QUEUED)
def test_an_engine_for_volatile_keys_hears_of_those_that_become_so(policy: str) -> None:
    world = World("volatile-" + policy)
    world.fill(b"k:%d", 300)
    for number in range(200):
        world.keyspace.expire(b"k:%d" % number, world.clock.now_ms + HOUR)
    for number in range(100):
        world.keyspace.persist(b"k:%d" % number)
    world.evictor.max_memory = 1
    while world.evictor.make_room(10):
        pass
    assert len(world.keyspace) == 200
    assert [world.share(b"k:%d", 100), world.keyspace.evicted] == [1, 100]


@pytest.mark.parametrize("policy", QUEUED)
def test_what_is_deleted_and_set_again_does_not_pile_up_in_an_engine(policy: str) -> None:
    world = World("allkeys-" + policy)
    for round_ in range(50):
        world.fill(b"k:%d", 500)
        for number in range(500):
            world.keyspace.delete(b"k:%d" % number)
        assert world.keyspace.engines[0].entries() < 2000, round_


@pytest.mark.parametrize("policy", QUEUED)
def test_an_engine_goes_with_the_keys_of_a_swapped_database(policy: str) -> None:
    world = World("allkeys-" + policy, databases=2)
    first, second = world.databases
    world.fill(b"hot:%d", 300)
    for _ in range(3):
        for number in range(300):
            first.read(b"hot:%d" % number)
    world.fill(b"cold:%d", 300)
    engines = [*first.engines, *second.engines]
    first.swap(second)
    assert [*second.engines, *first.engines] == engines
    world.keyspace = second
    world.evictor.max_memory = world.evictor.used_bytes
    for number in range(3000):
        second.set(b"scan:%d" % number, b"x" * 50)
        assert world.evictor.make_room(10)
    assert len(second) <= second.engines[0].entries() < len(second) + 150, "the engine said who goes"
    assert world.share(b"hot:%d", 300) > 0.9
    assert first.engines[0].entries() == 0
    for keyspace in world.databases:
        keyspace.check()
        keyspace.engines[0].check()


def test_each_scope_has_its_own_engine() -> None:
    world = World(
        "allkeys-s3-fifo",
        Namespace(b"own:", 10**6, "allkeys-w-tinylfu"),
        Namespace(b"drawn:", 10**6, "allkeys-lru"),
        Namespace(b"shared:", 0, "allkeys-lru"),
    )
    for form in (b"own:%d", b"drawn:%d", b"shared:%d", b"%d"):
        world.fill(form, 100)
    engines = world.keyspace.engines
    assert [engine and engine.entries() for engine in engines] == [200, 100, None, None]


# Namespaces


def labelled(world: World) -> World:
    while world.keyspace.label_some(50):
        pass
    world.keyspace.check()
    return world


SMALL = Namespace(b"small:", 20_000)


@pytest.mark.parametrize(
    "policy",
    [policy for policy in POLICIES if policy != "noeviction"],
)
def test_a_namespace_over_its_budget_evicts_its_own_keys_and_never_anothers(policy: str) -> None:
    world = World("allkeys-lru", Namespace(b"small:", 20_000, policy), Namespace(b"other:", 10**9))
    at = world.clock.now_ms + HOUR
    world.fill(b"none:%d", 500)
    world.fill(b"other:%d", 500)
    for number in range(2000):
        world.keyspace.set(b"small:%d" % number, b"x" * 50, at)
        assert world.evictor.make_room(5)
    assert world.keyspace.space_used(1) <= 20_200
    assert world.share(b"none:%d", 500) == world.share(b"other:%d", 500) == 1
    figures = world.keyspace.space_figures()
    assert [row[0] for row in figures] == [500, len(world.keyspace) - 1000, 500]
    assert [row[4] for row in figures] == [0, world.keyspace.evicted, 0]
    world.keyspace.check()


def test_the_longest_prefix_counts() -> None:
    world = World("noeviction", Namespace(b"a:"), Namespace(b"a:b:"))
    world.fill(b"a:%d", 10)
    world.fill(b"a:b:%d", 20)
    world.fill(b"b:%d", 30)
    assert [row[0] for row in world.keyspace.space_figures()] == [30, 10, 20]
    world.keyspace.read(b"a:b:1")
    world.keyspace.read(b"a:nobody")
    assert [row[2:4] for row in world.keyspace.space_figures()] == [(0, 0), (0, 1), (1, 0)]


def test_other_namespaces_count_what_is_there_in_steps_while_it_changes() -> None:
    world = World("allkeys-lru")
    random = Random(2)
    world.fill(b"{t}a:%d", 3000, world.clock.now_ms + HOUR)
    world.fill(b"b:%d", 3000)
    for prefixes in ((b"{t}a:", b"b:1"), (b"b:",), (b"{t}a:1", b"{t}a:2", b"{t}a:22"), ()):
        spaces = Namespaces([Namespace(prefix, random.choice([0, 10**7])) for prefix in prefixes])
        world.keyspace.set_namespaces(spaces, bytes(len(prefixes) + 1))
        while world.keyspace.label_some(random.randrange(1, 100)):
            for _ in range(10):
                key = random.choice([b"{t}a:%d", b"b:%d"]) % random.randrange(4000)
                if random.random() < 0.5:
                    world.keyspace.set(key, b"y" * random.randrange(100))
                else:
                    world.keyspace.delete(key)
        world.keyspace.check()
        keys = [0] * (len(prefixes) + 1)
        for key in list(world.keyspace.keys()):
            keys[spaces.match(key)] += 1
        assert [row[0] for row in world.keyspace.space_figures()] == keys


def test_namespaces_that_change_while_keys_are_counted_to_the_former_ones_come_next() -> None:
    world = World("allkeys-lru")
    world.fill(b"a:%d", 500)
    world.keyspace.set_namespaces(Namespaces([Namespace(b"a:")]), bytes(2))
    world.keyspace.label_some(10)
    world.keyspace.set_namespaces(Namespaces([Namespace(b"a:1"), Namespace(b"a:2")]), bytes(3))
    world.keyspace.set_namespaces(Namespaces([Namespace(b"a:3")]), bytes(2))
    labelled(world)
    assert [row[0] for row in world.keyspace.space_figures()] == [389, 111]


@pytest.mark.parametrize("moment", ["under way", "one is through", "others are wanted"])
def test_a_count_to_new_namespaces_goes_on_where_the_keys_are_swapped_to(moment: str) -> None:
    world = World("allkeys-s3-fifo", databases=2)
    first, second = world.databases
    world.fill(b"a:%d", 500)
    second.set(b"b:1", b"x")
    put_into_force(Namespaces([Namespace(b"a:"), Namespace(b"b:", 10**6, "allkeys-w-tinylfu")]), *world.parts)
    assert first.label_some(10)
    if moment != "under way":
        second.label_some(10_000)
    if moment == "others are wanted":
        put_into_force(Namespaces([Namespace(b"a:1", 10**6, "allkeys-s3-fifo")]), *world.parts)
        assert len(second.rules) == 2 < len(first.rules) == 3
    first.swap(second)
    assert first.read(b"b:1"), "a use in between"
    for keyspace in world.databases:
        while keyspace.label_some(50):
            pass
        keyspace.check()
    keys = [[row[0] for row in keyspace.space_figures()] for keyspace in world.databases]
    queued = [[engine and engine.entries() for engine in keyspace.engines] for keyspace in world.databases]
    if moment == "others are wanted":
        assert keys == [[1, 0], [389, 111]]
        assert queued == [[1, 0], [389, 111]]
    else:
        assert keys == [[0, 0, 1], [0, 500, 0]]
        assert queued == [[0, None, 1], [500, None, 0]]


def test_namespaces_that_come_back_while_others_were_wanted_are_those_of_the_end() -> None:
    world = World("allkeys-lru")
    world.fill(b"a:%d", 500)
    former = Namespaces([Namespace(b"a:1", 10**6, "allkeys-s3-fifo"), Namespace(b"a:2")])
    put_into_force(former, *world.parts)
    world.keyspace.label_some(10)
    put_into_force(Namespaces([Namespace(b"a:")]), *world.parts)
    put_into_force(former, *world.parts)
    labelled(world)
    assert world.keyspace.namespaces is former
    assert [row[0] for row in world.keyspace.space_figures()] == [278, 111, 111]
    assert [engine and engine.entries() for engine in world.keyspace.engines] == [None, 111, None]


def test_what_is_in_force_already_is_not_made_anew() -> None:
    world = World("allkeys-w-tinylfu", databases=2)
    spaces = Namespaces([Namespace(b"a:", 10**6, "volatile-s3-fifo"), Namespace(b"b:")])
    put_into_force(spaces, *world.parts)
    engines = [keyspace.engines for keyspace in world.databases]
    state = world.keyspace.random.getstate()
    put_into_force(spaces, *world.parts)
    assert all(keyspace.engines is before for keyspace, before in zip(world.databases, engines, strict=True))
    assert world.keyspace.random.getstate() == state, "no engine was made in vain"
    world.evictor.set_policy("volatile-w-tinylfu")
    put_into_force(spaces, *world.parts)
    assert not any(keyspace.engines is before for keyspace, before in zip(world.databases, engines, strict=True))


def test_a_budget_that_is_set_later_is_kept_as_well() -> None:
    world = World("allkeys-lru")
    world.fill(b"small:%d", 1000)
    world.keyspace.set_namespaces(Namespaces([SMALL]), bytes(2))
    labelled(world)
    while world.evictor.is_needed:
        world.evictor.make_room(10)
    assert world.keyspace.space_used(1) <= 20_000
    world.keyspace.check()
    world.keyspace.flush()
    assert [row[:2] for row in world.keyspace.space_figures()] == [(0, 0), (0, 0)]
    world.fill(b"small:%d", 3)
    world.keyspace.check()


def test_a_full_namespace_that_may_evict_nothing_is_told_apart() -> None:
    world = World("allkeys-lru", Namespace(b"small:", 500, "noeviction"))
    world.fill(b"small:%d", 20)
    assert world.evictor.make_room(10)
    assert world.evictor.is_full(1)
    for number in range(20):
        world.keyspace.delete(b"small:%d" % number)
    world.evictor.make_room(10)
    assert not world.evictor.is_full(1)


def test_a_value_larger_than_its_namespace_or_the_node_is_refused_before_it_costs_anything() -> None:
    world = World("allkeys-lru", SMALL)
    world.fill(b"small:%d", 10)
    with pytest.raises(ReplyError, match="larger than its namespace"):
        world.keyspace.set(b"small:0", b"x" * 20_001)
    world.keyspace.largest = 30_000
    with pytest.raises(ReplyError, match="larger than 'maxmemory'"):
        world.keyspace.set(b"k", b"x" * 30_001)
    assert world.share(b"small:%d", 10) == 1
    assert world.keyspace.peek(b"small:0") == b"x" * 50


Write = Callable[[Keyspace, bytes], None]


def test_a_namespace_gives_and_bounds_times_to_live() -> None:
    world = World("allkeys-lru", Namespace(b"d:", default_ttl_ms=1000), Namespace(b"m:", max_ttl_ms=5000))
    keyspace, now = world.keyspace, world.clock.now_ms
    keyspace.set(b"d:1", b"v")
    keyspace.set(b"d:2", b"v", now + 9000)
    keyspace.set(b"m:1", b"v")
    keyspace.set(b"m:2", b"v", now + 9000)
    keyspace.set(b"m:3", b"v", now + 3000)
    keyspace.set(b"k", b"v")
    assert [keyspace.expiry(key) - now for key in (b"d:1", b"d:2", b"m:1", b"m:2", b"m:3")] == [
        1000, 9000, 5000, 5000, 3000,
    ]  # fmt: skip
    assert keyspace.expiry(b"k") == NO_EXPIRY
    keyspace.expire(b"m:3", now + 60_000)
    assert keyspace.expiry(b"m:3") == now + 5000
    assert keyspace.persist(b"d:1")
    assert keyspace.expiry(b"d:1") == NO_EXPIRY
    world.clock.now_ms += 1000
    assert keyspace.persist(b"m:1")
    assert keyspace.expiry(b"m:1") == now + 6000
    keyspace.update(b"d:2", b"w")
    assert keyspace.expiry(b"d:2") == now + 9000, "who keeps an expiry keeps this one"
    keyspace.update(b"d:1", b"w")
    assert keyspace.expiry(b"d:1") == NO_EXPIRY
    keyspace.hand_over(b"k", keyspace, b"d:9", ("rename_from", "rename_to"))
    assert keyspace.expiry(b"d:9") == now + 2000
    keyspace.check()
