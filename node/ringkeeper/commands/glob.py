"""Redis's glob patterns: `*`, `?`, `[a-z]`, `[^…]` and `\\` for the character behind it (`stringmatchlen`).

A pattern is read once, into one code for each byte that it consumes, and matched without recursion: only the last `*`
met is ever gone back to, so a match costs at most O(pattern · key), however many stars a client writes.
"""

from __future__ import annotations

from functools import lru_cache

import cython

STAR = cython.declare(cython.int, -1)
ANY = cython.declare(cython.int, 256)
"""Codes below it are the byte itself, codes above it a class: its number among the pattern's classes follows."""


@cython.final
@cython.cclass
class Glob:
    """A pattern that matches whole keys. Whatever the pattern, only the empty one matches the empty key."""

    codes: list[int]
    classes: list[bytes]
    empty: cython.bint

    def __init__(self, pattern: bytes) -> None:
        self.codes = []
        self.classes = []
        self.empty = not pattern
        index = 0
        while index < len(pattern):
            char = pattern[index]
            if char == 0x2A:  # *
                if not self.codes or self.codes[-1] != STAR:
                    self.codes.append(STAR)
            elif char == 0x3F:  # ?
                self.codes.append(ANY)
            elif char == 0x5B:  # [
                members, index = read_class(pattern, index + 1)
                self.codes.append(ANY + 1 + len(self.classes))
                self.classes.append(members)
            else:
                if char == 0x5C and index + 1 < len(pattern):  # \
                    index += 1
                    char = pattern[index]
                self.codes.append(char)
            index += 1

    def match(self, key: bytes) -> bool:
        """Whether the whole key is such a one."""
        at: cython.Py_ssize_t = 0
        length: cython.Py_ssize_t = len(key)
        step: cython.Py_ssize_t = 0
        steps: cython.Py_ssize_t = len(self.codes)
        resume_step: cython.Py_ssize_t = -1
        resume_at: cython.Py_ssize_t = 0
        code: cython.int
        byte: cython.int
        if length == 0:
            return bool(self.empty)
        while at < length:
            if step < steps:
                code = self.codes[step]
                if code == STAR:
                    if step + 1 == steps:
                        return True
                    step += 1
                    resume_step, resume_at = step, at
                    continue
                byte = key[at]
                if code in (byte, ANY) or (code > ANY and self.classes[code - ANY - 1][byte]):
                    at += 1
                    step += 1
                    continue
            if resume_step < 0:
                return False
            resume_at += 1
            step, at = resume_step, resume_at
        while step < steps and self.codes[step] == STAR:
            step += 1
        return bool(step == steps)


def read_class(pattern: bytes, index: int) -> tuple[bytes, int]:
    """The class behind a `[`, a byte of 0 or 1 for each member, and the index of its last byte in the pattern.

    One that is never closed reaches to the end of the pattern.
    """
    negated = pattern[index : index + 1] == b"^"
    index += negated
    members = bytearray(256)
    while index < len(pattern) and pattern[index] != 0x5D:  # ]
        if pattern[index] == 0x5C and index + 1 < len(pattern):  # \
            index += 1
            members[pattern[index]] = 1
        elif index + 2 < len(pattern) and pattern[index + 1] == 0x2D:  # -
            low, high = sorted((signed(pattern[index]), signed(pattern[index + 2])))
            for byte in range(low, high + 1):
                members[byte & 0xFF] = 1
            index += 2
        else:
            members[pattern[index]] = 1
        index += 1
    return bytes(1 - member for member in members) if negated else bytes(members), index


def signed(byte: int) -> int:
    """Ranges count in C's `char`, which is signed where Redis usually runs."""
    return byte - 256 if byte >= 128 else byte


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes) -> Glob:
    return Glob(pattern)


def matches(pattern: bytes, key: bytes) -> bool:
    return compile_glob(pattern).match(key)
