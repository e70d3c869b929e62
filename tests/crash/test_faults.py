"""What a real node does when its disk is full, forbids it to write, or holds files that are damaged: it says so."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
from crash.client import Control
from crash.subjects import Node, has_ended, kill, log_of, ready
from crash.trials import ALWAYS
from forked import Zygote, zygote
from server_process import DEADLINE

from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

NOBODY = 65534
FLIPS = 40


@pytest.fixture(scope="module")
def forks() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@pytest.fixture
def node(forks: Zygote) -> Iterator[Node]:
    """In a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        node = Node(forks, Path(folder) / "node", "--save", "", *ALWAYS)
        yield node
        if node.pid:
            kill(node)


def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def text(reply: Any) -> str:
    return reply.text if isinstance(reply, ReplyError) else ""


def content(folder: Path) -> dict[str, bytes]:
    """Of its files, other than that which says who uses them."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def refusal(node: Node) -> str:
    """Why it does not start; nothing of its files is changed by that."""
    before = content(node.folder)
    node.start()
    until(lambda: has_ended(node.pid) or "Ready to accept" in log_of(node))
    assert has_ended(node.pid), log_of(node)
    assert node.wait() == 1, log_of(node)
    assert content(node.folder) == before
    return log_of(node)


def limit(node: Node, size: int) -> None:
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("killed", [False, True])
def test_on_a_full_disk_it_refuses_changes_reads_go_on_and_it_heals(node: Node, killed: bool) -> None:
    node.start()
    control, waiting = ready(node), ready(node)
    assert control.ask("SET", "before", "1") is not None
    limit(node, 2000)
    waiting.socket.sendall(encode_command([b"SET", b"large", b"x" * 3000]))
    until(lambda: control.facts("persistence")["aof_last_write_status"] == "err")
    refused = text(control.ask("SET", "refused", "1"))
    assert refused.startswith("MISCONF")
    assert "File too large" in refused
    assert control.ask("GET", "before") == b"1"
    if killed:
        kill(node)
        node.start()
        control = ready(node)
        assert control.ask("GET", "large") in (None, b"x" * 3000)
    else:
        limit(node, resource.RLIM_INFINITY)
        assert waiting.run([]) == []
        until(lambda: not text(control.ask("SET", "after", "1")))
        kill(node)
        node.start()
        control = ready(node)
        assert control.ask("GET", "large") == b"x" * 3000
        assert control.ask("GET", "after") == b"1"
    assert control.ask("GET", "before") == b"1"
    assert control.ask("EXISTS", "refused") == 0


def test_a_full_disk_ends_a_rewrite_and_leaves_the_log_in_force(node: Node) -> None:
    node.start()
    control, random = ready(node), Random(1)
    control.run([[b"SET", b"key%d" % number, random.randbytes(100)] for number in range(100)])
    limit(node, 6000)
    assert not text(control.ask("BGREWRITEAOF"))
    until(lambda: control.facts("persistence")["aof_last_bgrewrite_status"] == "err")
    assert not [path for path in node.folder.rglob("temp-*") if path.stat().st_size]
    assert not text(control.ask("SET", "after", "1"))
    kill(node)
    node.start()
    assert ready(node).ask("DBSIZE") == 101


def test_it_does_not_start_in_a_folder_that_it_may_not_write_to(node: Node) -> None:
    if os.geteuid() == 0:
        node.user = NOBODY
    else:
        node.folder.chmod(0o500)
    assert str(node.folder) in refusal(node)
    assert "ermission" in log_of(node) or "writable" in log_of(node) or "write" in log_of(node)


def test_it_says_so_when_it_may_no_longer_make_files_and_goes_on_with_those_it_has(node: Node) -> None:
    if os.geteuid() == 0:
        node.user = NOBODY
        os.chown(node.folder, NOBODY, NOBODY)
    node.start()
    control = ready(node)
    folder = node.folder / "appendonlydir"
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0o500)
    assert not text(control.ask("SET", "key", "1"))
    control.ask("BGREWRITEAOF")
    until(lambda: control.facts("persistence")["aof_last_bgrewrite_status"] == "err")
    until(lambda: "Permission denied" in log_of(node))
    assert not text(control.ask("SET", "key", "2"))
    folder.chmod(mode)
    until(lambda: text(control.ask("BGREWRITEAOF")) or control.facts("persistence")["aof_rewrites"] != "0")
    assert not text(control.ask("INCR", "key"))
    kill(node)
    node.start()
    assert ready(node).ask("GET", "key") == b"3"


# Damage


@pytest.fixture
def filled(node: Node) -> Node:
    """Stopped by a kill; its files have values of all types, in a base and behind it."""
    node.start()
    control = ready(node)
    fill(control)
    control.ask("BGREWRITEAOF")
    until(lambda: control.facts("persistence")["aof_rewrites"] != "0")
    fill(control)
    kill(node)
    return node


def fill(control: Control) -> None:
    for number in range(40):
        words = [b"%d" % (number * index) for index in range(1, 8)]
        control.run([
            [b"SET", b"string%d" % number, b"some text " * number], [b"RPUSH", b"list%d" % number, *words],
            [b"SADD", b"set%d" % number, *words], [b"HSET", b"hash%d" % number, *words, b"value"],
            [b"ZADD", b"zset%d" % number, *words, b"member"], [b"PEXPIRE", b"set%d" % number, b"100000000"],
        ])  # fmt: skip


def parts(node: Node) -> tuple[Path, Path, Path]:
    """Manifest, base and increment."""
    folder = node.folder / "appendonlydir"
    return next(folder.glob("*.manifest")), next(folder.glob("*.base.rdb")), next(folder.glob("*.incr.aof"))


def test_a_flipped_bit_in_a_base_stops_it_at_a_byte_that_it_names(filled: Node) -> None:
    base, random = parts(filled)[1], Random(1)
    sound = base.read_bytes()
    for _ in range(FLIPS):
        data = bytearray(sound)
        at = random.randrange(len(data))
        data[at] ^= 1 << random.randrange(8)
        base.write_bytes(data)
        told = refusal(filled)
        assert str(base) in told
        assert "byte" in told
        assert "Traceback" not in told
    base.write_bytes(sound)
    filled.start()
    ready(filled)


def test_a_flipped_bit_in_an_increment_stops_it_or_changes_one_value(filled: Node, tmp_path: Path) -> None:
    """Commands bear no checksum; but a length or a name that is damaged is noticed."""
    seed = SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    increment, random = parts(filled)[2], Random(seed)
    shutil.copytree(filled.folder, tmp_path / "sound")
    sound = increment.read_bytes()
    for _ in range(FLIPS):
        shutil.rmtree(filled.folder)
        shutil.copytree(tmp_path / "sound", filled.folder)
        data = bytearray(sound)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        increment.write_bytes(data)
        before = content(filled.folder)
        filled.start()
        try:
            control = ready(filled)
        except AssertionError:
            assert content(filled.folder) == before
            assert str(increment) in log_of(filled)
            assert "byte" in log_of(filled)
        else:
            assert control.ask("DBSIZE") in range(195, 206)
            assert increment.stat().st_size >= 1
            kill(filled)
        assert "Traceback" not in log_of(filled)


@pytest.mark.parametrize("size", [0, 1, -1])
@pytest.mark.parametrize("which", ["manifest", "base"])
def test_a_file_that_is_empty_or_cut_stops_it(filled: Node, which: str, size: int) -> None:
    path = parts(filled)[which == "base"]
    os.truncate(path, size % path.stat().st_size)
    told = refusal(filled)
    assert str(path) in told
    assert "byte" in told


@pytest.mark.parametrize("which", [1, 2])
def test_a_file_that_is_missing_stops_it(filled: Node, which: int) -> None:
    path = parts(filled)[which]
    path.unlink()
    assert str(path) in refusal(filled)


def test_an_empty_increment_is_one_in_which_nothing_happened(filled: Node) -> None:
    os.truncate(parts(filled)[2], 0)
    filled.start()
    assert ready(filled).ask("DBSIZE") == 200


def test_a_folder_in_the_place_of_a_file_stops_it(filled: Node) -> None:
    increment = parts(filled)[2]
    increment.unlink()
    increment.mkdir()
    assert str(increment) in refusal(filled)
