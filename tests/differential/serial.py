"""Random SORTs, DUMPs and RESTOREs; and COPY, MOVE, RENAME and SCAN TYPE of every type.

Each key holds one type for the most part, which its first letter tells: what a set or an unsorted part of one returns
first is each server's own affair, and which of equal weights comes first in a set or sorted set as well.
"""

from __future__ import annotations

from generator import Arguments
from hashes import Collections
from persist.corpus import Example, every_form
from values import NOISE

LISTS, SETS, SORTED_SETS = [b"L1", b"L2"], [b"S1", b"S2"], [b"Z1", b"Z2"]
HASHES, STRINGS = [b"H1"], [b"T1"]
NUMBERS = [b"1", b"2", b"3", b"10", b"-1", b"-7", b"0", b"2.5", b"1e3", b"9007199254740993"]
ODD_NUMBERS = [b"1e1", b"0x10", b" 4", b"+5", b"inf", b"-inf", b"-0", b"00007", b".5", b"6."]
TEXTS = [b"a", b"b", b"ab", b"B", b"", b"caf\xc3\xa9", b"\xff", b"zz", b"10x", b"x y"]
WITH_NUL = [b"a\0b", b"a\0a", b"5\0", b"5\0x"]
PATTERNS = [b"w_*", b"w_*", b"h_*->f", b"h_*->g", b"v*x", b"*", b"*->f", b"no*", b"h_*", b"w_*->f", b"h_*->f\0g"]
ODD_PATTERNS = [b"#", b"nosort", b"", b"#x", b"#\0x", b"w_*->", b"->*", b"w_\0*", b"w_*\0", b"*_*", b"->", b"\0"]


class Serial(Collections):
    """Beside Valkey, which has every encoding. Its numbers are not the C library's, so it does not sort by them."""

    alphabetical = 1.0
    forms = frozenset({0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20})
    """Not that of hashes with fields that expire: they have groups of their own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.tag = b""
        self.odd_patterns = ODD_PATTERNS
        self.keys = [*LISTS, *SETS, *SORTED_SETS, *HASHES, *STRINGS]
        self.payloads = [example.payload for example in every_form() if self.is_comparable(example)]
        self.makers = {
            self.fill: 14, self.weight: 12, self.sort: 40, self.dump: 6, self.restore: 8, self.read_key: 6,
            self.move_within: 6, self.drop: 3, self.expire: 2, self.object: 3, self.scan_type: 2, self.select: 1,
            self.swapdb: 1, self.move: 1, self.pop: 4,
        }  # fmt: skip

    def in_cluster(self) -> None:
        """All in one slot: keys have their types by name. Some patterns keep to it, and Valkey allows those."""
        self.tag = b"{t}"
        self.odd_patterns = [pattern for pattern in ODD_PATTERNS if b"*" in pattern.partition(b"\0")[0]]

    def command(self) -> Arguments:
        """Keys are named without the tag up to here."""
        return [self.tag + word if word in self.keys else word for word in super().command()]

    def spoiled(self, command: Arguments) -> Arguments:
        """Only what is refused: what is taken in another order would mix the types."""
        if command[0] in (b"SORT", b"SORT_RO", b"RESTORE", b"DUMP"):
            return [*command, self.pick(NOISE)] if self.chance(0.8) else command[:1]
        return command

    def is_comparable(self, example: Example) -> bool:
        """Not the strings that Valkey calls `embstr` and Redis does not."""
        holds = example.holds
        if isinstance(holds, bytes) and 44 < len(holds) < 130:
            return False
        return example.payload[0] in self.forms and len(example.payload) < 1500

    # What there is

    def element(self) -> bytes:
        chosen = self.random.random()
        if chosen < 0.6:
            return self.pick(NUMBERS)
        if chosen < 0.8:
            return b"%d" % self.random.randint(-50, 50)
        return self.pick(TEXTS if chosen < 0.9 else ODD_NUMBERS)

    def elements(self, *, numbers: bool) -> Arguments:
        many = self.random.choice([1, 2, 3, 5, 8]) if self.chance(0.98) else 150
        return [self.pick(NUMBERS) if numbers else self.element() for _ in range(many)]

    def fill(self) -> Arguments:
        numbers = self.chance(0.7)
        match self.random.randrange(4):
            case 0:
                words = self.elements(numbers=numbers)
                if self.chance(0.05):
                    words.append(self.pick(WITH_NUL))
                return [self.pick([b"RPUSH", b"LPUSH"]), self.pick(LISTS), *words]
            case 1:
                return [b"SADD", self.pick(SETS), *self.elements(numbers=numbers)]
            case 2:
                members = dict.fromkeys(self.elements(numbers=numbers))  # Redis 7.0 counts twins otherwise
                if self.chance(0.02):
                    members = dict.fromkeys(b"%d" % number for number in range(150))
                scored = [word for member in members for word in (self.score(), member)]
                return [b"ZADD", self.pick(SORTED_SETS), *scored]
            case _:
                return [b"HSET", self.pick(HASHES), self.element(), self.element()]

    def score(self) -> bytes:
        return self.pick([b"1", b"2", b"3.5", b"-1", b"inf", b"-inf", b"1e100", b"0.125"])

    def pop(self) -> Arguments:
        match self.random.randrange(3):
            case 0:
                return [self.pick([b"LPOP", b"RPOP"]), self.pick(LISTS), self.pick([b"1", b"10", b"100"])]
            case 1:
                return [self.pick([b"ZPOPMIN", b"ZPOPMAX"]), self.pick(SORTED_SETS), self.pick([b"1", b"10", b"100"])]
            case _:
                return [b"SREM", self.pick(SETS), *self.elements(numbers=True)]

    def weight(self) -> Arguments:
        element = self.element()
        weight = self.pick(NUMBERS) if self.chance(0.93) else self.element()
        if self.chance(0.6):
            return [b"SET", self.pick([b"w_%b", b"w_%b", b"v%bx", b"no%b"]) % element, weight]
        return [b"HSET", b"h_" + element, self.pick([b"f", b"g"]), weight]

    # SORT

    def sort(self) -> Arguments:
        name = self.pick([b"SORT", b"SORT", b"SORT_RO"])
        key = self.pick([*LISTS, *LISTS, *SETS, *SORTED_SETS]) if self.chance(0.97) else self.pick([*HASHES, *STRINGS])
        by, alpha, store = self.chance(0.4), self.chance(self.alphabetical), name == b"SORT" and self.chance(0.25)
        if by and alpha:
            store = False
        options: list[Arguments] = []
        if by:
            options.append([self.option(b"BY"), self.pick(PATTERNS)])
        elif self.chance(0.15) and (key not in SETS or store):
            options.append([self.option(b"BY"), self.pick([b"nosort", b"x", b"", b"#", b"w_\0*"])])
        if alpha:
            options.append([self.option(b"ALPHA")])
        if self.chance(0.4):
            options.append([self.option(b"ASC", b"DESC", b"DESC")])
        if self.chance(0.3) and not (by and alpha):
            options.append([self.option(b"LIMIT"), self.limit(), self.limit()])
        options += [
            [self.option(b"GET"), self.pick(PATTERNS if self.chance(0.7) else self.odd_patterns)]
            for _ in self.times(0, 0, 0, 1, 1, 2)
        ]
        if store:
            options.append([self.option(b"STORE"), self.pick(LISTS)])
        elif name == b"SORT_RO" and self.chance(0.02):
            options.append([b"STORE", self.pick(LISTS)])
        self.random.shuffle(options)
        return [name, key, *(word for option in options for word in option)]

    def limit(self) -> bytes:
        return b"%d" % self.random.randint(-2, 12) if self.chance(0.9) else self.integer()

    # DUMP and RESTORE

    def dump(self) -> Arguments:
        return [b"DUMP", self.key()]

    def restore(self) -> Arguments:
        payload = self.pick(self.payloads)
        key = self.pick(self.home(payload[0]))
        if self.chance(0.1):
            at = self.random.randrange(len(payload))
            payload = payload[:at] + self.random.randbytes(1) + payload[at + 1 :]
        time = self.relative(1) if self.chance(0.2) else b"0"
        command = [self.pick([b"RESTORE", b"RESTORE", b"RESTORE-ASKING"]), key, time, payload]
        options: list[Arguments] = []
        if self.chance(0.8):
            options.append([self.option(b"REPLACE")])
        if self.chance(0.1):
            command[2] = self.absolute(1)
            options.append([self.option(b"ABSTTL")])
        if self.chance(0.15):
            options.append([self.option(b"IDLETIME", b"FREQ"), self.pick([b"0", b"7", b"255", b"256", self.integer()])])
        self.random.shuffle(options)
        return command + [word for option in options for word in option]

    @staticmethod
    def home(form: int) -> list[bytes]:
        """Keys of the type that has this form."""
        if form == 0:
            return STRINGS
        if form in (1, 10, 14, 18):
            return LISTS
        if form in (2, 11, 20):
            return SETS
        if form in (3, 5, 12, 17):
            return SORTED_SETS
        return HASHES

    # Every type

    def read_key(self) -> Arguments:
        key = self.key()
        reads = [[b"TYPE", key], [b"TTL", key], [b"EXISTS", key]]
        match key[:1]:
            case b"L":
                reads.append([b"LRANGE", key, b"0", b"-1"])
            case b"S":
                reads.append([b"SMEMBERS", key])
            case b"Z":
                reads.append([b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])
            case b"H":
                reads.append([b"HGETALL", key])
            case _:
                reads.append([b"GET", key])
        return self.random.choice(reads)

    def move_within(self) -> Arguments:
        """RENAME and COPY between keys of one type."""
        pool = self.random.choice([LISTS, SETS, SORTED_SETS, HASHES, STRINGS])
        name = self.pick([b"RENAME", b"RENAMENX", b"COPY", b"COPY"])
        command = [name, self.pick(pool), self.pick(pool)]
        if name == b"COPY":
            for _ in self.times(0, 1, 1, 2):
                command += self.random.choice([[self.option(b"REPLACE")], [self.option(b"DB"), self.database()]])
        return command

    def scan_type(self) -> Arguments:
        kind = self.option(b"string", b"list", b"set", b"zset", b"hash", b"stream")
        return [b"SCAN", b"0", b"COUNT", b"1000", b"TYPE", kind]


class Sort(Serial):
    """Beside Redis, for SORT by number. Nothing that overflows: C's error number would stay what it was then."""

    alphabetical = 0.4
    forms = Serial.forms - {20}

    def is_comparable(self, example: Example) -> bool:
        """Nor scores that Redis 7.0 prints with more digits."""
        with_fractions = example.payload[0] in (3, 5, 12, 17) and len(example.payload) > 100
        return super().is_comparable(example) and not with_fractions

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        del self.makers[self.object]
