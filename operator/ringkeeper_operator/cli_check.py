"""`ringkeeper check-rdb` and `ringkeeper check-aof`: whether files of data are sound, and what they hold."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringkeeper_operator.cli_common import FAILED

if TYPE_CHECKING:
    from ringkeeper.persist.check import AofReport, RdbReport

path_argument = click.argument("path", type=click.Path(exists=True, path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.command("check-rdb")
@path_argument
@json_option
def check_rdb_command(path: Path, as_json: bool) -> None:
    """Check a snapshot (RDB file) of Ringkeeper, Redis or Valkey.

    Says what it holds, or at which byte it is damaged. The exit code is 0 if a node would load it.
    """
    from ringkeeper.persist.check import check_rdb

    report = check_rdb(path)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report) | {"sound": report.sound}, indent=2))
    else:
        click.echo("\n".join(rdb_lines(report)))
    sys.exit(0 if report.sound else FAILED)


def rdb_lines(report: RdbReport) -> list[str]:
    lines = [f"{report.path}: RDB version {report.version}, {report.bytes:,} bytes"]
    lines += [f"  {name:<18} {text}" for name, text in report.aux.items()]
    for kind, count in sorted(report.keys.items()):
        lines.append(f"  {kind + 's':<18} {count:,}")
    if report.expiring:
        lines.append(f"  {'with an expiry':<18} {report.expiring:,}")
    if len(report.databases) > 1:
        lines += [f"  database {number:<9} {count:,}" for number, count in sorted(report.databases.items())]
    if report.empty:
        lines.append(f"  {'empty':<18} {report.empty:,}: collections without elements, which are passed over")
    lines += [f"  not supported      {text}" for text in report.unsupported]
    if report.unsupported_count > len(report.unsupported):
        lines.append(f"  not supported      and {report.unsupported_count - len(report.unsupported):,} more")
    if report.error:
        lines.append(f"damaged {report.error}")
    elif report.unsupported_count:
        lines.append("sound, but a node refuses it, since it holds what is not supported")
    else:
        lines.append("sound" if report.checksum else "sound, as far as one can tell without a checksum")
    return lines


@click.command("check-aof")
@path_argument
@click.option("--fix", is_flag=True, help="Cut off what cannot be read at the end of the last file.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before.")
@json_option
def check_aof_command(path: Path, fix: bool, yes: bool, as_json: bool) -> None:
    """Check an append-only file: its manifest, the folder of it, or a single file.

    Says how many commands it holds, or at which byte it is damaged. The exit code is 0 if it is sound, or was fixed.
    """
    from ringkeeper.persist.check import check_aof, fix_aof

    report = check_aof(path)
    fixed = 0
    if fix and report.can_be_fixed:
        last = report.parts[-1]
        lost = last.bytes - (last.at or 0)
        if not yes:
            click.confirm(f"{last.name}: cut off the last {lost:,} of {last.bytes:,} bytes?", abort=True, err=True)
        fixed = fix_aof(report)
        report = check_aof(path)
    if as_json:
        facts: dict[str, Any] = dataclasses.asdict(report)
        click.echo(json.dumps(facts | {"sound": report.sound, "cutOff": fixed}, indent=2))
    else:
        click.echo("\n".join(aof_lines(report, fixed)))
    sys.exit(0 if report.sound else FAILED)


def aof_lines(report: AofReport, fixed: int) -> list[str]:
    lines = [f"{report.path}: {len(report.parts)} files"]
    for part in report.parts:
        held = f"{part.commands:,} commands"
        if part.rdb is not None:
            held = f"a snapshot of {sum(part.rdb.keys.values()):,} keys, {held}"
        lines.append(f"  {part.name}: {part.bytes:,} bytes, {held}")
        if part.error:
            lines.append(f"    {'torn' if part.torn else 'damaged'} {part.error}")
    if fixed:
        lines.append(f"{fixed:,} bytes were cut off")
    if report.error:
        lines.append(report.error)
    elif report.sound:
        lines.append("sound")
    elif report.can_be_fixed:
        lines.append("`--fix` cuts off what cannot be read at the end of the last file")
    else:
        lines.append("this cannot be fixed by cutting off the end: restore the file from a backup or a replica")
    return lines
