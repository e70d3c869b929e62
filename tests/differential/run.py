"""python tests/differential/run.py --commands 300000 --seed 0: random commands beside Redis and Valkey.

The commands of a group are shared out among the peers, standalone and cluster mode, and the two protocols. A difference
is shown with few commands that lead there.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

from groups import GROUPS, peers_of  # noqa: E402
from machine import Differs, Pair, Setting, replay, run_machine  # noqa: E402, F401
from servers import MODES, PEERS, Servers  # noqa: E402

PROTOCOLS = (2, 3)


def settings_of(
    group: str, *, peers: tuple[str, ...] = PEERS, modes: tuple[str, ...] = MODES,
    protocols: tuple[int, ...] = PROTOCOLS,
) -> list[tuple[str, str, int]]:  # fmt: skip
    """Peer, mode and protocol: where a group is compared."""
    chosen = [peer for peer in peers_of(group) if peer in peers]
    return [(peer, mode, protocol) for peer in chosen for mode in modes for protocol in protocols]


def setting_of(place: tuple[str, str, int], servers: Servers) -> Setting:
    peer, mode, protocol = place
    return Setting(peer, mode, protocol, (servers.port(peer, mode), servers.port("ours", mode)))


def run(
    group: str, place: tuple[str, str, int], commands: int, seed: int, servers: Servers, *, shorten: bool = True
) -> int:
    """How many commands were run; raises `Differs`."""
    return run_machine(group, setting_of(place, servers), commands, seed, shorten=shorten)


def show_again(file: pathlib.Path, servers: Servers) -> bool:
    """Whether a difference that was shown, and put into a file, is still there."""
    text = file.read_text()
    peer, mode, protocol, *_ = text.split()
    found = replay(setting_of((peer, mode, int(protocol)), servers), text)
    print(found or "no difference")
    return found is not None


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--commands", type=int, default=20_000, help="for each group, over all its settings")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--group", choices=GROUPS, help="one group only")
    options.add_argument("--peer", choices=PEERS, help="one peer only")
    options.add_argument("--mode", choices=MODES, help="one mode only")
    options.add_argument("--resp", type=int, choices=PROTOCOLS, help="one protocol only")
    options.add_argument("--as-found", action="store_true", help="do not shorten what leads to a difference")
    options.add_argument(
        "--replay", type=pathlib.Path, help="run the commands in this file, as a difference shows them"
    )
    chosen = options.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder, Servers(pathlib.Path(folder)) as servers:
        if chosen.replay:
            return show_again(chosen.replay, servers)
        for group in [chosen.group] if chosen.group else GROUPS:
            places = settings_of(
                group,
                peers=(chosen.peer,) if chosen.peer else PEERS,
                modes=(chosen.mode,) if chosen.mode else MODES,
                protocols=(chosen.resp,) if chosen.resp else PROTOCOLS,
            )
            for place in places:
                started = time.monotonic()
                try:
                    done = run(
                        group,
                        place,
                        -(-chosen.commands // len(places)),
                        chosen.seed,
                        servers,
                        shorten=not chosen.as_found,
                    )
                    found = f"{done} commands, no difference"
                except Differs as difference:
                    failed, found = True, f"a difference\n{difference}"
                print(f"{group} {' '.join(map(str, place))}: {found}, {time.monotonic() - started:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
