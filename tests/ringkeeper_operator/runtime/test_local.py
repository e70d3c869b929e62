"""The runtime of this machine, with processes that are no nodes: what it makes of those that fail."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from laptop import eventually
from ports import free_base_port

from ringkeeper.server.config import read_arguments
from ringkeeper_operator import manifest
from ringkeeper_operator.model import ApplyPieces, Spec
from ringkeeper_operator.node_conf import quoted
from ringkeeper_operator.runtime.heartbeats import Heartbeats, Watch
from ringkeeper_operator.runtime.local import LocalRuntime
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import Attempts, NodeProcess, find_processes, start_time
from ringkeeper_operator.runtime.local_spec import Place

CLUSTER = {
    "apiVersion": "ringkeeper.dev/v1alpha1",
    "kind": "CacheCluster",
    "metadata": {"name": "c"},
    "spec": {"shards": 1, "replicasPerShard": 0, "memory": "64Mi"},
}


def cluster(tmp_path: Path) -> tuple[ClusterFolder, Spec]:
    folder = ClusterFolder("c", tmp_path / "c")
    folder.path.mkdir()
    folder.enter(free_base_port(1), "", None)
    folder.make_tokens()
    return folder, manifest.spec_of(CLUSTER, uid=folder.uid)


async def test_a_node_that_cannot_start_is_absent_with_its_last_words_and_then_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder, spec = cluster(tmp_path)
    runtime = LocalRuntime(folder)
    start = ApplyPieces(reason="", message="", pieces=("Process/c-0-0",))
    monkeypatch.setattr("ringkeeper_operator.runtime.local_process.PROGRAM", "no.such.module")
    assert (await runtime.observe(spec)).pieces == {"Process/c-0-0": "absent"}
    for attempt in (1, 2):
        await runtime.apply(spec, start)
        child = runtime.process("c-0-0").child
        assert child is not None
        assert await asyncio.to_thread(child.wait, 30) == 1
        observed = await runtime.observe(spec)
        assert observed.nodes[0].phase == "absent"
        assert observed.nodes[0].restarts == attempt - 1
        assert "exited with code 1" in observed.nodes[0].trouble
        assert "No module named 'no'" in observed.nodes[0].trouble
    attempts = runtime.process("c-0-0").attempts
    assert attempts.pause(attempts.started_at) > 0
    await runtime.close()


def test_a_supervisor_goes_on_with_the_failovers_that_another_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder, _ = cluster(tmp_path)
    row = {"shard": 0, "time": "2026-01-02T03:04:05Z", "cause": "not heard", "from": "c-0-0", "to": "c-0-1", "term": 2}
    status = {"failovers": [row | {"term": 3, "lostBytes": 5, "lostWrites": 1}, row, {"shard": "what"}]}
    (folder.path / "status.json").write_text(json.dumps(status))
    runtime = LocalRuntime(folder, watch=Watch(Heartbeats()))
    assert [(each.term, each.former, each.lost_writes) for each in runtime.failovers.entries] == [
        (2, "c-0-0", None),
        (3, "c-0-0", 1),
    ]


async def test_who_only_looks_tells_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder, spec = cluster(tmp_path)
    for watch, asked in ((None, 0), (Watch(Heartbeats()), 1)):
        heard: list[object] = []
        runtime = LocalRuntime(folder, watch=watch)
        monkeypatch.setattr(runtime.failovers, "hear", lambda *news, heard=heard: heard.append(news) or [])
        await runtime.observe(spec)
        await runtime.close()
        assert len(heard) == asked


async def test_a_node_has_the_address_of_its_place_and_is_started_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder, spec = cluster(tmp_path)
    place = Place("127.0.0.2", ("env", "SOMEWHERE=else"))
    runtime = LocalRuntime(folder, places=lambda _: place)
    await runtime.apply(spec, ApplyPieces(reason="", message="", pieces=("Process/c-0-0",)))
    process = runtime.process("c-0-0")
    try:
        assert 'bind "127.0.0.2"' in process.conf.read_text().splitlines()
        (seen,) = (await runtime.observe(spec)).nodes
        assert (seen.address, seen.pid) == ("127.0.0.2", process.pid())
        words = Path(f"/proc/{process.pid()}/environ")
        assert await asyncio.to_thread(eventually, lambda: b"SOMEWHERE=else" in words.read_bytes(), "it is there")
    finally:
        await process.stop()
        await runtime.close()


def test_pauses_between_starts_grow_to_a_limit_and_end_when_the_node_settles() -> None:
    pauses = [Attempts(count=count, started_at=100.0).pause(100.0) for count in range(12)]
    assert pauses[:5] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert pauses[-1] == 30.0
    assert Attempts(count=12, started_at=100.0).pause(121.0) == 0.0
    assert not Attempts(count=12, started_at=100.0).may_start(119.9)


def test_a_pid_that_went_to_another_process_is_not_the_nodes(tmp_path: Path) -> None:
    process = NodeProcess("c-0-0", tmp_path)
    started = start_time(1)
    assert started is not None
    (tmp_path / "node.pid").write_text(f"1 {int(started) + 1}")
    assert process.pid() is None
    (tmp_path / "node.pid").write_text(f"1 {started}")
    assert process.pid() == 1
    for damaged in ("", "1", "x y", "1 2 3"):
        (tmp_path / "node.pid").write_text(damaged)
        assert NodeProcess("c-0-0", tmp_path).pid() is None


def test_processes_are_found_by_program_and_folder_and_never_by_less(tmp_path: Path) -> None:
    beneath = tmp_path / "c" / "c-0-0" / "node.conf"
    with subprocess.Popen([sys.executable, "-c", "input()", "program", str(beneath)], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while find_processes("program", tmp_path / "c") != [process.pid]:
            assert time.monotonic() < deadline
        assert find_processes("program", beneath) == [process.pid]
        assert find_processes("program", tmp_path / "c" / "c-0") == [], "part of a name is not the name"
        assert find_processes("another", tmp_path / "c") == []
        process.communicate(b"\n")


@pytest.mark.parametrize("value", ["plain", "with space", 'quote " and \\', "#hash", "ünïcode", "line\nbreak", "\x01"])
def test_a_quoted_value_reaches_the_node_as_it_is(value: str, tmp_path: Path) -> None:
    conf = tmp_path / "node.conf"
    conf.write_text(f"requirepass {quoted(value)}\n")
    assert read_arguments([str(conf)]).text("requirepass") == value
