"""What became of each test on each server, and what of that was expected. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# The worst of a test's phases counts.
RANK = {PASSED: 0, SKIPPED: 1, FAILED: 2}


@dataclass(frozen=True, slots=True)
class Outcome:
    result: str
    text: str = ""

    @property
    def reason(self) -> str:
        """The error at the end of the traceback."""
        lines = [line for line in self.text.splitlines() if line.strip() and not line.startswith(" ")]
        return lines[-1] if lines else self.result


NEVER_RAN = Outcome(FAILED, "never ran: the run ended before it")


def read_record(text: str) -> dict[str, Outcome]:
    """The outcomes by test id, from what compat_plugin.py has written."""
    outcomes: dict[str, Outcome] = {}
    for line in text.splitlines():
        entry = json.loads(line)
        known = outcomes.get(entry["test"])
        if known is None or RANK[entry["outcome"]] > RANK[known.result]:
            outcomes[entry["test"]] = Outcome(entry["outcome"], entry["text"])
    return outcomes


@dataclass(frozen=True, slots=True)
class Expectation:
    """A line of expected.txt: tests that are lost, and the subject which says why and what their failures say."""

    subject: str
    suite: str
    pattern: str
    says: str = ""

    def matches(self, suite: str, test: str) -> bool:
        # Only * is special: test ids are full of brackets.
        expression = ".*".join(map(re.escape, self.pattern.split("*")))
        return self.suite in ("*", suite) and re.fullmatch(expression, test) is not None

    def excuses(self, outcome: Outcome) -> bool:
        """Whether it failed for the subject's reason: a fault of ours must not hide under another one's name."""
        return re.search(self.says, outcome.text) is not None


def read_expected(text: str) -> tuple[dict[str, str], list[Expectation]]:
    """The subjects with their reasons, and the lines under them.

    A subject is `[subject] reason`, then `/what failures say, a regular expression/`, then `suite pattern` each.
    """
    subjects: dict[str, str] = {}
    expected = []
    subject = says = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(.+?)\] (.+)", line):
            subject, reason = heading.groups()
            subjects[subject] = reason
            says = ""
            continue
        if subject and (expression := re.fullmatch(r"/(.+)/", line)):
            says = expression[1]
            continue
        suite, _, pattern = line.partition(" ")
        if not says or not pattern:
            raise ValueError(
                f"line {number} is not `[subject] reason`, `/expression/` or `suite pattern` in order: {line}"
            )
        expected.append(Expectation(subject, suite, pattern.strip(), says))
    return subjects, expected


@dataclass(slots=True)
class Verdict:
    """Of one suite: the counts, the tests lost by subject, those that nobody expected, and those listed that pass.

    `both` counts the tests that pass on both servers. `second` names by server those that passed only when they ran
    again, alone. `missing` is how many Redis passes too few: the suite did not run as it should.
    """

    suite: str
    theirs: Counter[str]
    ours: Counter[str]
    both: int = 0
    excused: dict[str, list[str]] = field(default_factory=dict)
    unexpected: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    second: dict[str, list[str]] = field(default_factory=dict)
    missing: int = 0

    @property
    def is_bad(self) -> bool:
        return bool(self.unexpected or self.kept or self.missing > 0)


def is_lost(theirs: Outcome | None, ours: Outcome) -> bool:
    """Whether Redis passes it and we do not; a failure counts too where Redis, being older, skips the test."""
    if ours.result == PASSED or theirs is None:
        return False
    return theirs.result == PASSED or (theirs.result == SKIPPED and ours.result == FAILED)


def lost_tests(theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome]) -> list[str]:
    return sorted(test for test in theirs if is_lost(theirs[test], ours.get(test, NEVER_RAN)))


def failed_on_both(theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome]) -> list[str]:
    """What says nothing of us unless Redis passes it at another time."""
    return sorted(test for test, o in theirs.items() if test in ours and o.result == ours[test].result == FAILED)


def judge(
    suite: str, theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome], expected: Iterable[Expectation]
) -> Verdict:
    verdict = Verdict(suite, Counter(o.result for o in theirs.values()), Counter(o.result for o in ours.values()))
    of_suite = [line for line in expected if line.suite in ("*", suite)]
    lost = set(lost_tests(theirs, ours))
    for test in sorted(theirs):
        line = next((line for line in of_suite if line.matches(suite, test)), None)
        outcome = ours.get(test, NEVER_RAN)
        if test in lost and line is not None and line.excuses(outcome):
            verdict.excused.setdefault(line.subject, []).append(test)
        elif test in lost:
            verdict.unexpected[test] = outcome.reason
        elif line is not None and theirs[test].result == PASSED:
            verdict.kept.append(test)
    verdict.both = sum(
        theirs[test].result == PASSED == outcome.result for test, outcome in ours.items() if test in theirs
    )
    return verdict


def render(verdicts: Iterable[Verdict], subjects: Mapping[str, str]) -> str:
    lines = [f"{'suite':<18}{'server':<12}{'passed':>8}{'failed':>8}{'skipped':>9}"]
    found: list[str] = []
    for verdict in verdicts:
        for server, counts in (("redis", verdict.theirs), ("ringkeeper", verdict.ours)):
            cells = f"{counts[PASSED]:>8}{counts[FAILED]:>8}{counts[SKIPPED]:>9}"
            lines.append(f"{verdict.suite:<18}{server:<12}{cells}")
        lines.append(f"  passed on both:    {verdict.both:>4}")
        if verdict.missing > 0:
            lines.append(f"  REDIS PASSES TOO FEW by {verdict.missing}: the suite did not run as it should")
        for server, tests in verdict.second.items():
            lines += [f"  on {server} at the second try only: {test}" for test in tests]
        for subject, tests in sorted(verdict.excused.items()):
            lines.append(f"  lost, as expected: {len(tests):>4}  {subject}: {subjects[subject]}")
        if verdict.unexpected:
            lines.append(f"  LOST, UNEXPECTED:  {len(verdict.unexpected):>4}")
            found += [f"{verdict.suite} {test}\n    {reason}" for test, reason in verdict.unexpected.items()]
        if verdict.kept:
            lines.append(f"  listed, but pass:  {len(verdict.kept):>4}")
            found += [f"{verdict.suite} {test}\n    is listed in expected.txt, but passes" for test in verdict.kept]
    return "\n".join([*found, "", *lines])
