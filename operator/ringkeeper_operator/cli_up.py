"""`ringkeeper up` and `ringkeeper down`: a cluster of processes on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.cli_common import BAD_INPUT, data_option, fail, find_cluster, name_option, named, spec_of
from ringkeeper_operator.manifest import Manifest, ManifestError
from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Action, Spec, node_name
from ringkeeper_operator.runtime.local import HOST, LocalRuntime
from ringkeeper_operator.runtime.local_folder import ClusterFolder, FolderError, find
from ringkeeper_operator.supervisor import supervise

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


@click.command()
@click.option("--file", "-f", "file", required=True, metavar="FILE", help="The manifest; - reads standard input.")
@name_option
@click.option("--base-port", default=6400, show_default=True, help="The first node's port; the others follow.")
@click.option("--data", metavar="DIR", help="The folder for what the cluster keeps; default: a folder of your own.")
@click.option("--detach", "-d", is_flag=True, help="Return when all slots are served; the cluster goes on.")
def up(file: str, name: str | None, base_port: int, data: str | None, detach: bool) -> None:
    """Start the cluster of a manifest as processes on this machine.

    The same file as for `kubectl apply`. Nodes listen on 127.0.0.1 alone. Without --detach the cluster lives until
    Ctrl-C.
    """
    text, source = read(file)
    try:
        loaded = manifest.load(text, source)
        cluster_name = name or str(loaded.cluster["metadata"]["name"])
        folder = place_for(cluster_name, data)
        spec = manifest.spec_of(named(loaded.cluster, cluster_name), uid=folder.uid)
    except ManifestError as error:
        fail("\n".join(error.problems), BAD_INPUT)
    check_ports(folder, spec, base_port)
    for field in manifest.ignored_on_laptop(loaded.cluster):
        click.echo(f"{field} has no meaning on this machine and is ignored", err=True)
    try:
        folder = ClusterFolder.create(cluster_name, data, base_port, text)
        folder.set_password(password_of(loaded, spec))
        (folder.path / "status.json").unlink(missing_ok=True)
    except OSError as error:
        fail(f"cannot write {error.filename}: {error.strerror}; name a folder that you may write to with --data")
    if detach:
        start_detached(folder, spec)
    else:
        run_here(folder, spec)


def read(file: str) -> tuple[str, str]:
    try:
        if file == "-":
            return sys.stdin.read(), "standard input"
        return Path(file).read_text(), file
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fail(f"cannot read {file}: {reason}", BAD_INPUT)


def place_for(name: str, data: str | None) -> ClusterFolder:
    """Where the cluster will be; ends the program if it is up already."""
    folder = find(name) or ClusterFolder.default(name)
    if folder.supervisor_pid() is not None:
        fail(folder.already_up())
    return folder if data is None else ClusterFolder(name, Path(data).absolute())


def check_ports(folder: ClusterFolder, spec: Spec, base_port: int) -> None:
    """Every port must be free, but for those of this cluster's own nodes, which are adopted."""
    last = base_port + spec.shards - 1
    if base_port < 1 or last + ADMIN_PORT_OFFSET > 65535:
        fail(
            f"--base-port {base_port}: the {spec.shards} nodes need the ports up to {last}, and each the one "
            f"{ADMIN_PORT_OFFSET} above it; must be 1 to {65535 - ADMIN_PORT_OFFSET - spec.shards + 1}",
            BAD_INPUT,
        )
    if folder.exists():
        runtime = LocalRuntime(folder)
        running = [node_name(spec.name, i, 0) for i in range(spec.shards)]
        if any(runtime.process(name).pid() is not None for name in running):
            if folder.base_port != base_port:
                fail(
                    f"nodes of {spec.name} still run from port {folder.base_port} on; give --base-port "
                    f"{folder.base_port} to take them over, or `ringkeeper down --name {spec.name}` first"
                )
            return
    for port in range(base_port, last + 1):
        for number in (port, port + ADMIN_PORT_OFFSET):
            if not is_free(number):
                what = "" if number == port else f" (the admin port of the node on {port})"
                fail(f"port {number}{what} is taken by another program; choose others with --base-port")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def password_of(loaded: Manifest, spec: Spec) -> str | None:
    if spec.auth_secret is None:
        return None
    return loaded.secrets[spec.auth_secret]["password"].decode()


def start_detached(folder: ClusterFolder, spec: Spec) -> None:
    with open(folder.supervisor_log, "ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "ringkeeper_operator.cli", "supervise", "--name", folder.name,
             "--data", str(folder.path)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + READY_SECONDS
    told = ""
    while time.monotonic() < deadline:
        status = read_status(folder)
        message = str(status.get("message", ""))
        if message and message != told:
            told = message
            click.echo(f"  {message}", err=True)
        if is_ready(status):
            click.echo(farewell(folder, spec))
            return
        if supervisor.poll() is not None:
            last = (folder.supervisor_log.read_text().splitlines() or ["it said nothing"])[-1]
            fail(f"the supervisor of {folder.name} ended: {last} (log: {folder.supervisor_log})")
        if is_refused(status):
            fail(f"{message}; the cluster goes on as it was, `ringkeeper status` shows it")
        time.sleep(POLL_SECONDS)
    fail(
        f"{folder.name} does not serve all slots after {READY_SECONDS:.0f} s: {told or 'no word from the supervisor'} "
        f"(log: {folder.supervisor_log}); it goes on trying, `ringkeeper down --name {folder.name}` stops it"
    )


def read_status(folder: ClusterFolder) -> dict[str, object]:
    try:
        status = json.loads((folder.path / "status.json").read_bytes())
        return status if isinstance(status, dict) else {}
    except (OSError, ValueError):
        return {}


def condition(status: dict[str, object], kind: str) -> bool:
    conditions = status.get("conditions")
    return isinstance(conditions, list) and any(
        entry.get("type") == kind and entry.get("status") == "True" for entry in conditions
    )


def is_ready(status: dict[str, object]) -> bool:
    return condition(status, "Ready")


def is_refused(status: dict[str, object]) -> bool:
    return condition(status, "ConfigurationWarning")


def run_here(folder: ClusterFolder, spec: Spec) -> None:
    def tell(action: Action) -> None:
        click.echo(f"  {action.message}", err=True)

    try:
        asyncio.run(supervise(folder, spec, tell=tell, ready=lambda: click.echo(farewell(folder, spec, here=True))))
    except FolderError as error:
        fail(str(error))
    folder.remove([node_name(spec.name, shard, 0) for shard in range(spec.shards)])
    click.echo(f"{folder.name} is down.", err=True)


def farewell(folder: ClusterFolder, spec: Spec, *, here: bool = False) -> str:
    password = folder.password()
    secret = f" --no-auth-warning -a {shlex.quote(password)}" if password else ""
    stop = "Ctrl-C" if here else f"ringkeeper down --name {folder.name}"
    return (
        f"{folder.name} is up: {spec.shards} {'shard' if spec.shards == 1 else 'shards'}, all slots served.\n"
        f"  use it:  redis-cli -c -p {folder.base_port}{secret}\n"
        f"  see it:  ringkeeper status --name {folder.name}\n"
        f"  stop it: {stop}"
    )


@click.command(hidden=True)
@click.option("--name", required=True)
@click.option("--data", required=True)
def supervise_command(name: str, data: str) -> None:
    """What `up --detach` leaves running."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = ClusterFolder(name, Path(data))
    try:
        asyncio.run(supervise(folder, spec_of(folder)))
    except FolderError as error:
        fail(str(error))


@click.command()
@name_option
@data_option
def down(name: str | None, data: str | None) -> None:
    """Stop a cluster and remove what it left on this machine."""
    folder = find_cluster(name, data)
    end_supervisor(folder)
    names = [path.name for path in folder.path.glob(f"{folder.name}-*-*") if path.is_dir()]
    asyncio.run(end_nodes(folder, names))
    folder.remove(names)
    click.echo(f"{folder.name} is down; nothing of it is left.")


def end_supervisor(folder: ClusterFolder) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pid = folder.supervisor_pid()
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + STOP_SECONDS
        while folder.supervisor_pid() == pid and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


async def end_nodes(folder: ClusterFolder, names: list[str]) -> None:
    runtime = LocalRuntime(folder)
    await asyncio.gather(*(runtime.process(name).stop() for name in names))
