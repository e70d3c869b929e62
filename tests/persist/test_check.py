"""What `ringkeeper check-rdb` and `check-aof` say of files, sound and damaged, and that fixing keeps what is whole."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from persist.rdb_files import LIMITS
from persist.test_aof import SOME
from persist.test_rdb import HEAD, STREAM, signed, string
from real_redis import real_redis

from ringkeeper.persist.aof import Manifest, Part
from ringkeeper.persist.rdb import RdbWriter
from ringkeeper.resp.writer import encode_command
from ringkeeper.types.set import Set
from ringkeeper_operator.cli import main

WHOLE = b"".join(map(encode_command, SOME))


def run(*words: str | Path, answer: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words], input=answer)
    return done.exit_code, done.output


def snapshot() -> bytes:
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    writer.aux([(b"redis-ver", b"7.2.0")])
    writer.database(0, 2, 1)
    writer.entry(b"a", b"text", 4_000_000_000_000)
    members = Set(LIMITS)
    members.add(b"m")
    writer.entry(b"b", members)
    writer.database(3, 1, 0)
    writer.entry(b"c", b"text")
    writer.end()
    return b"".join(chunks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An append-only file of a base and two increments."""
    parts = [Part("x.1.base.rdb", 1, "b"), Part("x.1.incr.aof", 1, "i"), Part("x.2.incr.aof", 2, "i")]
    (tmp_path / "x.manifest").write_bytes(Manifest(parts[0], tuple(parts[1:])).encode())
    (tmp_path / parts[0].name).write_bytes(snapshot())
    for part in parts[1:]:
        (tmp_path / part.name).write_bytes(WHOLE)
    return tmp_path


def test_a_sound_snapshot_is_described(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot())
    code, text = run("check-rdb", path)
    assert code == 0
    for words in ("RDB version 10", "redis-ver          7.2.0", "strings            2", "sets               1",
                  "with an expiry     1", "database 3         1"):  # fmt: skip
        assert words in text
    assert text.endswith("\nsound\n")
    code, text = run("check-rdb", path, "--json")
    facts = json.loads(text)
    assert facts["sound"]
    assert facts["checksum"]
    assert facts["keys"] == {"string": 2, "set": 1}
    assert facts["databases"] == {"0": 2, "3": 1}


def test_a_damaged_snapshot_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    data = bytearray(snapshot())
    data[-3] ^= 1
    path.write_bytes(data)
    code, text = run("check-rdb", path)
    assert code == 1
    assert f"damaged at byte {len(data)}: the file says" in text
    facts = json.loads(run("check-rdb", path, "--json")[1])
    assert facts["at"] == len(data)
    assert not facts["sound"]
    path.write_bytes(b"no snapshot at all")
    assert "which no RDB file does" in run("check-rdb", path)[1]
    assert run("check-rdb", tmp_path / "none")[0] == 2


def test_what_is_not_supported_is_named_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(signed(HEAD + (b"\x15" + string(b"log") + STREAM) * 30 + b"\0" + string(b"k") + string(b"v")))
    code, text = run("check-rdb", path)
    assert code == 1
    assert "not supported      stream log, at byte 9" in text
    assert "and 10 more" in text
    assert "a node refuses it" in text


def test_a_sound_append_only_file_is_described(folder: Path) -> None:
    for path in (folder, folder / "x.manifest"):
        code, text = run("check-aof", path)
        assert code == 0
        assert "a snapshot of 3 keys, 0 commands" in text
        assert "x.2.incr.aof: " in text
        assert text.endswith("\nsound\n")
    assert run("check-aof", folder / "x.1.incr.aof")[0] == 0


@pytest.mark.parametrize("rest", [b"*1\r\n$4\r\nPI", b"*1\r\n$5\r\nMULTI\r\n" + WHOLE, bytes(100), b"rubbish"])
def test_an_end_that_cannot_be_read_is_cut_off_on_request(folder: Path, rest: bytes) -> None:
    path = folder / "x.2.incr.aof"
    path.write_bytes(WHOLE + rest)
    code, text = run("check-aof", folder)
    assert code == 1
    assert "`--fix` cuts off" in text
    code, text = run("check-aof", folder, "--fix", answer="n\n")
    assert path.read_bytes() == WHOLE + rest
    assert f"cut off the last {len(rest)} of" in text
    code, text = run("check-aof", folder, "--fix", "--yes")
    assert code == 0
    assert path.read_bytes() == WHOLE
    assert f"{len(rest)} bytes were cut off" in text
    assert run("check-aof", folder)[0] == 0


def test_damage_before_the_last_file_is_not_fixed(folder: Path) -> None:
    for name, data in (("x.1.incr.aof", WHOLE[:-3]), ("x.1.base.rdb", snapshot()[:-9]), ("x.1.base.rdb", b"")):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        code, text = run("check-aof", folder, "--fix", "--yes")
        assert code == 1
        assert "cannot be fixed" in text
        assert (folder / name).read_bytes() == data
        (folder / name).write_bytes(kept)
    (folder / "x.1.incr.aof").unlink()
    assert "No such file" in run("check-aof", folder)[1]
    (folder / "x.manifest").write_bytes(b"file a\n")
    assert "the manifest is damaged at byte 0" in run("check-aof", folder)[1]


def test_redis_agrees_about_its_own_files(tmp_path: Path) -> None:
    with real_redis(tmp_path, "redis", "--appendonly", "yes") as port:
        subprocess.run(["redis-cli", "-p", str(port), "SET", "key", "value"], capture_output=True, check=True)
    code, text = run("check-aof", tmp_path / "appendonlydir", "--json")
    facts = json.loads(text)
    assert code == 0
    assert facts["parts"][-1]["commands"] == 2
