"""The last bytes of the stream, read by several at their own pace."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.replication.backlog import Backlog


def test_what_was_appended_is_read_from_any_offset() -> None:
    backlog = Backlog(1000, 50)
    backlog.append(b"first")
    backlog.append(b"second")
    assert (backlog.start, backlog.end) == (50, 61)
    assert backlog.read_all(50) == b"firstsecond"
    assert backlog.read(53, 4) == b"stse"
    assert backlog.read(61, 100) == b""


def test_what_is_older_than_its_size_goes_unless_somebody_needs_it() -> None:
    backlog = Backlog(100_000, 0)
    for _ in range(10):
        backlog.append(bytes(50_000))
    backlog.trim(200_000)
    assert backlog.start == 200_000
    backlog.trim(500_000)
    assert backlog.start == 400_000
    assert backlog.holds(400_000)
    assert not backlog.holds(399_999)
    assert not backlog.holds(500_001)


@settings(deadline=None)
@given(
    st.integers(0, 10**12),
    st.integers(1, 100_000),
    st.lists(st.one_of(st.integers(1, 300), st.integers(10_000, 70_000)), max_size=60),
)
def test_it_holds_the_end_of_the_stream(offset: int, size: int, lengths: list[int]) -> None:
    backlog = Backlog(size, offset)
    stream = b""
    for number, length in enumerate(lengths):
        data = bytes([number % 256]) * length
        stream += data
        backlog.append(bytearray(data) if number % 2 else data)
        backlog.trim(backlog.end)
        backlog.check()
    assert backlog.end == offset + len(stream)
    assert backlog.length >= min(size, len(stream))
    assert backlog.read_all(backlog.start) == stream[backlog.start - offset :]
