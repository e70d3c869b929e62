"""The foreign suites, and how each is run against a server on a port."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from compat.distributions import FAKEREDIS, HERE, PYTHON, REDIS_PY, Distribution
from compat.outcomes import Outcome, read_record
from compat.servers import SHARDS, node_alone, node_cluster, redis_alone, redis_cluster

Start = Callable[[Path], AbstractContextManager[int]]

TEST_TIMEOUT = 60
RUN_TIMEOUT = 1800


@dataclass(frozen=True, slots=True)
class Suite:
    """`fixed_ports` are those that its tests name; `ignored` holds what reaches no server that we could be. Redis
    passes `floor` tests at least, or the suite has not run as it should.
    """

    name: str
    distribution: Distribution
    tests: str
    marks: str
    servers: dict[str, Start]
    floor: int
    fixed_ports: tuple[int, ...]
    options: Callable[[int], list[str]]
    ignored: tuple[str, ...] = ()


# Tests of the client itself with everything mocked, of other products, and of Redis Sentinel.
CLIENT_ONLY = (
    "tests/maint_notifications", "tests/test_auth", "tests/test_http", "tests/test_multidb", "tests/test_observability",
    "tests/test_scenario", "tests/test_asyncio/test_multidb", "tests/test_asyncio/test_observability",
    "tests/test_asyncio/test_scenario", "tests/test_sentinel.py", "tests/test_asyncio/test_sentinel.py",
    "tests/test_asyncio/test_cwe_404.py", "tests/test_ssl.py", "tests/test_asyncio/test_ssl.py",
)  # fmt: skip

SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "redis-py", REDIS_PY, "tests", "not onlycluster and not redismod and not ssl",
            {"redis": redis_alone, "ringkeeper": node_alone}, 2217, (6379,),
            lambda port: ["--redis-url", f"redis://127.0.0.1:{port}/0"], CLIENT_ONLY,
        ),
        Suite(
            "fakeredis", FAKEREDIS, "test", "real",
            {"redis": redis_alone, "ringkeeper": node_alone}, 1512, (6390,),
            lambda _: [], ("test/test_dragonfly", "test/test_kividb", "test/test_stack"),
        ),
        Suite(
            "redis-py-cluster", REDIS_PY, "tests", "onlycluster and not redismod and not ssl",
            {"redis": redis_cluster, "ringkeeper": node_cluster}, 504, (16379,),
            lambda port: ["--redis-url", f"redis://127.0.0.1:{port}/0", "--redis-cluster-nodes", str(SHARDS)],
            CLIENT_ONLY,
        ),
    )
}  # fmt: skip


def run(suite: Suite, port: int, record: Path, tests: Sequence[str] = (), keyword: str = "") -> dict[str, Outcome]:
    """Run it, or only `tests` of it, and tell what became of each.

    Tracebacks are Python's own: pytest's parse the sources again, which CPython 3.11 sometimes dies of.
    """
    record.unlink(missing_ok=True)
    command = [
        str(PYTHON), "-m", "pytest", "-q", "-p", "compat_plugin", "-p", "no:cacheprovider", "-o", "addopts=",
        "--timeout", str(TEST_TIMEOUT), "--tb", "native", "-m", suite.marks,
        *suite.options(port), *(f"--ignore={path}" for path in suite.ignored),
        *(["-k", keyword] if keyword else []), *(tests or [suite.tests]),
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": str(HERE),
        "COMPAT_RECORD": str(record),
        "COMPAT_PORTS": json.dumps({str(fixed): port for fixed in suite.fixed_ports}),
    }
    with open(record.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            command, cwd=suite.distribution.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(RUN_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass  # the tests that never ran count as lost
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return read_record(record.read_text()) if record.exists() else {}
