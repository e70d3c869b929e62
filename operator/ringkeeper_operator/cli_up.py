"""`ringkeeper up`: a cluster of processes on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.cli_change import change_running
from ringkeeper_operator.cli_common import BAD_INPUT, fail, keeps_data, leave, name_option, named, spec_of
from ringkeeper_operator.cli_preflight import check_ports, check_running, place_for
from ringkeeper_operator.loading_bar import LoadingBar
from ringkeeper_operator.manifest import Manifest, ManifestError
from ringkeeper_operator.model import Action, Spec
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.status import WRITES_MAY_BE_LOST

READY_SECONDS = 60.0
REPLICAS_SECONDS = 15.0
POLL_SECONDS = 0.02


@click.command()
@click.option("--file", "-f", "file", required=True, metavar="FILE", help="The manifest; - reads standard input.")
@name_option
@click.option("--base-port", default=6400, show_default=True, help="The first node's port; the others follow.")
@click.option("--data", metavar="DIR", help="The folder for what the cluster keeps; default: a folder of your own.")
@click.option("--detach", "-d", is_flag=True, help="Return when all slots are served; the cluster goes on.")
def up(file: str, name: str | None, base_port: int, data: str | None, detach: bool) -> None:
    """Start the cluster of a manifest as processes on this machine.

    The same file as for `kubectl apply`. Nodes listen on 127.0.0.1 alone. Without --detach the cluster lives until
    Ctrl-C. For a cluster that is up, another `eviction`, other `namespaces` and another `persistence` are handed to its
    nodes. With `persistence`, each node keeps its data in a folder of its own beneath --data.
    """
    text, source = read(file)
    loaded, cluster_name = load(text, source, name)
    if change_running(loaded, cluster_name, text, data):
        return
    folder = place_for(cluster_name, data)
    spec = manifest.spec_of(named(loaded.cluster, cluster_name), uid=folder.uid)
    password = password_of(loaded, spec)
    check_ports(folder, spec, base_port)
    check_running(folder, spec, base_port, password)
    for field in manifest.ignored_on_laptop(loaded.cluster):
        click.echo(f"{field} has no meaning on this machine and is ignored", err=True)
    with taken(folder, spec, base_port, text, password) as lock:
        if detach:
            start_detached(folder, spec, lock)
        else:
            run_here(folder, spec)


@contextlib.contextmanager
def taken(folder: ClusterFolder, spec: Spec, base_port: int, text: str, password: str | None) -> Iterator[IO[str]]:
    """The folder, locked and written to; ends the program, leaving nothing new, where that is not possible."""
    existed = folder.path.exists()
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(folder.supervised())
            folder.enter(base_port, text, password, folder.width_for(spec))
            folder.make_tokens()
        except OSError as error:
            if not existed:
                folder.remove()
            fail(
                f"cannot write {error.filename or folder.path}: {error.strerror}; name a folder that you may write to "
                "with --data"
            )
        yield lock


def read(file: str) -> tuple[str, str]:
    try:
        if file == "-":
            return sys.stdin.read(), "standard input"
        return Path(file).read_text(), file
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fail(f"cannot read {file}: {reason}", BAD_INPUT)


def load(text: str, source: str, name: str | None) -> tuple[Manifest, str]:
    """The manifest and the cluster's name, both checked."""
    try:
        loaded = manifest.load(text, source)
    except ManifestError as error:
        fail("\n".join(error.problems), BAD_INPUT)
    if name is None:
        return loaded, str(loaded.cluster["metadata"]["name"])
    try:
        manifest.spec_of(named(loaded.cluster, name), uid="")
    except ManifestError as error:
        fail("\n".join(f"--name {name}: {problem}" for problem in error.problems), BAD_INPUT)
    return loaded, name


def password_of(loaded: Manifest, spec: Spec) -> str | None:
    if spec.auth_secret is None:
        return None
    try:
        return loaded.secrets[spec.auth_secret]["password"].decode()
    except UnicodeDecodeError:
        fail(f"Secret {spec.auth_secret}: password: must be UTF-8 text", BAD_INPUT)


def start_detached(folder: ClusterFolder, spec: Spec, lock: IO[str]) -> None:
    """Start the supervisor, which inherits the lock, and return when all slots are served."""
    with open(folder.supervisor_log, "ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "ringkeeper_operator.cli", "supervise", "--name", folder.name,
             "--data", str(folder.path), "--lock", str(lock.fileno())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            pass_fds=[lock.fileno()],
        )  # fmt: skip
    try:
        await_ready(folder, spec, supervisor)
    except KeyboardInterrupt:
        fail(f"{folder.name} goes on starting; `ringkeeper down --name {folder.name}` stops it", 130)


def await_ready(folder: ClusterFolder, spec: Spec, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    told = ""
    bar = LoadingBar()
    ready_at = 0.0
    while time.monotonic() < deadline:
        status = folder.status()
        message = str(status.get("message", ""))
        if message and message != told:
            told = message
            bar.tell(f"  {message}")
        if bar.show(status):
            deadline = time.monotonic() + READY_SECONDS
        if condition(status, "ConfigurationWarning", but=WRITES_MAY_BE_LOST):
            fail(f"{message}; the cluster goes on as it was, `ringkeeper status` shows it")
        if condition(status, "Ready"):
            ready_at = ready_at or time.monotonic()
            if catches_up(status, spec, ready_at):
                time.sleep(POLL_SECONDS)
                continue
            bar.clear()
            click.echo(farewell(folder, spec))
            return
        if supervisor.poll() is not None:
            last = (folder.supervisor_log.read_text().splitlines() or ["it said nothing"])[-1]
            fail(f"the supervisor of {folder.name} ended: {last} (log: {folder.supervisor_log})")
        time.sleep(POLL_SECONDS)
    fail(
        f"{folder.name} does not serve all slots after {READY_SECONDS:.0f} s: {told or 'no word from the supervisor'} "
        f"(log: {folder.supervisor_log}); it goes on trying, `ringkeeper down --name {folder.name}` stops it"
    )


def catches_up(status: dict[str, Any], spec: Spec, ready_at: float) -> bool:
    """Whether replicas need a moment yet until they can take over; a cluster that serves is not kept long by them."""
    if not spec.replicas_per_shard or time.monotonic() > ready_at + REPLICAS_SECONDS:
        return False
    return any(not (replica["state"] == "online" and replica["voter"]) for replica in replicas_in(status))


def replicas_in(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [replica for row in status.get("shardStatuses", ()) for replica in row.get("replicas", ())]


def condition(status: dict[str, object], kind: str, *, but: str = "") -> bool:
    """Whether it is true, for another reason than `but`."""
    conditions = status.get("conditions")
    return isinstance(conditions, list) and any(
        entry.get("type") == kind and entry.get("status") == "True" and entry.get("reason") != but
        for entry in conditions
    )


def run_here(folder: ClusterFolder, spec: Spec) -> None:
    from ringkeeper_operator.supervisor import supervise

    bar = LoadingBar()

    def tell(action: Action) -> None:
        bar.tell(f"  {action.message}")

    def ready() -> None:
        bar.clear()
        click.echo(farewell(folder, spec, here=True))

    asyncio.run(supervise(folder, spec, read=lambda: spec_of(folder), tell=tell, ready=ready, seen=bar.show))
    click.echo(leave(folder, keep=keeps_data(folder)), err=True)


def replicas_of(spec: Spec) -> str:
    count = spec.replicas_per_shard
    return f" with {count} {'replica' if count == 1 else 'replicas'} each" if count else ""


def farewell(folder: ClusterFolder, spec: Spec, *, here: bool = False) -> str:
    password = folder.password()
    secret = f" --no-auth-warning -a {shlex.quote(password)}" if password else ""
    stop = "Ctrl-C" if here else f"ringkeeper down --name {folder.name}"
    kept = f"\n  data:    {folder.path}" if spec.volume is not None else ""
    return (
        f"{folder.name} is up: {spec.shards} {'shard' if spec.shards == 1 else 'shards'}{replicas_of(spec)}, all slots "
        "served.\n"
        f"  use it:  redis-cli -c -p {folder.base_port}{secret}\n"
        f"  see it:  ringkeeper status --name {folder.name}\n"
        f"  stop it: {stop}{kept}"
    )


@click.command(hidden=True)
@click.option("--name", required=True)
@click.option("--data", required=True)
@click.option("--lock", required=True, type=int, help="The inherited, locked supervisor.lock.")
def supervise_command(name: str, data: str, lock: int) -> None:
    """What `up --detach` leaves running."""
    from ringkeeper_operator.supervisor import supervise

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = ClusterFolder(name, Path(data))
    os.set_inheritable(lock, False)
    with open(lock, "r+") as held:
        folder.sign(held)
        asyncio.run(supervise(folder, spec_of(folder), read=lambda: spec_of(folder)))
