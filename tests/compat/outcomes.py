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
    """A line of expected.txt: tests that are lost, and the subject which says why."""

    subject: str
    suite: str
    pattern: str

    def matches(self, suite: str, test: str) -> bool:
        # Only * is special: test ids are full of brackets.
        expression = ".*".join(map(re.escape, self.pattern.split("*")))
        return self.suite in ("*", suite) and re.fullmatch(expression, test) is not None


def read_expected(text: str) -> tuple[dict[str, str], list[Expectation]]:
    """The subjects with their reasons, and the lines under them: `[subject] reason`, then `suite pattern` each."""
    subjects: dict[str, str] = {}
    expected = []
    subject = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(.+?)\] (.+)", line):
            subject, reason = heading.groups()
            subjects[subject] = reason
            continue
        suite, _, pattern = line.partition(" ")
        if not subject or not pattern:
            raise ValueError(f"line {number} is neither `[subject] reason` nor `suite pattern` under one: {line}")
        expected.append(Expectation(subject, suite, pattern.strip()))
    return subjects, expected


@dataclass(slots=True)
class Verdict:
    """Of one suite: the counts, the tests lost by subject, those that nobody expected, and those listed that pass."""

    suite: str
    theirs: Counter[str]
    ours: Counter[str]
    excused: dict[str, list[str]] = field(default_factory=dict)
    unexpected: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


def is_lost(theirs: Outcome | None, ours: Outcome) -> bool:
    """Whether Redis passes it and we do not; a failure counts too where Redis, being older, skips the test."""
    if ours.result == PASSED or theirs is None:
        return False
    return theirs.result == PASSED or (theirs.result == SKIPPED and ours.result == FAILED)


def lost_tests(theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome]) -> list[str]:
    never_ran = Outcome(FAILED, "never ran: the run ended before it")
    return sorted(test for test in theirs if is_lost(theirs[test], ours.get(test, never_ran)))


def judge(
    suite: str, theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome], expected: Iterable[Expectation]
) -> Verdict:
    verdict = Verdict(suite, Counter(o.result for o in theirs.values()), Counter(o.result for o in ours.values()))
    of_suite = [line for line in expected if line.suite in ("*", suite)]
    lost = set(lost_tests(theirs, ours))
    for test in sorted(theirs):
        line = next((line for line in of_suite if line.matches(suite, test)), None)
        if test in lost and line is None:
            verdict.unexpected[test] = ours[test].reason if test in ours else "never ran"
        elif test in lost and line is not None:
            verdict.excused.setdefault(line.subject, []).append(test)
        elif line is not None and theirs[test].result == PASSED:
            verdict.kept.append(test)
    return verdict


def render(verdicts: Iterable[Verdict], subjects: Mapping[str, str]) -> str:
    lines = [f"{'suite':<18}{'server':<12}{'passed':>8}{'failed':>8}{'skipped':>9}"]
    found: list[str] = []
    for verdict in verdicts:
        for server, counts in (("redis", verdict.theirs), ("ringkeeper", verdict.ours)):
            cells = f"{counts[PASSED]:>8}{counts[FAILED]:>8}{counts[SKIPPED]:>9}"
            lines.append(f"{verdict.suite:<18}{server:<12}{cells}")
        for subject, tests in sorted(verdict.excused.items()):
            lines.append(f"  lost, as expected: {len(tests):>4}  {subject}: {subjects[subject]}")
        if verdict.unexpected:
            lines.append(f"  LOST, UNEXPECTED:  {len(verdict.unexpected):>4}")
            found += [f"{verdict.suite} {test}\n    {reason}" for test, reason in verdict.unexpected.items()]
        if verdict.kept:
            lines.append(f"  listed, but pass:  {len(verdict.kept):>4}")
            found += [f"{verdict.suite} {test}\n    is listed in expected.txt, but passes" for test in verdict.kept]
    return "\n".join([*found, "", *lines])
