"""`liftlake doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

import typer

from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, out, print_json
from resources.champions import alias_finding
from resources.lake import Lake
from resources.preconditions import Finding, look
from resources.registry import Registry
from resources.settings import Settings, load_settings
from resources.soundness import inspect_lake
from resources.spark import SparkDoor
from resources.table_files import has_files


@command
def doctor(
    mend: bool = typer.Option(False, "--mend", help="Point the champion's alias where the history does."),
    as_json: bool = JSON_OPTION,
) -> None:
    """One line per precondition and fault of the lake, with the mend; exit code 2 and 1."""
    settings = load_settings()
    findings = look(settings)
    is_ready = all(item.is_met for item in findings)
    faults = inspect_lake(settings) if is_ready else []
    if is_ready and all(item.is_met for item in faults):
        faults += _alias(settings, mend=mend)
    if as_json:
        shown = {"preconditions": findings, "lake": faults}
        print_json({name: [asdict(item) for item in items] for name, items in shown.items()})
    else:
        _show([*findings, *faults])
    if not is_ready:
        raise typer.Exit(WRONG_USE)
    if not all(item.is_met for item in faults):
        raise typer.Exit(SAYS_NO)


def _alias(settings: Settings, *, mend: bool) -> list[Finding]:
    """The registry's alias beside the champion history; nothing where there is no history yet."""
    if not has_files(settings, "models_audit.champion_history"):
        return []
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        return alias_finding(lake, Registry(settings), mend=mend)


def _show(findings: Sequence[Finding]) -> None:
    for item in findings:
        mark = "[green]ok  [/]" if item.is_met else "[red]FAIL[/]"
        mend = "" if item.is_met else f"  -> {item.mend}"
        out.print(f"{mark} {item.name:<14} {item.found}{mend}", highlight=False, soft_wrap=True)
