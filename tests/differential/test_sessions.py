"""A short run of several sessions beside Valkey; `make soak` has the long one."""

import importlib.util
import pathlib

import pytest

spec = importlib.util.spec_from_file_location("differential_sessions", pathlib.Path(__file__).with_name("sessions.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("protocol", [2, 3])
def test_sessions_see_what_they_would_see_of_a_real_server(tmp_path: pathlib.Path, protocol: int) -> None:
    assert runner.run(4000, 1, protocol, tmp_path) == ""
