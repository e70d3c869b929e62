import math

import pytest

from ringkeeper.resp.values import (
    ARRAY,
    MAP,
    NULL_ARRAY,
    OK,
    SET,
    Bulks,
    Push,
    Raw,
    ReplyError,
    SetReply,
    Simple,
    Verbatim,
)
from ringkeeper.resp.writer import encode_command, write


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "resp2", "resp3"),
    [
        (b"a\r\nb", b"$4\r\na\r\nb\r\n", None),
        (b"", b"$0\r\n\r\n", None),
        (b"x" * 2000, b"$2000\r\n" + b"x" * 2000 + b"\r\n", None),
        (bytearray(b"ab"), b"$2\r\nab\r\n", None),
        ("é", b"$2\r\n\xc3\xa9\r\n", None),
        (Text("a"), b"$1\r\na\r\n", None),
        (0, b":0\r\n", None),
        (1023, b":1023\r\n", None),
        (1024, b":1024\r\n", None),
        (-1, b":-1\r\n", None),
        ((1 << 63) - 1, b":9223372036854775807\r\n", None),
        (-(1 << 63), b":-9223372036854775808\r\n", None),
        (1 << 63, b"$19\r\n9223372036854775808\r\n", b"(9223372036854775808\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (OK, b"+OK\r\n", None),
        (Simple(b""), b"+\r\n", None),
        ([], b"*0\r\n", None),
        ((1, [b"a", None]), b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n", b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (3.0, b"$1\r\n3\r\n", b",3\r\n"),
        (0.1, b"$3\r\n0.1\r\n", b",0.1\r\n"),
        (1e300, b"$6\r\n1e+300\r\n", b",1e+300\r\n"),
        (math.inf, b"$3\r\ninf\r\n", b",inf\r\n"),
        (-math.inf, b"$4\r\n-inf\r\n", b",-inf\r\n"),
        (-math.nan, b"$3\r\nnan\r\n", b",nan\r\n"),
        ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        ({}, b"*0\r\n", b"%0\r\n"),
        (SetReply([1]), b"*1\r\n:1\r\n", b"~1\r\n:1\r\n"),
        (Push([b"a"]), b"*1\r\n$1\r\na\r\n", b">1\r\n$1\r\na\r\n"),
        (Verbatim(b"hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
        (Bulks(MAP, 2, b"$1\r\na\r\n$0\r\n\r\n"), b"*2\r\n$1\r\na\r\n$0\r\n\r\n", b"%1\r\n$1\r\na\r\n$0\r\n\r\n"),
        (Bulks(SET, 1, b"$1\r\na\r\n"), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
        (Bulks(ARRAY, 1, b"$1\r\na\r\n"), b"*1\r\n$1\r\na\r\n", None),
        (Raw(b"*0\r\n"), b"*0\r\n", None),
        ([ReplyError("ERR a\r\nb\n")], b"*1\r\n-ERR a  b\r\n", None),
    ],
)
def test_every_value_of_the_table_is_rendered_in_both_protocols(
    value: object, resp2: bytes, resp3: bytes | None
) -> None:
    out = bytearray(b"before")
    write(out, value, 2)
    assert bytes(out) == b"before" + resp2
    out = bytearray()
    write(out, value, 3)
    assert bytes(out) == (resp2 if resp3 is None else resp3)


@pytest.mark.parametrize("value", [object(), {1, 2}, memoryview(b"a"), 1j, [object()]])
def test_a_value_that_resp_cannot_carry_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="RESP cannot carry"):
        write(bytearray(), value, 3)


def test_a_byte_that_was_not_text_comes_back_in_an_error() -> None:
    out = bytearray()
    write(out, ReplyError(b"ERR got '\xff'".decode("utf-8", "surrogateescape")), 2)
    assert bytes(out) == b"-ERR got '\xff'\r\n"


def test_a_command_is_encoded_as_an_array_of_bulk_strings() -> None:
    assert encode_command([b"GET", b"x" * 1024]) == b"*2\r\n$3\r\nGET\r\n$1024\r\n" + b"x" * 1024 + b"\r\n"
    assert encode_command((b"PING",)) == b"*1\r\n$4\r\nPING\r\n"
