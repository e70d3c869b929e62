"""Builds the hot modules with Cython, in place or in a wheel; everything else is in pyproject.toml.

`REQUIRE_COMPILED=1` makes a missing C compiler an error. Without it, the build goes on in the pure form and says so.
"""

import json
import os
import pathlib
import runpy

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path("node/ringkeeper")
FORMS = runpy.run_path(str(HERE / PACKAGE / "_compiled.py"))
MODULES: tuple[str, ...] = FORMS["MODULES"]
DIGESTS: dict[str, str] = {module: FORMS["digest_of"](module) for module in MODULES}
"""Of the sources as they are before anything is compiled: a change amid that makes the binary a stale one."""
REQUIRED = os.environ.get("REQUIRE_COMPILED") == "1"


def source_of(module: str) -> pathlib.Path:
    return pathlib.Path("node", *module.split(".")).with_suffix(".py")


class BuildExtensions(build_ext):
    """Compiles, then records which source each binary was made from, so that a stale one is never run."""

    def run(self) -> None:
        super().run()
        built = {
            extension.name: DIGESTS[extension.name]
            for extension in self.extensions
            if pathlib.Path(self.get_ext_fullpath(extension.name)).exists()
        }
        if missing := sorted({extension.name for extension in self.extensions} - built.keys()):
            print(
                f"ringkeeper: no C compiler, so these stay in the slow pure form: {', '.join(missing)}. "
                "Install one (apt-get install gcc python3-dev) and build again."
            )
        folder = HERE / PACKAGE if self.inplace else pathlib.Path(self.build_lib, "ringkeeper")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "_compiled.json").write_text(json.dumps(built, indent=1, sort_keys=True) + "\n")

    def get_source_files(self) -> list[str]:
        return [str(source_of(module)) for module in MODULES]


def extensions() -> list[Extension]:
    from Cython.Build import cythonize

    return cythonize(
        [
            Extension(module, [str(source_of(module))], optional=not REQUIRED, extra_compile_args=["-O2", "-g0"])
            for module in MODULES
        ],
        build_dir="build/cython",
        include_path=["node"],
        compiler_directives={"language_level": "3", "binding": True, "freethreading_compatible": False},
        quiet=True,
    )


# An editable install takes the sources as they are; `scripts/setup` compiles them in place afterwards.
SKIPPED = os.environ.get("RINGKEEPER_SKIP_EXTENSIONS") == "1"

setup(ext_modules=[] if SKIPPED else extensions(), cmdclass={"build_ext": BuildExtensions})
