"""What the layout must keep: names that would break an import, compiled modules that the build must know."""

import importlib
import importlib.machinery
import os
import pathlib
import re
import subprocess
import sys

from ringkeeper import _compiled

ROOT = pathlib.Path(__file__).parents[2]


def test_no_file_turns_the_operator_folder_into_a_module_that_hides_the_standard_librarys() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "tests" / "operator").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.strip().endswith("operator.py"), found


def test_every_module_that_uses_cython_is_built_and_every_built_module_exists() -> None:
    users = {
        "ringkeeper." + ".".join(path.relative_to(ROOT / "node" / "ringkeeper").with_suffix("").parts)
        for path in (ROOT / "node" / "ringkeeper").rglob("*.py")
        if re.search(r"^import cython$", path.read_text(), re.MULTILINE)
    }
    assert users <= set(_compiled.MODULES)
    assert all(_compiled.source_of(module).exists() for module in _compiled.MODULES)


def test_the_form_that_the_environment_asks_for_is_the_one_that_runs() -> None:
    for module in _compiled.MODULES:
        importlib.import_module(module)
        if os.environ.get("RINGKEEPER_REQUIRE_COMPILED") == "1":
            assert _compiled.form(module) == "compiled", module
        if os.environ.get("RINGKEEPER_DISABLE_COMPILED") == "1":
            assert _compiled.form(module) == "pure", module


def test_a_binary_of_another_source_is_never_run(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "ringkeeper"
    (package / "store").mkdir(parents=True)
    for name in ("__init__.py", "_compiled.py", "store/__init__.py"):
        (package / name).write_text((ROOT / "node" / "ringkeeper" / name).read_text())
    (package / "store" / "slot.py").write_text("form = 'pure'\n")
    (package / "store" / f"slot{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"not even a binary")
    (package / "_compiled.json").write_text('{"ringkeeper.store.slot": "another digest"}')
    script = "import ringkeeper.store.slot as slot; print(slot.form)"

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}"],
            env=environment,
            capture_output=True,
            text=True,
        )

    plain = run()
    assert plain.stdout.strip() == "pure"
    assert "make build" in plain.stderr
    required = run(RINGKEEPER_REQUIRE_COMPILED="1")
    assert required.returncode != 0
    assert "make build" in required.stderr


def test_where_a_module_with_a_header_is_pure_all_are_since_binaries_call_it_in_c(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "ringkeeper"
    (package / "store").mkdir(parents=True)
    (package / "resp").mkdir()
    for name in ("__init__.py", "_compiled.py", "store/__init__.py", "resp/__init__.py"):
        (package / name).write_text((ROOT / "node" / "ringkeeper" / name).read_text())
    for name in ("store/slot", "resp/reader"):
        (package / f"{name}.py").write_text("form = 'pure'\n")
        (package / f"{name}{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"not even a binary")
    script = (
        f"import json, pathlib, sys; sys.path.insert(0, {str(tmp_path)!r}); from ringkeeper import _compiled;"
        "current = {'ringkeeper.resp.reader': _compiled.digest_of('ringkeeper.resp.reader')};"
        f"pathlib.Path({str(package)!r}, '_compiled.json').write_text(json.dumps(current));"
        "_compiled.MODULES = ('ringkeeper.store.slot', 'ringkeeper.resp.reader'); sys.meta_path.pop(0);"
        "_compiled.choose_forms(); import ringkeeper.resp.reader as reader; print(reader.form)"
    )

    def run() -> str:
        done = subprocess.run([sys.executable, "-I", "-c", script], env={}, capture_output=True, text=True)
        return done.stdout.strip() or done.stderr

    assert "ImportError" in run(), "without a header, the binary is loaded"
    (package / "store" / "slot.pxd").write_text("cpdef int key_slot(bytes key) except -1\n")
    assert run() == "pure"
