"""What pages of docs/ show is what a node answers."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import redis
from server_process import serving

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"acl.md": 2, "eviction.md": 2}
"""And how many examples each has."""


def shown(client: redis.Redis, line: str) -> str:
    """As redis-cli shows a reply."""
    try:
        reply: Any = client.execute_command(*shlex.split(line))
    except redis.AuthenticationError as error:
        return f"(error) WRONGPASS {error}"
    except redis.exceptions.NoPermissionError as error:
        return f"(error) NOPERM {error}"
    except redis.OutOfMemoryError as error:
        return f"(error) OOM {error}"
    if reply is None:
        return "(nil)"
    if isinstance(reply, int) and not isinstance(reply, bool):
        return f"(integer) {reply}"
    return reply.decode() if isinstance(reply, bytes) else "OK" if reply is True else str(reply)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_right(tmp_path: Path, page: str) -> None:
    examples = re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == PAGES[page]
    with serving(tmp_path) as server:
        for example in examples:
            client = server.client(single_connection_client=True)
            client.response_callbacks.clear()
            told = []
            for line in example.splitlines():
                if line.startswith("> "):
                    told += [line, shown(client, line[2:])]
            assert told == example.splitlines()
