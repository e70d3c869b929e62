"""All of docs/benchmarks.md in one run, part after part: `make bench`, or `python bench/everything.py --quick`.

Every part is a script that can be called alone and says with --help what it can do.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import time

PARTS = {
    "throughput": ["compare.py"],
    "latency": ["latency.py"],
    "memory": ["rss.py"],
    "growth": ["growth.py"],
    "eviction": ["full.py"],
    "snapshots": ["persistence.py"],
    "append-only": ["append_only.py"],
    "full-sync": ["full_sync.py"],
    "failover": ["failover.py"],
    "resharding": ["resharding.py"],
    "misses": ["miss_ratio.py", "--server"],
}
"""Part -> the script that measures it. Each compares the servers with each other within itself."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure everything, beside Redis and Valkey.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}; all unless given")
    parser.add_argument("--quick", action="store_true", help="little of each: to see that it works")
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    flags = [flag for flag, wanted in (("--quick", options.quick), ("--write", options.write)) if wanted]
    failed = []
    for part in options.parts or PARTS:
        script, *words = PARTS[part]
        began = time.monotonic()
        print(f"\n## {part}\n", flush=True)
        command = [sys.executable, str(pathlib.Path(__file__).with_name(script)), *words, *flags]
        if subprocess.run(command).returncode:
            failed.append(part)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    for part in failed:
        print(f"bench: {part} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
