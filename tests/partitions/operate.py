"""The operator of a cluster whose nodes are on machines of their own: `supervise`, as `ringkeeper up --detach` has it.

    python operate.py NAME FOLDER PLACES

PLACES is a file: by node name, the address and the words that start it there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from ringkeeper_operator.cli_common import spec_of
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_spec import Place
from ringkeeper_operator.supervisor import supervise


def read_places(file: Path) -> dict[str, Place]:
    return {name: Place(host, tuple(prefix)) for name, (host, prefix) in json.loads(file.read_text()).items()}


def main(name: str, folder: str, places: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    cluster = ClusterFolder(name, Path(folder))
    with cluster.supervised():
        asyncio.run(
            supervise(
                cluster,
                spec_of(cluster),
                read=lambda: spec_of(cluster),
                places=read_places(Path(places)).__getitem__,
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
