"""Redis's inline form: a line that a person types into telnet, cut into arguments.

The rules are those of Redis's `sdssplitargs`: blanks separate; `"..."` knows `\\n \\r \\t \\b \\a \\xHH` and takes any
other escaped byte as itself; `'...'` knows only `\\'`; a closing quote must be followed by a blank or the end; outside
of quotes a backslash is an ordinary byte. A vertical tab or form feed is a blank before an argument, not within one.
"""

from __future__ import annotations

import re

BLANKS = re.compile(rb"[ \t\n\v\f\r]*")
PLAIN = re.compile(rb"[^ \t\n\r\"']+")
DOUBLE_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(?=[ \t\n\v\f\r]|\Z)', re.DOTALL)
SINGLE_QUOTED = re.compile(rb"'((?:[^'\\]++|\\'|\\)*+)'(?=[ \t\n\v\f\r]|\Z)")
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
NAMED_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
NEEDS_RULES = re.compile(rb"[\"'\v\f]")


def split_inline(line: bytes) -> list[bytes] | None:
    """The arguments of a line without its end, none for a blank one; None if its quotes are unbalanced. O(n)."""
    if NEEDS_RULES.search(line) is None:
        return line.split()
    arguments = []
    position = _skip_blanks(line, 0)
    while position < len(line):
        argument = bytearray()
        while position < len(line) and line[position] not in b" \t\n\r":
            if match := PLAIN.match(line, position):
                argument += match[0]
            elif match := DOUBLE_QUOTED.match(line, position):
                argument += ESCAPE.sub(_unescape, match[1])
            elif match := SINGLE_QUOTED.match(line, position):
                argument += match[1].replace(b"\\'", b"'")
            else:
                return None
            position = match.end()
            if match.re is not PLAIN:
                break
        arguments.append(bytes(argument))
        position = _skip_blanks(line, position)
    return arguments


def _skip_blanks(line: bytes, position: int) -> int:
    match = BLANKS.match(line, position)
    assert match is not None
    return match.end()


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 16)])
    return NAMED_ESCAPES.get(match[2], match[2])
