"""What ACL LOG keeps."""

from ringkeeper.access.denials import DenialLog, Refusal
from ringkeeper.access.permissions import Reason


def refusal(word: bytes = b"get", now: int = 0, context: str = "toplevel", client: str = "id=1") -> Refusal:
    return Refusal(Reason.COMMAND, context, word, b"u", client, now, now)


def test_like_refusals_are_one_entry_that_moves_to_the_front() -> None:
    log = DenialLog()
    log.add(refusal(now=1000))
    log.add(refusal(b"set", now=2000))
    log.add(refusal(now=3000, client="id=2"))
    first, second = log.newest(10)
    assert (first.object, first.count, first.client, first.id) == (b"get", 2, "id=2", 0)
    assert (first.created_ms, first.updated_ms) == (1000, 3000)
    assert (second.object, second.count, second.id) == (b"set", 1, 1)


def test_what_differs_or_is_long_ago_is_another_entry() -> None:
    log = DenialLog()
    log.add(refusal(now=0))
    log.add(refusal(now=60_001))
    log.add(refusal(now=60_001, context="multi"))
    assert [entry.id for entry in log.newest(10)] == [2, 1, 0]


def test_only_the_newest_entries_are_compared() -> None:
    log = DenialLog()
    for number in range(11):
        log.add(refusal(b"%d" % number))
    log.add(refusal(b"0"))
    assert [entry.object for entry in log.newest(12)][-1] == b"0"
    assert len(log.entries) == 12


def test_the_log_keeps_no_more_than_it_may_and_counts_all() -> None:
    log = DenialLog(2)
    for number in range(5):
        log.add(refusal(b"%d" % number))
    assert [entry.object for entry in log.newest(10)] == [b"4", b"3"]
    log.max_length = 0
    log.add(refusal())
    assert list(log.newest(10)) == []
    assert log.counts[Reason.COMMAND] == 6


def test_an_entry_shows_the_fields_of_acl_log() -> None:
    shown = refusal(now=1500).fields(4000)
    assert shown[b"age-seconds"] == 2.5
    assert (shown[b"reason"], shown[b"object"], shown[b"username"]) == ("command", b"get", b"u")
