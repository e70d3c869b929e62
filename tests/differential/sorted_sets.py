"""Random commands of the sorted set group.

What Redis 7.0 prints with 17 digits, Redis 7.2 and Valkey print as short as possible. So beside Redis all scores are
numbers that both print alike, and beside Valkey any.
"""

from __future__ import annotations

from generator import Arguments
from hashes import COUNTS, FIELDS, Collections
from values import BAD_INTEGERS, INTEGERS, NOISE

from ringkeeper.commands.scores import BLANKS

SCORES = [
    b"0", b"1", b"2", b"3", b"-1", b"1.5", b"-2.25", b"0.125", b"1e3", b"+7", b"100", b"4096", b"-0", b"-0.0", b"0e7",
    b"inf", b"-inf", b"+inf", b"Infinity", b"INF", b"00012", b"5.", b".5", b"-.5", b"+.5e+1", b"0x", b"1e400",
    b"-1e400", b"1e-400", b"0e-400", b"infin", b"nan", b"-nan", b"nan(1)", b"", b" 1", b"1 ", b"1\0", b"1_0", b"1e",
    b"x", b"--1", b".", b"1,5", b"\t1", b"(1", b"1f",
]  # fmt: skip
HEXADECIMAL = [b"0x10", b"-0X1.8p1", b"0x.8", b"0x1p", b"0x1p-1075", b"0x1p1024", b"0x0p99", b" 1", b"(\t2", b"( 0x4"]
"""Valkey does not take these for numbers, nor blanks before one."""
LEX_ENDS = [b"-", b"+", b"[", b"(", b"[a", b"(m", b"[m3", b"(\xff", b"[1", b"", b"a", b"-\0x", b"+\0", b"-x", b"1"]


class SortedSets(Collections):
    """A run is either of sets whose members all have the score 0 or of any sets without ranges of members.

    For where scores differ, what such a range holds is left open by Redis, and depends on its skip list's coins.
    """

    numbers = (*SCORES, *HEXADECIMAL)
    weights = (b"1", b"1", b"2", b"-1", b"0", b"inf", b"-inf", b"nan", b"x")
    older = (b"ZRANK", b"ZREVRANK")
    """Whose words Redis 7.0 counts otherwise."""
    plain = tuple(field for field in FIELDS if field.lstrip(b"-").isdigit())
    """Members of plain sets: integers, since Redis 7.0 has no set that is a listpack."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lexical = self.chance(0.3)
        self.makers = self.common | {
            self.zadd: 20, self.zrem: 5, self.ask: 8, self.zincrby: 4, self.zrange: 14, self.zrange_by: 8,
            self.zrangestore: 5, self.count: 4, self.remove_range: 4, self.pop: 5, self.mpop: 4, self.blocking_pop: 1,
            self.combine: 8, self.combine_store: 6, self.zrandmember: 3, self.zscan: 3,
        }  # fmt: skip
        if not self.lexical:
            self.makers[self.sadd] = 3

    def spoiled(self, command: Arguments) -> Arguments:
        """A key in a timeout's place could let a command wait; in lexical runs, a score could become another one."""
        self.spoiling = command[0]
        untouched = {b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP", b"ZSCAN", b"SADD", *self.older}
        if self.lexical:
            untouched |= {b"ZADD", b"ZINCRBY"}
        return command if command[0] in untouched else super().spoiled(command)

    def not_soon(self, word: bytes) -> bytes:
        """Nothing here expires; and 150 members must stay different, since Redis 7.0 counts them otherwise."""
        if self.older and word == b"9223372036854775807":  # a member, which would be a score of many digits
            return b"-7"
        return word if b"Z" in self.spoiling else super().not_soon(word)

    # Words

    def score(self) -> bytes:
        if self.lexical:
            return b"0"
        chosen = self.random.random()
        if chosen < 0.5:
            return b"%d" % self.random.randint(-20, 20)
        if chosen < 0.7:
            return b"%.3f" % (self.random.randint(-800, 800) / 8)
        return self.pick(self.numbers)

    def score_end(self) -> bytes:
        word = self.score() if not self.lexical else self.pick([b"0", b"-1", b"1", b"inf", b"x"])
        return b"(" + word if self.chance(0.3) else word

    def ends(self, kind: bytes) -> Arguments:
        """In the right order twice as often as not."""
        if kind == b"LEX":
            return [self.lex_end(), self.lex_end()]
        if kind == b"SCORE":
            return [self.score_end(), self.score_end()]
        return [self.integer(), self.integer()]

    def lex_end(self) -> bytes:
        if self.chance(0.5):
            return self.pick(LEX_ENDS)
        return self.pick([b"[", b"("]) + self.member()

    def kind(self) -> bytes:
        return self.pick([b"SCORE", b"SCORE", b"RANK", b"LEX"] if self.lexical else [b"SCORE", b"RANK"])

    def limit(self) -> Arguments:
        if self.chance(0.6):
            return []
        offset = self.small_count()
        if offset.startswith(b"-") and not self.older:  # for which Valkey shows all, Redis nothing
            offset = b"0"
        return [self.option(b"LIMIT"), offset, self.small_count()]

    def small_count(self) -> bytes:
        return b"%d" % self.random.randint(-2, 6) if self.chance(0.9) else self.pick([*INTEGERS, *BAD_INTEGERS])

    def numbered_keys(self, most: int) -> Arguments:
        keys = self.some_keys(most)
        return [b"%d" % len(keys) if self.chance(0.95) else self.small_count(), *keys]

    # Commands

    def sadd(self) -> Arguments:
        return [b"SADD", self.key(), *(self.pick(self.plain) for _ in self.times(1, 2, 3))]

    def zadd(self) -> Arguments:
        command = [b"ZADD", self.key()]
        names = (b"NX", b"XX", b"GT", b"LT", b"CH", b"CH", b"INCR")
        command += [self.option(*names) for _ in self.times(0, 0, 0, 1, 1, 2, 3)]
        if self.chance(0.02):
            command.append(self.pick(NOISE))
        members = self.members()
        options = [word.partition(b"\0")[0].upper() for word in command[2:]]
        if b"INCR" in options and self.chance(0.9):
            members = members[:1]
        if self.older and b"XX" in options:  # Redis 7.0 chooses an encoding by the members that come in
            members = [member[:64] for member in members[:100]]
        scored = [word for member in members for word in (self.score(), member)]
        if self.older and (len(members) > 100 or max(map(len, members)) > 64):
            # Redis 7.0 puts the first ones into a listpack even so, which loses a zero's sign.
            scored[::2] = [b"0" if score in (b"-0", b"-0.0") else score for score in scored[::2]]
        return command + scored

    def zincrby(self) -> Arguments:
        return [b"ZINCRBY", self.key(), self.score(), self.member()]

    def zrem(self) -> Arguments:
        return [b"ZREM", self.key(), *self.members()]

    def ask(self) -> Arguments:
        name = self.pick([b"ZSCORE", b"ZMSCORE", b"ZRANK", b"ZREVRANK", b"ZCARD"])
        if name == b"ZCARD":
            return [name, self.key()]
        return [name, self.key(), *(self.members()[:3] if name == b"ZMSCORE" else [self.member()])]

    def zrange(self) -> Arguments:
        kind = self.kind()
        options: list[Arguments] = [[self.option(b"BY" + kind)]] if kind != b"RANK" else []
        options += [[], [], [self.option(b"REV")], [self.option(b"WITHSCORES")], self.limit()]
        self.random.shuffle(options)
        chosen = [word for option in options[: self.random.randint(3, 6)] for word in option]
        if self.lexical or b"BYLEX" not in chosen:
            return [b"ZRANGE", self.key(), *self.ends(kind), *chosen]
        return self.zrange()

    def zrange_by(self) -> Arguments:
        kind, reverse = self.kind(), self.pick([b"", b"REV"])
        name = b"Z%bRANGEBY%b" % (reverse, kind) if kind != b"RANK" else b"ZREVRANGE"
        scores = [self.option(b"WITHSCORES")] if self.chance(0.5) else []
        return [name, self.key(), *self.ends(kind), *scores, *self.limit()]

    def zrangestore(self) -> Arguments:
        return [b"ZRANGESTORE", self.key(), *self.zrange()[1:]]

    def count(self) -> Arguments:
        kind = self.pick([b"SCORE", b"LEX"]) if self.lexical else b"SCORE"
        return [b"ZCOUNT" if kind == b"SCORE" else b"ZLEXCOUNT", self.key(), *self.ends(kind)]

    def remove_range(self) -> Arguments:
        kind = self.kind()
        return [b"ZREMRANGEBY" + kind, self.key(), *self.ends(kind)]

    def pop(self) -> Arguments:
        return [self.pick([b"ZPOPMIN", b"ZPOPMAX"]), self.key(), *([self.small_count()] if self.chance(0.5) else [])]

    def mpop_words(self) -> Arguments:
        end = self.option(b"MIN", b"MAX") if self.chance(0.97) else self.pick(NOISE)
        count = [self.option(b"COUNT"), self.small_count()] if self.chance(0.4) else []
        return [*self.numbered_keys(3), end, *count]

    def mpop(self) -> Arguments:
        return [b"ZMPOP", *self.mpop_words()]

    def blocking_pop(self) -> Arguments:
        timeout = self.pick([b"0.001", b"0.001", b"1e-3", b"x", b"-1", b"nan", b""])
        if self.chance(0.4):
            return [b"BZMPOP", timeout, *self.mpop_words()]
        return [self.pick([b"BZPOPMIN", b"BZPOPMAX"]), *self.some_keys(3), timeout]

    def combine_words(self, *, scores: bool) -> Arguments:
        keys = self.numbered_keys(4)
        words = list(keys)
        for _ in self.times(0, 0, 1, 1, 2):
            chosen = self.random.random()
            if chosen < 0.4:
                words += [self.option(b"WEIGHTS"), *(self.pick(self.weights) for _ in keys[1:])]
            elif chosen < 0.75:
                words += [self.option(b"AGGREGATE"), self.option(b"SUM", b"MIN", b"MAX", b"AVG")]
            else:
                words.append(self.option(b"WITHSCORES") if scores or self.chance(0.3) else self.pick(NOISE))
        return words

    def combine(self) -> Arguments:
        if self.chance(0.2):
            limit = self.random.choice([[], [b"LIMIT", self.small_count()], [b"LIMIT"], [self.pick(NOISE)]])
            return [b"ZINTERCARD", *self.numbered_keys(3), *limit]
        return [self.pick([b"ZUNION", b"ZINTER", b"ZDIFF"]), *self.combine_words(scores=True)]

    def combine_store(self) -> Arguments:
        name = self.pick([b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"])
        return [name, self.key(), *self.combine_words(scores=False)]

    def zrandmember(self) -> Arguments:
        command = [b"ZRANDMEMBER", self.key()]
        if self.chance(0.7):
            command.append(self.pick(COUNTS))
            if self.chance(0.4):
                command.append(self.option(b"WITHSCORES", b"WITHSCORE"))
        return command

    def zscan(self) -> Arguments:
        return [b"ZSCAN", self.key(), b"0", *self.pattern_or_count()]


class AnyScores(SortedSets):
    """Beside Valkey: what is new since Redis 7.0, and scores of every length."""

    numbers = tuple(SCORES)
    plain = tuple(FIELDS)
    weights = (*SortedSets.weights, b"0.1", b"3.3e-9", b"1e200", b"-7.25")
    older = ()

    def score(self) -> bytes:
        if self.lexical or self.chance(0.7):
            word = super().score()
        elif self.chance(0.3):
            word = self.number()
        else:
            word = b"%r" % self.random.uniform(-1, 1) ** self.random.randint(1, 40)
        return word if b"x" not in word.lower() and word[:1] not in BLANKS else b"1"

    def ask(self) -> Arguments:
        command = super().ask()
        if command[0] in (b"ZRANK", b"ZREVRANK"):
            command += self.random.choice([[], [b"WITHSCORE"], [self.option(b"WITHSCORE", b"WITHSCORES"), b"x"]])
        return command

    def zscan(self) -> Arguments:
        return [*super().zscan(), *self.random.choice([[], [self.option(b"NOSCORES")]])]
