"""A short run of what `make soak` does at length."""

import importlib.util
import pathlib

import pytest

spec = importlib.util.spec_from_file_location("differential_run", pathlib.Path(__file__).with_name("run.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("group", runner.GROUPS)
def test_random_commands_get_the_replies_of_a_real_redis(tmp_path: pathlib.Path, group: str, protocol: int) -> None:
    found = runner.run(20_000, 1, protocol, tmp_path, group)
    assert not found, "\n".join(map(runner.show, found))
