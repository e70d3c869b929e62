"""RDB files beside real servers: theirs are read here, ours are read there, and damage is told with its place."""

import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
import redis
from persist.corpus import FAR, contents, every_form, length, string
from persist.datasets import DATABASES, commands
from persist.rdb_files import LIMITS, Bytes, damage, read_file, reader_of, rewritten
from persist.test_writing import COMPILED
from real_redis import real_redis

from ringkeeper.persist.crc64 import crc64
from ringkeeper.persist.files import FileSource
from ringkeeper.persist.payload import restore
from ringkeeper.persist.rdb import RdbReader, RdbWriter, Record, Unsupported
from ringkeeper.persist.reader import Reader
from ringkeeper.types.hash import Hash

HEAD = b"REDIS0010"
SERVERS = ("redis", "valkey")


def signed(body: bytes) -> bytes:
    return body + b"\xff" + crc64(body + b"\xff").to_bytes(8, "little")


def filled(client: redis.Redis, seed: int) -> None:
    for command in commands(Random(seed), keys=90):
        client.execute_command(*command)


def told(client: redis.Redis) -> dict[tuple[int, bytes], tuple[object, int]]:
    """What a server says that it holds."""
    found = {}
    for database in range(DATABASES):
        client.select(database)
        for key in client.keys("*"):
            found[database, key] = contents(restore(client.dump(key), LIMITS)), client.pexpiretime(key)
    client.select(0)
    return found


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, tmp_path_factory.mktemp(request.param)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "allkeys-lfu"])
@pytest.mark.parametrize("checksum", ["yes", "no"])
def test_files_go_both_ways(server: tuple[str, Path], policy: str, checksum: str, tmp_path: Path) -> None:
    name, folder = server
    file = folder / "dump.rdb"
    options = ("--rdbchecksum", checksum, "--maxmemory-policy", policy)
    with real_redis(folder, name, *options) as port:
        client = redis.Redis(port=port, single_connection_client=True)
        client.flushall()
        filled(client, 7)
        client.save()
        digest = client.execute_command("DEBUG", "DIGEST")
        theirs = file.read_bytes()
        held = read_file(theirs)
        assert held.keys == told(client)
        assert held.aux[b"redis-bits"] == b"64"
        assert sum(keys for keys, _ in held.sizes) == len(held.keys)
        ours = rewritten(theirs)
    assert read_file(ours).keys == held.keys
    (tmp_path / "dump.rdb").write_bytes(ours)
    with real_redis(tmp_path, name) as port:
        assert redis.Redis(port=port).execute_command("DEBUG", "DIGEST") == digest


def test_another_reader_goes_on_between_any_two_records(server: tuple[str, Path]) -> None:
    name, folder = server
    with real_redis(folder, name) as port:
        client = redis.Redis(port=port, single_connection_client=True)
        client.flushall()
        filled(client, 3)
        client.save()
    data = (folder / "dump.rdb").read_bytes()
    reader = reader_of(data)
    reader.open()
    told = []
    borders = []
    while kind := reader.next():
        told.append((reader.began, reader.database, kind == Record.ENTRY and reader.key, reader.expires_at))
        borders.append((reader.reader.at, reader.database, reader.reader.checksum()))
    for number, (at, database, checksum) in [*enumerate(borders)][:: 1 if COMPILED else 3]:
        other = RdbReader(Reader.of_file(Bytes(data), len(data), at), LIMITS)
        other.go_on(reader.version, database, checksum)
        rest = []
        while kind := other.next():
            rest.append((other.began, other.database, kind == Record.ENTRY and other.key, other.expires_at))
        assert rest == told[number + 1 :]
        assert other.checked


def test_redis_finds_no_fault(tmp_path: Path) -> None:
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    writer.aux([(b"redis-bits", b"64"), (b"unknown-to-others", b"x")])
    writer.database(0, 100, 1)
    for example in every_form():
        value = restore(example.payload, LIMITS)
        if not isinstance(value, Hash) or not value.expiries:
            writer.entry(example.name.encode(), value, FAR)
    writer.end()
    (tmp_path / "dump.rdb").write_bytes(b"".join(chunks))
    checker = shutil.which("redis-check-rdb")
    assert checker, "apt-get install redis-tools"
    found = subprocess.run([checker, tmp_path / "dump.rdb"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert "Checksum OK" in found.stdout


@pytest.mark.parametrize("example", every_form(), ids=lambda example: example.name)
def test_a_file_may_hold_any_form(example: object) -> None:
    payload: bytes = example.payload  # type: ignore[attr-defined]
    body = b"VALKEY080" + payload[:1] + string(b"key") + payload[1:-10]
    assert read_file(signed(body)).keys == {(0, b"key"): (example.holds, -1)}  # type: ignore[attr-defined]


def test_old_files_are_read() -> None:
    second = HEAD[:5] + b"0003\xfe\0\xfd\x00\x00\x00\x70" + b"\0" + string(b"k") + string(b"v") + b"\xff"
    held = read_file(second)
    assert held.version == 3
    assert held.keys == {(0, b"k"): (b"v", 0x70000000 * 1000)}


def test_idle_times_and_frequencies_are_read_and_written() -> None:
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    writer.entry(b"idle", b"1", FAR, 5_500)
    writer.entry(b"often", b"2", -1, -1, 200)
    writer.entry(b"neither", b"3")
    writer.end()
    reader = reader_of(b"".join(chunks))
    reader.open()
    found = []
    while reader.next() == Record.ENTRY:
        found.append((reader.key, reader.value, reader.expires_at, reader.idle_ms, reader.frequency))
    assert found == [(b"idle", b"1", FAR, 5000, -1), (b"often", b"2", -1, -1, 200), (b"neither", b"3", -1, -1, -1)]


LONG_ID = bytes(16)
GROUP = string(b"group") + length(5) + length(1) + length(7)
PENDING = length(1) + LONG_ID + bytes(8) + length(3)
CONSUMER = length(1) + string(b"consumer") + bytes(16) + length(1) + LONG_ID
STREAM = length(1) + string(LONG_ID) + string(b"listpack") + length(1) * 8 + length(1) + GROUP + PENDING + CONSUMER
MODULE = b"\x81" + bytes(8) + b"\x02\x05\x01\x05\x03abcd\x04abcdefgh\x05" + string(b"text") + b"\0"
UNSUPPORTED = [
    (b"\x15" + string(b"name") + STREAM, b"name", "stream"),
    (b"\x07" + string(b"name") + MODULE, b"name", "module value"),
    (b"\xf5" + string(b"#!lua name=f\n"), b"", "a library of functions"),
    (b"\xf7\x81" + bytes(8) + b"\x02\x01" + MODULE[9:], b"", "a module's data"),
    (b"\xf3" + string(b"job") + length(1) + length(0) + length(99), b"", "an unfinished import of slots"),
]


@pytest.mark.parametrize(("record", "key", "what"), UNSUPPORTED, ids=[what for _, _, what in UNSUPPORTED])
def test_what_is_not_supported_is_refused_by_name_or_passed_over(record: bytes, key: bytes, what: str) -> None:
    file = signed(HEAD + record + b"\0" + string(b"behind") + string(b"it"))
    why = damage(file)
    assert isinstance(why, Unsupported)
    assert what in str(why)
    assert why.at == len(HEAD)
    held = read_file(file, passing=True)
    assert held.passed == [(key, what)]
    assert held.keys == {(0, b"behind"): (b"it", -1)}


def test_a_stream_of_a_real_server_is_passed_over(tmp_path: Path) -> None:
    for name in SERVERS:
        folder = tmp_path / name
        folder.mkdir()
        with real_redis(folder, name) as port:
            client = redis.Redis(port=port)
            for number in range(200):
                client.xadd("stream", {"field": number})
            client.xgroup_create("stream", "group", 0)
            client.xreadgroup("group", "consumer", {"stream": ">"}, count=20)
            client.xdel("stream", *[entry for entry, _ in client.xrange("stream", count=3)])
            client.set("behind", "it")
            client.function_load("#!lua name=f\nredis.register_function('f', function() end)")
            client.save()
        held = read_file((folder / "dump.rdb").read_bytes(), passing=True)
        assert {key for key, _ in held.passed} == {b"stream", b""}
        assert held.keys == {(0, b"behind"): (b"it", -1)}


@pytest.mark.parametrize(
    ("file", "words", "at"),
    [
        (b"", "too short", 0),
        (b"REDIS001", "too short", 0),
        (b"MORDIS0010", "begins with b'MORDIS001'", 0),
        (b"REDIS0012" + b"\xff" + bytes(8), "RDB version 12 of Redis is not supported, but up to 11", 0),
        (b"VALKEY081" + b"\xff" + bytes(8), "RDB version 81 of Valkey", 0),
        (HEAD, "it ends too early, in a record that begins at byte 9", 9),
        (HEAD + b"\0\x03ke", "it ends too early, in a record that begins at byte 9", 11),
        (HEAD + b"\x1e\x03key", "30 is no form of a value, in the value of key b'key' that begins at byte 9", 14),
        (HEAD + b"\xf2", "242 is no opcode", 10),
        (HEAD + b"\xff" + b"12345678", "the file says 3837363534333231, its content sums up to", 18),
        (HEAD + b"\x04\x01k\x80\x7f\xff\xff\xff", "elements are announced, 0 bytes follow", 17),
        (HEAD + b"\xfc" + b"\xff" * 8 + b"\0\x01k\x01v\xff", "-1 is no time", 18),
    ],
    ids=str,
)
def test_damage_is_told_with_its_place(file: bytes, words: str, at: int) -> None:
    why = damage(file)
    assert words in str(why)
    assert why.at == at


def test_a_collection_without_elements_is_passed_over() -> None:
    held = read_file(signed(HEAD + b"\xfc" + bytes(8) + b"\x02\x01k\0" + b"\0\x01l\x01v"))
    assert held.empty == 1
    assert held.keys == {(0, b"l"): (b"v", -1)}, "without the expiry of the one before"


def test_a_sum_of_nothing_is_no_sum() -> None:
    assert read_file(HEAD + b"\0\x01k\x01v\xff" + bytes(8)).keys == {(0, b"k"): (b"v", -1)}


def test_a_long_string_is_read_in_one_piece_and_windows_end_anywhere(tmp_path: Path) -> None:
    longest = 3_000_000 if COMPILED else 600_000
    sizes = [longest, 5, 1 << 18, 262_143, 262_145, 0]
    long, *others = [Random(seed).randbytes(size) for seed, size in enumerate(sizes)]
    texts = [long, *others * 3]
    chunks: list[bytes] = []
    writer = RdbWriter(chunks.append)
    for number, text in enumerate(texts):
        writer.entry(b"%d" % number, text)
    writer.end()
    data = b"".join(chunks)
    assert writer.written == len(data)
    source = Bytes(data)
    reader = RdbReader(Reader.of_file(source, len(data)), LIMITS)
    reader.open()
    for number, text in enumerate(texts):
        assert reader.next() == Record.ENTRY
        assert (reader.key, reader.value) == (b"%d" % number, text)
    assert reader.next() == Record.END
    assert source.longest == longest
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        assert FileSource(file.fileno()).read_at(len(data) - 5, 100) == data[-5:]


def test_a_file_that_was_cut_is_damaged_wherever_it_ends() -> None:
    body = HEAD + b"\xfa" + string(b"a") + string(b"b") + b"\xfe\0\xfb\x04\x00"
    payloads = [example.payload for example in every_form() if len(example.payload) < 300]
    body += b"".join(text[:1] + string(b"%d" % number) + text[1:-10] for number, text in enumerate(payloads))
    file = signed(body)
    read_file(file)
    for end in range(0, len(file) - 1, 1 if COMPILED else 3):
        assert damage(file[:end]).at <= end
