"""Ranges by member where scores differ: Redis promises nothing there, but answers, and redis-py's tests ask."""

import contextlib
import sys
from pathlib import Path
from random import Random

from real_redis import real_redis

sys.path.append(str(Path(__file__).parents[1] / "differential"))

from compare import Peer
from in_process import InProcess

ENDS = [b"-", b"+", *(kind + text for kind in (b"[", b"(") for text in (b"", b"a", b"b", b"bb", b"c", b"d"))]


def test_a_small_set_of_differing_scores_is_walked_as_redis_walks_it(tmp_path: Path) -> None:
    random = Random(1)
    ours = InProcess(2)
    batch = []
    for _ in range(100):
        entries = [(b"%d" % random.randrange(3), member) for member in random.sample([b"a", b"b", b"c", b"d", b""], 4)]
        batch += [[b"DEL", b"z"], [b"ZADD", b"z", *(word for entry in entries for word in entry)]]
        for _ in range(10):
            ends = random.choices(ENDS, k=2)
            batch += [[b"ZRANGEBYLEX", b"z", *ends], [b"ZLEXCOUNT", b"z", *ends]]
        batch += [[b"ZREMRANGEBYLEX", b"z", *random.choices(ENDS, k=2)], [b"ZRANGE", b"z", b"0", b"-1"]]
    with real_redis(tmp_path) as port, contextlib.closing(Peer(port, 2)) as theirs:
        replies = zip(batch, theirs.run(batch), ours.run(batch), strict=True)
    assert [(line, one, other) for line, one, other in replies if one != other] == []
    ours.check()
