import random

import pytest
from resp import fuzz


def test_a_few_thousand_mutated_streams_find_nothing() -> None:
    assert list(fuzz.fuzz(3_000, seed=random.SystemRandom().randrange(1 << 32))) == []


def test_the_fuzzer_sees_a_reader_that_depends_on_how_the_stream_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def drain(reader: fuzz.CommandReader, found: list[object]) -> None:
        found.append(reader.next())

    monkeypatch.setattr(fuzz, "drain_commands", drain)
    assert next(fuzz.fuzz(100, seed=0), None) is not None
