"""A short run of users and their rules beside Valkey and Redis; `make soak` has the long one."""

import importlib.util
import pathlib

import pytest
from real_redis import real_redis
from server_process import serving

spec = importlib.util.spec_from_file_location("differential_acl", pathlib.Path(__file__).with_name("acl.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("protocol", [2, 3])
def test_users_and_their_sessions_are_those_of_a_real_server(tmp_path: pathlib.Path, protocol: int) -> None:
    assert runner.run(2000, 1, protocol, tmp_path) == ""


def test_the_oldest_redis_with_selectors_comes_to_the_same_verdicts(tmp_path: pathlib.Path) -> None:
    with real_redis(tmp_path, "redis") as port, serving(tmp_path) as node:
        assert runner.run_rules(1000, 1, 2, (port, node.port), verdicts_only=True) == ""
