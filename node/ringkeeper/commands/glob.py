"""Redis's glob patterns: `*`, `?`, `[a-z]`, `[^…]` and `\\` for the character behind it."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern that matches whole keys. Runs of `*` are one, and atomic groups keep it from backtracking for long."""
    out: list[bytes] = []
    index = 0
    while index < len(pattern):
        char = pattern[index : index + 1]
        if char == b"*":
            if out[-1:] != [b".*?"]:
                out.append(b".*?")
        elif char == b"?":
            out.append(b".")
        elif char == b"[":
            piece, index = _character_class(pattern, index + 1)
            out.append(piece)
        elif char == b"\\" and index + 1 < len(pattern):
            index += 1
            out.append(re.escape(pattern[index : index + 1]))
        else:
            out.append(re.escape(char))
        index += 1
    return re.compile(_atomic(out), re.DOTALL)


def _atomic(pieces: list[bytes]) -> bytes:
    """All but the last star may take the shortest match for good, which is enough for a glob."""
    stars = [i for i, piece in enumerate(pieces) if piece == b".*?"]
    if not stars:
        return b"".join(pieces) + b"\\Z"
    result = b"".join(pieces[: stars[0]])
    for here, following in pairwise(stars):
        result += b"(?>.*?" + b"".join(pieces[here + 1 : following]) + b")"
    return result + b".*" + b"".join(pieces[stars[-1] + 1 :]) + b"\\Z"


def _character_class(pattern: bytes, index: int) -> tuple[bytes, int]:
    """The class that starts behind `[`, and the index of its last byte; an unclosed one reaches to the end."""
    negated = pattern[index : index + 1] == b"^"
    index += negated
    members: set[int] = set()
    while index < len(pattern) and pattern[index : index + 1] != b"]":
        if pattern[index : index + 1] == b"\\" and index + 1 < len(pattern):
            index += 1
            members.add(pattern[index])
        elif index + 2 < len(pattern) and pattern[index + 1 : index + 2] == b"-":
            low, high = sorted((pattern[index], pattern[index + 2]))
            members.update(range(low, high + 1))
            index += 2
        else:
            members.add(pattern[index])
        index += 1
    chosen = set(range(256)) - members if negated else members
    if not chosen:
        return b"(?!)", index
    return b"[" + b"".join(b"\\x%02x" % member for member in sorted(chosen)) + b"]", index


def matches(pattern: bytes, key: bytes) -> bool:
    return compile_glob(pattern).match(key) is not None
