"""Random rules for users and random commands to try against them. Deterministic by seed."""

from __future__ import annotations

import random

from ringkeeper.commands.table import CATEGORIES, Command

Words = list[bytes]

KEYS = [b"a", b"ab", b"abc", b"b", b"k:1", b"k:2", b"x*", b"\xff\x00", b""]
KEY_PATTERNS = [b"*", b"a*", b"a", b"ab", b"k:*", b"?", b"[ab]*", b"x\\*", b"", b"k:1", b"*b*", b"a**"]
CHANNELS = [b"news", b"news:1", b"n*", b"a", b"*", b""]
CHANNEL_PATTERNS = [b"*", b"news", b"news:*", b"n*", b"a", b""]
PASSWORDS = [b"secret", b"other", b"", b"\x00\xff"]
HASHES = [b"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", b"0" * 64, b"F" * 64, b"12"]
WORDS = [
    b"on", b"off", b"nopass", b"resetpass", b"reset", b"allkeys", b"resetkeys", b"allchannels", b"resetchannels",
    b"allcommands", b"nocommands", b"clearselectors", b"ON", b"AllKeys", b"nonsense", b"", b"~", b"%", b"&", b"+", b"-",
    b"%R", b"%RR~a", b"%X~a", b"%~a", b"~a b", b"&a b", b"+@", b"-@nope", b"+nope", b"-nope", b"+get|", b"+|", b"(",
    b")", b"()",
    b"(on)", b"(~a", b"~x)", b"+config|get|x", b"-select|0", b"+a|b|c", b"-config|", b"on\0z", b"+get\0z", b"*",
]  # fmt: skip


class Generator:
    def __init__(self, seed: int, table: dict[str, Command]) -> None:
        self.random = random.Random(seed)
        self.table = table
        self.names = sorted(table)
        self.plain = [name for name in self.names if "|" not in name and not table[name].subcommands]

    def pick(self, choices: Words) -> bytes:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def cased(self, word: bytes) -> bytes:
        return word.upper() if self.chance(0.2) else word

    # Rules

    def rules(self) -> Words:
        """Those of one ACL SETUSER; at times with a fault."""
        rules = [self.rule() for _ in range(self.random.choice([1, 1, 2, 3, 5, 8]))]
        if self.chance(0.08):
            rules.insert(self.random.randint(0, len(rules)), self.pick(WORDS))
        return rules

    def rule(self) -> bytes:
        chosen = self.random.random()
        if chosen < 0.45:
            return self.command_rule()
        if chosen < 0.65:
            return self.key_rule()
        if chosen < 0.75:
            return self.channel_rule()
        if chosen < 0.83:
            return self.selector()
        if chosen < 0.9:
            return self.password_rule()
        return self.cased(
            self.pick([b"resetkeys", b"resetchannels", b"clearselectors", b"reset", b"on", b"off", b"nopass"])
        )

    def command_rule(self) -> bytes:
        sign = self.pick([b"+", b"+", b"-"])
        chosen = self.random.random()
        if chosen < 0.35:
            return sign + b"@" + self.cased(self.random.choice(CATEGORIES).encode())
        if chosen < 0.45:
            return sign + b"@all"
        if chosen < 0.55:
            return b"+" + self.random.choice(self.plain).encode() + b"|" + self.pick([b"a", b"0", b"GET", b"ab"])
        return sign + self.cased(self.random.choice(self.names).encode())

    def key_rule(self) -> bytes:
        return self.pick([b"~", b"~", b"%R~", b"%W~", b"%RW~", b"%w~"]) + self.pick(KEY_PATTERNS)

    def channel_rule(self) -> bytes:
        return b"&" + self.pick(CHANNEL_PATTERNS)

    def selector(self) -> bytes:
        makers = [self.command_rule, self.key_rule, self.channel_rule]
        return b"(" + b" ".join(self.random.choice(makers)() for _ in range(self.random.randint(0, 5))) + b")"

    def password_rule(self) -> bytes:
        if self.chance(0.6):
            return self.pick([b">", b">", b"<"]) + self.pick(PASSWORDS)
        return self.pick([b"#", b"#", b"!"]) + self.pick(HASHES)

    # Commands

    def command(self) -> Words:
        """Any command with the right number of words, some of which are its keys."""
        name = self.random.choice(self.names)
        command = self.table[name]
        words = [self.cased(word) for word in name.encode().split(b"|")]
        count = abs(command.arity) + (0 if command.arity >= 0 else self.random.choice([0, 0, 1, 2, 3]))
        while len(words) < count:
            words.append(self.word(command, len(words)))
        return words

    def word(self, command: Command, position: int) -> bytes:
        if any(spec.counted and spec.begin == position for spec in command.key_specs):
            return self.pick([b"1", b"2", b"1", b"9", b"0", b"-1", b"x"])
        if command.group == "pubsub":
            return self.pick(CHANNELS)
        return self.pick([*KEYS, *KEYS, b"GET", b"1", b"STORE", b"EX"])
