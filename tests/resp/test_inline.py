import pytest

from ringkeeper.resp.inline import split_inline


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b"", []),
        (b" \t\r\v\f ", []),
        (b"PING", [b"PING"]),
        (b"  SET  a\tb ", [b"SET", b"a", b"b"]),
        (b'SET "a b" \'c d\'', [b"SET", b"a b", b"c d"]),
        (b'"\\x41\\xfF\\n\\r\\t\\b\\a\\q\\"\\\\"', [b'A\xff\n\r\t\b\aq"\\']),
        (b'"\\x4"', [b"x4"]),
        (b"'it\\'s \\n'", [b"it's \\n"]),
        (b"a\\nb", [b"a\\nb"]),
        (b'a"b c"', [b"ab c"]),
        (b'""', [b""]),
        (b"'' \"\"", [b"", b""]),
        (b'"a"\vb', [b"a", b"b"]),
        (b'a\vb "c"', [b"a\vb", b"c"]),
        (b'a\vb c', [b"a\vb", b"c"]),
        (b"\xff\xfe", [b"\xff\xfe"]),
    ],
)  # fmt: skip
def test_a_line_is_cut_by_the_rules_of_redis(line: bytes, arguments: list[bytes]) -> None:
    assert split_inline(line) == arguments


@pytest.mark.parametrize("line", [b'"', b"'", b'a "b', b"a 'b\\'", b'"a"b', b"'a'b", b'"a\\"', b'"a""b"', b'a"b"c'])
def test_unbalanced_quotes_and_text_right_behind_them_are_refused(line: bytes) -> None:
    assert split_inline(line) is None


def test_a_long_line_of_quotes_takes_linear_time() -> None:
    assert split_inline(b"'" + b"\\'" * 30_000 + b"'") == [b"'" * 30_000]
    assert split_inline(b'"' + b"\\\\" * 30_000) is None
    assert split_inline(b"'a' " * 15_000) == [b"a"] * 15_000
