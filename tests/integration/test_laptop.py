"""`ringkeeper up` and what a person does with it, good and bad."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from laptop import ROOT, Cli, eventually, is_alive
from ports import free_base_port

MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: {name}}}
spec: {{shards: {shards}, replicasPerShard: 0, memory: 64Mi}}
"""


def write(folder: Path, text: str) -> str:
    (folder / "cluster.yaml").write_text(text)
    return str(folder / "cluster.yaml")


def test_a_cluster_comes_up_serves_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    port = free_base_port()
    shown = cli("up", "-f", str(ROOT / "examples/quickstart.yaml"), "--base-port", str(port), "--detach").stdout
    command = next(line for line in shown.splitlines() if "redis-cli" in line).partition("use it:")[2].split()
    assert subprocess.run([*command, "set", "k", "v"], capture_output=True, text=True).stdout == "OK\n"
    status = cli.status()
    assert (status["name"], status["password"], status["slotsServed"]) == ("quickstart", None, 16384)
    assert [node["port"] for node in status["nodes"]] == [port + number for number in range(6)]
    assert [node["role"] for node in status["nodes"]] == ["master", "replica"] * 3
    assert {(node["state"], node["host"]) for node in status["nodes"]} == {("online", "127.0.0.1")}
    assert [node["voter"] for node in status["nodes"]] == [False, True] * 3, "each replica can take over"
    pids = [node["pid"] for node in status["nodes"]]
    cli("down")
    assert not any(is_alive(pid) for pid in pids)
    assert not (tmp_path / "ringkeeper").exists()
    assert "nothing to stop" in cli("down").stderr, "it may be said twice"


def test_a_killed_node_returns_with_its_id_and_its_slots_in_the_next_term(cli: Cli, tmp_path: Path) -> None:
    cli("up", "-f", write(tmp_path, MANIFEST.format(name="c", shards=2)), "--base-port", str(free_base_port()), "-d")
    before = {node["name"]: node for node in cli.status()["nodes"]}
    cli("kill", before["c-1-0"]["id"][:12])

    def healed() -> bool:
        status = cli.status()
        node = status["nodes"][1]
        return status["slotsServed"] == 16384 and node["pid"] != before["c-1-0"]["pid"] and node["term"] == 2

    eventually(healed, "the node serves again")
    after = {node["name"]: node for node in cli.status()["nodes"]}
    assert after["c-1-0"]["id"] == before["c-1-0"]["id"]
    assert after["c-1-0"]["slots"] == before["c-1-0"]["slots"]
    assert after["c-0-0"]["pid"] == before["c-0-0"]["pid"]
    assert "Ready to accept connections" in cli("logs", "1-0").stdout


def test_nodes_outlive_a_killed_supervisor_and_the_next_up_takes_them_over(cli: Cli, tmp_path: Path) -> None:
    port = str(free_base_port())
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=2))
    cli("up", "-f", manifest, "--base-port", port, "-d")
    client = redis.RedisCluster(host="127.0.0.1", port=int(port))
    client.set("k", "v")
    before = cli.status()
    os.kill(before["supervisor"], signal.SIGKILL)
    eventually(lambda: cli.status()["supervisor"] is None, "the supervisor is gone")
    assert client.get("k") == b"v"
    cli("up", "-f", manifest, "--base-port", port, "-d")
    after = cli.status()
    assert [node["pid"] for node in after["nodes"]] == [node["pid"] for node in before["nodes"]]
    assert {node["term"] for node in after["nodes"]} == {1}
    assert after["epoch"] > before["epoch"], "the new supervisor took a leader number of its own"
    assert client.get("k") == b"v"
    client.close()


def test_the_password_of_the_manifests_secret_is_asked_for(cli: Cli) -> None:
    port = free_base_port()
    shown = cli("up", "-f", str(ROOT / "examples/with-password.yaml"), "--base-port", str(port), "-d", "-n", "p").stdout
    command = next(line for line in shown.splitlines() if "redis-cli" in line).partition("use it:")[2].split()
    assert subprocess.run([*command, "set", "k", "v"], capture_output=True, text=True).stdout == "OK\n"
    assert cli.status()["password"] == "change-me"
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()
    assert redis.RedisCluster(host="127.0.0.1", port=port, password="change-me").get("k") == b"v"


def test_the_namespaces_of_the_manifest_are_in_force(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", str(ROOT / "examples/namespaces.yaml"), "--base-port", str(port), "-d")
    client = redis.RedisCluster(host="127.0.0.1", port=port)
    client.set("session:1", "alice")
    client.set("session:2", "bob", ex=10**6)
    client.set("cart:1", "pear")
    assert client.ttl("session:1") == pytest.approx(1800, abs=30)
    assert client.ttl("session:2") == pytest.approx(86400, abs=30)
    assert client.ttl("cart:1") == -1
    with pytest.raises(redis.exceptions.OutOfMemoryError, match="larger than its namespace's maxMemory"):
        client.setrange("cart:1", 16 * 1024**2, "x")
    client.close()


def test_a_namespace_over_its_budget_evicts_its_own_keys_and_not_anothers(cli: Cli, tmp_path: Path) -> None:
    """As in `e2e/test_quickstart.py`, with the same client."""
    port = free_base_port()
    spaces = ", namespaces: [{prefix: 'small:', maxMemory: 1Mi}, {prefix: 'other:', maxMemory: 32Mi}]}"
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=2).strip().removesuffix("}") + spaces)
    cli("up", "-f", manifest, "--base-port", str(port), "-d")
    client = [sys.executable, str(ROOT / "e2e/client/evictions.py"), "127.0.0.1", str(port)]
    report = json.loads(subprocess.run(client, capture_output=True, text=True, check=True).stdout)
    assert report["other"] == report["none"] == report["staying"]
    assert 1024**2 // 2 < report["small_bytes"] <= 2 * 1024**2, "each of two nodes has the budget"
    assert report["evicted"] == report["written"] - report["small"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MANIFEST.format(name="c", shards=0), "spec.shards: 0 is not allowed; must be 1 to 1000"),
        (MANIFEST.format(name="c", shards=1).replace("memory", "memroy"), "did you mean memory?"),
        (MANIFEST.format(name="c", shards=1).replace("64Mi", "lots"), "spec.memory: lots"),
        (MANIFEST.format(name="c", shards=1).replace("64Mi", "64Mi, auth: {secretName: s}"), "s is no Secret of this"),
        ("kind: [", "cluster.yaml:"),
        ("", "must be exactly one"),
    ],
)
def test_a_bad_manifest_names_field_value_and_range_and_starts_nothing(
    cli: Cli, tmp_path: Path, text: str, complaint: str
) -> None:
    done = cli("up", "-f", write(tmp_path, text), "-d", code=2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ringkeeper").exists()


def test_other_bad_input_ends_with_one_sentence_and_the_way_out(cli: Cli, tmp_path: Path) -> None:
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1))
    assert "No such file" in cli("up", "-f", "nowhere.yaml", code=2).stderr
    assert "--base-port" in cli("up", "-f", manifest, "--base-port", "60000", code=2).stderr
    port = free_base_port()
    with socket.create_server(("127.0.0.1", port + 10000)):
        done = cli("up", "-f", manifest, "--base-port", str(port), "-d", code=1)
    assert f"port {port + 10000}" in done.stderr
    assert "--base-port" in done.stderr
    assert "cannot write" in cli("up", "-f", manifest, "--data", "/proc/nowhere", "-d", code=1).stderr
    cli("up", "-f", manifest, "--base-port", str(port), "-d")
    assert "up already" in cli("up", "-f", manifest, "--base-port", str(port), "-d", code=1).stderr
    assert "there is no node 7-7; there are 0-0" in cli("kill", "7-7", code=2).stderr
    assert "there is no cluster x here; there is: c" in cli("status", "--name", "x", code=2).stderr


def test_a_data_folder_of_ones_own_holds_a_folder_per_node(cli: Cli, tmp_path: Path) -> None:
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1).replace("64Mi", "64Mi, port: 7000, image: i"))
    data = tmp_path / "data"
    words = ("-f", manifest, "--base-port", str(free_base_port()), "--data", str(data), "-d", "--name", "mine")
    shown = cli("up", *words).stderr
    for field in ("spec.port", "spec.image"):
        assert f"{field} has no meaning on this machine and is ignored" in shown
    assert (data / "mine-0-0").is_dir()
    assert cli.status("--name", "mine")["data"] == str(data)
    cli("down", "--data", str(data))
    assert not data.exists()


def test_a_dead_supervisors_cluster_is_taken_over_only_as_it_is(cli: Cli, tmp_path: Path) -> None:
    port = str(free_base_port())
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1))
    cli("up", "-f", manifest, "--base-port", port, "-d")
    before = cli.status()
    os.kill(before["supervisor"], signal.SIGKILL)
    smaller = MANIFEST.format(name="c", shards=1).replace("64", "32")
    refused = cli("up", "-f", "-", "--base-port", port, "-d", text=smaller, code=1).stderr
    assert "c-0-0 still runs with another maxmemory" in refused
    refused = cli("up", "-f", manifest, "--base-port", str(int(port) + 1), "-d", code=1).stderr
    assert f"give --base-port {port}" in refused
    refused = cli("up", "-f", manifest, "--base-port", port, "--data", str(tmp_path / "other"), "-d", code=1).stderr
    assert f"has its data in {before['data']}" in refused
    assert cli.status()["nodes"] == before["nodes"], "nothing of this changed anything"


def test_settings_change_while_a_cluster_is_up_and_restart_nothing(cli: Cli) -> None:
    port = free_base_port()
    words = ("-f", "-", "--base-port", str(port), "-d")
    plain = MANIFEST.format(name="c", shards=2)
    cli("up", *words, text=plain)
    before = cli.status()
    declared = "64Mi, eviction: allkeys-lfu, namespaces: [{prefix: 's:', maxMemory: 1Mi, defaultTTL: 5m}]"
    done = cli("up", *words, text=plain.replace("64Mi", declared))
    assert done.stdout == "c is changed: eviction allkeys-lfu and 1 namespace\n"

    def settings(shard: int) -> tuple[str, str]:
        with redis.Redis(port=port + shard) as client:
            found = client.config_get("maxmemory-policy", "namespaces")
        return found["maxmemory-policy"], found["namespaces"]

    wanted = ("allkeys-lfu", '[{"prefix":"s:","maxMemory":1048576,"eviction":"allkeys-lru","defaultTTL":"5m"}]')
    assert [settings(shard) for shard in (0, 1)] == [wanted, wanted]
    after = cli.status()
    assert [node["pid"] for node in after["nodes"]] == [node["pid"] for node in before["nodes"]]
    assert after["epoch"] == before["epoch"]
    log = (Path(before["data"]) / "supervisor.log").read_text()
    assert "SettingsPushed: eviction allkeys-lfu and 1 namespace handed to c-0-0, c-1-0" in log

    redis.Redis(port=port).config_set("maxmemory-policy", "noeviction")
    eventually(lambda: settings(0) == wanted, "what somebody set on a node is set back")
    cli("kill", "1-0")
    eventually(lambda: cli.status()["slotsServed"] == 16384, "the node is back")
    assert settings(1) == wanted, "it started with them"
    assert "up already" in cli("up", *words, text=plain.replace("64Mi", declared), code=1).stderr
    refused = cli("up", *words, text=plain.replace("64Mi", "32Mi"), code=1).stderr
    assert (
        "shards, eviction, namespaces, persistence, replication and failover alone can be changed meanwhile" in refused
    )

    os.kill(cli.status()["supervisor"], signal.SIGKILL)
    eventually(lambda: cli.status()["supervisor"] is None, "the supervisor is gone")
    cli("up", *words, text=plain)
    eventually(lambda: settings(0) == ("noeviction", "[]"), "the next supervisor hands out what its manifest says")


def test_nodes_are_found_although_their_pid_was_lost(cli: Cli, tmp_path: Path) -> None:
    """As when the supervisor was killed right after it had started them."""
    port = str(free_base_port())
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=2))
    cli("up", "-f", manifest, "--base-port", port, "-d")
    before = cli.status()
    os.kill(before["supervisor"], signal.SIGKILL)
    for node in before["nodes"]:
        (Path(before["data"]) / node["name"] / "node.pid").unlink()
    cli("up", "-f", manifest, "--base-port", port, "-d")
    assert [node["pid"] for node in cli.status()["nodes"]] == [node["pid"] for node in before["nodes"]]


@pytest.mark.parametrize("supervised", [True, False])
def test_down_ends_a_cluster_whose_folder_was_deleted(cli: Cli, tmp_path: Path, supervised: bool) -> None:
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1))
    cli("up", "-f", manifest, "--base-port", str(free_base_port()), "-d")
    status = cli.status()
    if not supervised:
        os.kill(status["supervisor"], signal.SIGKILL)
    shutil.rmtree(status["data"])
    assert "`ringkeeper down --name c`" in cli("status", code=1).stderr
    cli("down")
    for pid in (status["supervisor"], status["nodes"][0]["pid"]):
        eventually(lambda pid=pid: not is_alive(pid), f"process {pid} ends")
    assert "nothing to stop" in cli("down").stderr


def test_down_leaves_a_persons_own_files(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "c-notes-2").mkdir(parents=True)
    (data / "c-0-9").mkdir()
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1))
    cli("up", "-f", manifest, "--base-port", str(free_base_port()), "--data", str(data), "-d")
    assert "is the folder of the cluster c" in cli("up", "-f", manifest, "-n", "d", "--data", str(data), code=1).stderr
    cli("down")
    assert sorted(path.name for path in data.iterdir()) == ["c-0-9", "c-notes-2"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cluster_in_the_foreground_ends_with_its_terminal(cli: Cli, tmp_path: Path, sign: signal.Signals) -> None:
    manifest = write(tmp_path, MANIFEST.format(name="c", shards=1))
    shown = tmp_path / "shown"
    with open(shown, "w") as out:
        supervisor = cli.start("up", "-f", manifest, "--base-port", str(free_base_port()), stdout=out)
    eventually(lambda: "stop it: Ctrl-C" in shown.read_text(), "the cluster is up")
    pid = cli.status()["nodes"][0]["pid"]
    supervisor.send_signal(sign)
    assert supervisor.wait(30) == 0
    assert not is_alive(pid)
    assert not (tmp_path / "ringkeeper").exists()


def test_a_node_that_hangs_is_shown_as_failed(cli: Cli, tmp_path: Path) -> None:
    cli("up", "-f", write(tmp_path, MANIFEST.format(name="c", shards=1)), "--base-port", str(free_base_port()), "-d")
    pid = cli.status()["nodes"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    node = eventually(
        lambda: next((n for n in cli.status()["nodes"] if n["state"] == "failed"), None), "it counts as failed"
    )
    assert (node["pid"], node["trouble"]) == (pid, f"process {pid} runs but does not answer")


def test_server_is_the_node_itself(cli: Cli) -> None:
    assert cli("server", "--version").stdout.startswith("ringkeeper-server ")
    assert "--requirepass" in cli("server", "--help").stdout
    assert "--prot" in cli("server", "--prot", "1", code=1).stderr


@pytest.mark.parametrize(("columns", "encoding"), [("120", "utf-8"), ("90", "utf-8"), ("44", "ascii"), ("20", "ascii")])
def test_status_is_drawn_in_any_terminal(quickstart: tuple[Cli, int], columns: str, encoding: str) -> None:
    runner, _ = quickstart
    shown = runner("status", COLUMNS=columns, PYTHONIOENCODING=encoding).stdout
    assert max(map(len, shown.splitlines())) <= max(29, int(columns))
    assert shown.isascii() == (encoding == "ascii")


def test_status_draws_ring_nodes_and_slots(quickstart: tuple[Cli, int]) -> None:
    runner, port = quickstart
    shown = runner("status").stdout
    assert "quickstart" in shown
    assert "16384 of 16384 slots served" in shown
    assert f"127.0.0.1:{port}" in shown
