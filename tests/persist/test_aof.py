"""The append-only file's parts: manifests, commands, torn ends; beside a real Redis and its checker."""

import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
import redis
from persist.datasets import commands
from persist.rdb_files import Bytes, read_file
from real_redis import real_redis

from ringkeeper.persist.aof import Damaged, LogReader, Manifest, Part, Torn, annotation, decode, facts_of
from ringkeeper.resp.writer import encode_command

SOME = [[b"SELECT", b"0"], [b"SET", b"key", b""], [b"RPUSH", b"list", b"\r\n$3\r\n*1", bytes(range(256))], [b"PING"]]


def reader_of(data: bytes) -> LogReader:
    return LogReader(Bytes(data), len(data))


def read_all(data: bytes) -> list[object]:
    reader = reader_of(data)
    found: list[object] = []
    while (item := reader.next()) is not None:
        found.append(item)
    return found


# Manifests


def test_a_manifest_comes_back() -> None:
    manifest = Manifest(
        Part("appendonly.aof.2.base.rdb", 2, "b"),
        (Part("appendonly.aof.5.incr.aof", 5, "i"), Part('a "strange" näme\n', 6, "i")),
        (Part("appendonly.aof.1.base.rdb", 1, "h"),),
    )
    assert decode(manifest.encode()) == manifest
    assert decode(b"# a comment\n" + manifest.encode()) == manifest
    assert [part.number for part in manifest.parts] == [2, 5, 6]


@pytest.mark.parametrize(
    ("text", "words", "at"),
    [
        (b"", "the manifest is empty", 0),
        (b"file a seq 1 type b", "the last line has no end", 0),
        (b"file a seq 1 type b\nfile b seq 2 type b\n", "there is a second base", 20),
        (b"file a seq 2 type i\nfile b seq 2 type i\n", "increment 2 stands behind increment 2", 20),
        (b"file ../a seq 1 type b\n", "is no name of a file", 0),
        (b"file a seq 0 type b\n", "no number above 0", 0),
        (b"file a seq 1 type x\n", "no type of", 0),
        (b"seq 1 type b\n", "names no file", 0),
        (b'file "a seq 1 type b\n', "names no file", 0),
        (b"\n", "names no file", 0),
        (b"file " + b"a" * 1100 + b" seq 1 type b\n", "a line has 1,119 bytes", 0),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(text: bytes, words: str, at: int) -> None:
    with pytest.raises(Damaged, match=words) as refused:
        decode(text)
    assert refused.value.at == at


# Commands


def test_commands_and_annotations_come_back() -> None:
    note = annotation([("term", 3), ("id", "f" * 40), ("offset", 12345)])
    data = b"#TS:1628217473\r\n" + b"".join(map(encode_command, SOME)) + note
    assert read_all(data) == [b"TS:1628217473", *SOME, note[1:-2]]
    assert facts_of(note[1:-2]) == {"term": "3", "id": "f" * 40, "offset": "12345"}
    assert facts_of(b"TS:1628217473") == {}


def test_a_file_that_was_cut_gives_all_that_is_whole() -> None:
    pieces = [encode_command(command) for command in SOME]
    ends = [sum(map(len, pieces[:count])) for count in range(len(pieces) + 1)]
    data = b"".join(pieces)
    for size in range(len(data)):
        reader = reader_of(data[:size])
        whole = sum(end <= size for end in ends) - 1
        assert [reader.next() for _ in range(whole)] == SOME[:whole]
        if size in ends:
            assert reader.next() is None
            continue
        with pytest.raises(Torn) as torn:
            reader.next()
        assert torn.value.at == ends[whole]


def test_zeros_at_the_end_were_never_written_and_others_are_damage() -> None:
    data = encode_command(SOME[1])
    for zeros in (1, 5000, 300_000):
        reader = reader_of(data + bytes(zeros))
        assert reader.next() == SOME[1]
        with pytest.raises(Torn, match="zeros") as torn:
            reader.next()
        assert torn.value.at == len(data)
    reader = reader_of(data + bytes(5) + data)
    reader.next()
    with pytest.raises(Damaged, match="begins no command") as damaged:
        reader.next()
    assert type(damaged.value) is Damaged


@pytest.mark.parametrize(
    ("data", "words", "at"),
    [
        (b"PING\r\n", "b'P' begins no command", 0),
        (b"*0\r\n", "b'0' is no number", 0),
        (b"*-1\r\n", "b'-1' is no number", 0),
        (b"*1\r\n:4\r\nPING\r\n", "b':' begins no word, in the command that begins at byte 0", 4),
        (b"*1\r\n$4\r\nPINGxx*1\r\n", "a word ends with b'xx'", 12),
        (b"*1\r\n$600000000\r\n" + b"x" * 99, "is no number", 4),
        (b"*1\r\n$" + b"1" * 90 + b"\r\n" * 99, "a line has more than 66 bytes", 5),
        (b"#" + b"x" * 5000, "a line has more than 1024 bytes", 1),
    ],
)
def test_damage_is_told_with_its_place(data: bytes, words: str, at: int) -> None:
    with pytest.raises(Damaged, match=words) as refused:
        reader_of(data).next()
    assert type(refused.value) is Damaged
    assert abs(refused.value.at - at) <= 1


def test_an_announced_length_takes_no_memory_before_its_bytes_are_there() -> None:
    source = Bytes(b"*2\r\n$3\r\nSET\r\n$500000000\r\nxx")
    with pytest.raises(Torn):
        LogReader(source, len(source.data)).next()
    assert source.longest <= len(source.data)
    source = Bytes(b"*1000000\r\n$3\r\nSET\r\n")
    with pytest.raises(Torn):
        LogReader(source, len(source.data)).next()


def test_words_longer_than_the_window_and_at_its_edge() -> None:
    texts = [Random(seed).randbytes(size) for seed, size in enumerate([1_000_000, 262_143, 262_144, 262_145, 3])]
    wanted = [[b"SET", b"%d" % number, text] for number, text in enumerate(texts * 2)]
    assert read_all(b"".join(map(encode_command, wanted))) == wanted


def test_what_a_real_redis_wrote_is_read(tmp_path: Path) -> None:
    sent = commands(Random(3), keys=60)
    for name in ("redis", "valkey"):
        folder = tmp_path / name
        folder.mkdir()
        with real_redis(folder, name, "--appendonly", "yes", "--aof-timestamp-enabled", "yes") as port:
            client = redis.Redis(port=port, single_connection_client=True)
            for command in sent:
                client.execute_command(*command)
            client.config_set("appendfsync", "always")
            client.set("last", "one")
        manifest = decode((folder / "appendonlydir" / "appendonly.aof.manifest").read_bytes())
        assert manifest.base is not None
        assert read_file((folder / "appendonlydir" / manifest.base.name).read_bytes()).keys == {}
        found = [
            item
            for part in manifest.increments
            for item in read_all((folder / "appendonlydir" / part.name).read_bytes())
        ]
        assert [item for item in found if isinstance(item, bytes) and item.startswith(b"TS:")]
        written = [item for item in found if isinstance(item, list)]
        assert written[-1] == [b"set", b"last", b"one"] or written[-1] == [b"SET", b"last", b"one"]
        assert len(written) > len(sent) / 2


def test_the_checker_of_redis_finds_no_fault(tmp_path: Path) -> None:
    checker = shutil.which("redis-check-aof")
    assert checker, "apt-get install redis-tools"
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    name = "appendonly.aof.1.incr.aof"
    note = annotation([("term", 2**31), ("id", "a" * 40), ("offset", 2**62)])
    (folder / name).write_bytes(note + b"".join(map(encode_command, SOME[:3])))
    path = folder / "appendonly.aof.manifest"
    path.write_bytes(Manifest(None, (Part(name, 1, "i"),)).encode())
    found = subprocess.run([checker, path], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    with real_redis(tmp_path, "redis", "--appendonly", "yes") as port:
        assert redis.Redis(port=port).llen("list") == 2
