"""A real Prometheus scrapes a real node, and answers what docs/metrics.md says one may ask."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from laptop import eventually
from members import http
from ports import free_ports
from server_process import DEADLINE, Server, serving

from ringkeeper.server.metrics import DURATIONS_US

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason="apt-get install prometheus"
)

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
QUERIES = [
    query
    for block in re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for query in block.strip().split("\n\n")
]
CONFIGURATION = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: ringkeeper
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


NAMESPACES = '[{"prefix":"n:","maxMemory":"1Mi"}]'


class Prometheus:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The vector that a query answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=DEADLINE) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def number(self, query: str) -> float:
        """Of a query that answers one; NaN as long as it answers none."""
        found = self.ask(query)
        return float(found[0]["value"][1]) if found else float("nan")


@contextlib.contextmanager
def scraping(folder: Path, server: Server) -> Iterator[Prometheus]:
    """A Prometheus with a folder of its own, stopped by its id."""
    folder.mkdir()
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=server.admin_port))
    port = free_ports(1)[0]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    try:
        prometheus = Prometheus(port)

        def is_up() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                return prometheus.number("up") == 1
            return False

        eventually(is_up, "it scrapes the node")
        yield prometheus
    finally:
        process.terminate()
        process.wait(DEADLINE)


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """Someone uses the node meanwhile."""
    done = threading.Event()

    def use() -> None:
        client = server.client()
        for number in itertools.count():
            if done.is_set():
                return
            client.set("k", number)
            client.set("n:k", number)
            client.get("n:k")
            client.get("k")
            client.get("nothing")
            with contextlib.suppress(Exception):
                client.lpush("k", "x")

    user = threading.Thread(target=use)
    user.start()
    try:
        yield
    finally:
        done.set()
        user.join(DEADLINE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("node")
    with serving(folder, "--enable-debug-command", "yes", "--maxmemory", "100mb", "--namespaces", NAMESPACES) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(node: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(tmp_path_factory.mktemp("prometheus") / "own", node) as found:
        yield found


def test_promtool_finds_nothing_wrong(node: Server) -> None:
    node.client().set("k", "v")
    text = http(node, "/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_questions_of_the_page_have_answers(node: Server, prometheus: Prometheus) -> None:
    assert len(QUERIES) > 15
    with busy(node):
        for query in QUERIES:

            def has_answer(query: str = query) -> bool:
                found = prometheus.ask(query)
                return bool(found) and all(series["value"][1] not in ("NaN", "+Inf") for series in found)

            eventually(has_answer, query)


def test_quantiles_are_those_that_the_node_tells_to_within_a_bucket(node: Server, prometheus: Prometheus) -> None:
    client = node.client()

    def sleep(seconds: float) -> None:
        client.execute_command("DEBUG", "SLEEP", seconds)

    calls = 'ringkeeper_command_calls_total{command="debug"}'
    client.config_resetstat()
    sleep(0)
    eventually(lambda: prometheus.number(calls) == 1, "a scrape has seen the command, so that what follows is a growth")
    for number in range(200):
        sleep(0.03 if number >= 195 else 0.003 if number >= 120 else 0)
    eventually(lambda: prometheus.number(calls) == 201, "a scrape has seen all calls")
    for quantile in (0.5, 0.95, 0.99):
        told = prometheus.number(
            f'histogram_quantile({quantile}, rate(ringkeeper_command_duration_seconds_bucket{{command="debug"}}[5m]))'
        )
        near = [100 * quantile - 2, min(100, 100 * quantile + 2)]
        client.config_set("latency-tracking-info-percentiles", " ".join(map(str, near)))
        field = client.info("latencystats")["latency_percentiles_usec_debug"]
        shortest, longest = (float(value) for value in field.values())
        bounds = [0, *DURATIONS_US]
        below = max(bound for bound in bounds if bound <= shortest)
        above = min((bound for bound in bounds if bound >= longest), default=bounds[-1])
        assert below <= told * 1e6 <= above, (quantile, field)


def test_what_the_node_counts_arrives(node: Server, prometheus: Prometheus) -> None:
    client = node.client()
    client.flushall()
    client.mset({f"key:{number}": "v" for number in range(1000)})
    eventually(lambda: prometheus.number('ringkeeper_keys{database="0"}') == 1000, "the keys are counted")
    assert prometheus.number("ringkeeper_memory_max_bytes") == 100 * 2**20
    eventually(
        lambda: prometheus.number("ringkeeper_loop_delay_seconds_count") > 50, "the loop is asked 50 times a second"
    )
