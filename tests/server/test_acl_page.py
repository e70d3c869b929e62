"""What docs/acl.md shows is what a node answers."""

import re
from pathlib import Path
from typing import Any

import pytest
import redis
from server_process import serving

PAGE = Path(__file__).parents[2] / "docs" / "acl.md"
EXAMPLES = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def shown(client: redis.Redis, line: str) -> str:
    """As redis-cli shows a reply."""
    try:
        reply: Any = client.execute_command(*line.split())
    except redis.AuthenticationError as error:
        return f"(error) WRONGPASS {error}"
    except redis.exceptions.NoPermissionError as error:
        return f"(error) NOPERM {error}"
    if reply is None:
        return "(nil)"
    if isinstance(reply, int) and not isinstance(reply, bool):
        return f"(integer) {reply}"
    return reply.decode() if isinstance(reply, bytes) else "OK" if reply is True else str(reply)


@pytest.mark.timeout(60)
def test_every_example_is_right(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 2
    with serving(tmp_path) as server:
        for example in EXAMPLES:
            client = server.client(single_connection_client=True)
            told = []
            for line in example.splitlines():
                if line.startswith("> "):
                    told += [line, shown(client, line[2:])]
            assert told == example.splitlines()
