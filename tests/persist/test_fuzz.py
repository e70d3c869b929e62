import random
from pathlib import Path

import pytest
from persist import fuzz, fuzz_files
from persist.corpus import every_form, signed
from persist.real_dumps import real_dumps

from ringkeeper.persist import payload


def test_what_real_servers_dump_is_read_and_no_wound_does_harm(tmp_path: Path) -> None:
    dumps = real_dumps(tmp_path)
    assert len(dumps) > 50
    assert [fuzz.examine(dump) for dump in dumps] == [None] * len(dumps)
    corpus = [example.payload for example in every_form()] + dumps
    assert list(fuzz.fuzz(3_000, random.SystemRandom().randrange(1 << 32), corpus)) == []


def test_the_fuzzer_sees_an_error_that_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "Corrupt", ZeroDivisionError)
    assert next(fuzz.fuzz(100, 0, [example.payload for example in every_form()]), None) is not None


def test_the_fuzzer_sees_a_value_that_takes_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MOST_BYTES", 0)
    assert fuzz.examine(signed(b"\2\x41\0" + b"".join(b"\2%02x" % i for i in range(256)))) is not None


def test_no_wound_of_a_file_does_harm() -> None:
    assert list(fuzz_files.fuzz(3_000, random.SystemRandom().randrange(1 << 32))) == []
