"""The longest common subsequence of two strings, with the runs in which they match."""

from __future__ import annotations

from array import array


def longest_common_subsequence(left: bytes, right: bytes) -> tuple[bytes, list[tuple[int, int, int]]]:
    """The subsequence, and its matches as (position in left, position in right, length), last match first.

    Dynamic programming, O(N·M) in time and, at four bytes a cell, in memory; ties are broken as Redis breaks them.
    """
    width = len(right) + 1
    table = [array("I", bytes(4 * width))]
    for byte in left:
        above = table[-1]
        row = array("I", bytes(4 * width))
        for j in range(1, width):
            if byte == right[j - 1]:
                row[j] = above[j - 1] + 1
            else:
                row[j] = row[j - 1] if row[j - 1] > above[j] else above[j]
        table.append(row)
    i, j = len(left), len(right)
    common = bytearray()
    matches: list[tuple[int, int, int]] = []
    run = 0
    while i > 0 and j > 0:
        if left[i - 1] == right[j - 1]:
            common.append(left[i - 1])
            i, j, run = i - 1, j - 1, run + 1
            continue
        if run:
            matches.append((i, j, run))
            run = 0
        if table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    if run:
        matches.append((i, j, run))
    common.reverse()
    return bytes(common), matches
