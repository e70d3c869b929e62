"""python tests/compat/run.py --suite redis-py --keyword zadd: suites that nobody here wrote, on Redis and on a node.

A test that Redis passes and we do not must be listed in expected.txt, under the subject that excuses it.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).parents[1])]

from compat import distributions, outcomes, suites  # noqa: E402

HERE = pathlib.Path(__file__).parent
RESULTS = distributions.CACHE / "results"
REPEATED_AT_MOST = 30


def results(suite: suites.Suite, server: str, arguments: argparse.Namespace) -> dict[str, outcomes.Outcome]:
    """Run the suite against a fresh server of that name, or read what the last whole run has left."""
    record = RESULTS / f"{suite.name}-{server}.jsonl"
    if server == "redis" and arguments.kept and record.exists():
        return outcomes.read_record(record.read_text())
    if arguments.tests or arguments.keyword:
        record = record.with_stem(f"{record.stem}-part")
    with tempfile.TemporaryDirectory() as folder, suite.servers[server](pathlib.Path(folder)) as port:
        return suites.run(suite, port, record, arguments.tests, arguments.keyword)


def again(suite: suites.Suite, server: str, tests: list[str]) -> dict[str, outcomes.Outcome]:
    """Run these once more, alone. On a busy machine some tests miss the moment they wait for, on Redis as here; more
    than a few are no accident and stay as they are."""
    if not 0 < len(tests) <= REPEATED_AT_MOST:
        return {}
    record = RESULTS / f"{suite.name}-{server}-again.jsonl"
    with tempfile.TemporaryDirectory() as folder, suite.servers[server](pathlib.Path(folder)) as port:
        repeated = suites.run(suite, port, record, tests)
    return {test: outcome for test, outcome in repeated.items() if outcome.result == outcomes.PASSED}


def compared(
    suite: suites.Suite, expected: list[outcomes.Expectation], arguments: argparse.Namespace
) -> outcomes.Verdict:
    is_whole = not (arguments.tests or arguments.keyword)
    theirs = results(suite, "redis", arguments)
    ours = results(suite, "ringkeeper", arguments)
    if not is_whole:
        theirs = {test: outcome for test, outcome in theirs.items() if test in ours}
    second = {"redis": again(suite, "redis", outcomes.failed_on_both(theirs, ours))}
    theirs |= second["redis"]
    unexpected = outcomes.judge(suite.name, theirs, ours, expected).unexpected
    second["ringkeeper"] = again(suite, "ringkeeper", sorted(unexpected))
    ours |= second["ringkeeper"]
    verdict = outcomes.judge(suite.name, theirs, ours, expected)
    verdict.second = {server: sorted(tests) for server, tests in second.items()}
    verdict.missing = suite.floor - verdict.theirs[outcomes.PASSED] if is_whole else 0
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", choices=suites.SUITES, help="these only; all without it")
    parser.add_argument("--keyword", default="", help="pytest's -k")
    parser.add_argument("--kept", action="store_true", help="Redis's outcomes as the last whole run left them")
    parser.add_argument("tests", nargs="*", help="paths inside the distribution")
    arguments = parser.parse_args()
    distributions.prepare_environment()
    RESULTS.mkdir(parents=True, exist_ok=True)
    subjects, expected = outcomes.read_expected((HERE / "expected.txt").read_text())
    verdicts = []
    for name in arguments.suite or suites.SUITES:
        suite = suites.SUITES[name]
        distributions.fetch(suite.distribution)
        verdicts.append(compared(suite, expected, arguments))
    print(outcomes.render(verdicts, subjects))
    return any(verdict.is_bad for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
