"""`liftlake contract`: lint, build, diff and coverage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from checks.contracts.build import build as build_files
from checks.contracts.changes import Change
from checks.contracts.coverage import Coverage, read_coverage
from checks.contracts.loader import FOLDER, draft_contracts
from cli.comparison import compare, reach, read_version
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from resources.revisions import contracts_at
from resources.settings import PROJECT_ROOT

contract = typer.Typer(help="Contracts: what they say, what changed, and what is generated from them.")
COLOURS = {"breaking": "red", "additive": "green", "neutral": "dim"}
OLD = typer.Argument(
    None, help="A contract file, or a folder of <layer>/<name>.odcs.yaml; with --against, leave it out."
)
NEW = typer.Argument(None, help="The version to compare with it.")
SHOWN_COLUMNS = 8


@contract.command()
@command
def lint(as_json: bool = JSON_OPTION) -> None:
    """Read every contract; exit code 2 and the file, path and rule when one is wrong."""
    draft = draft_contracts()
    for error in draft.errors[1:]:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    contracts = draft.sound()
    rules = sum(len(item.all_rules) for item in contracts.values())
    blocking = sum(len(item.blocking_rules) for item in contracts.values())
    if as_json:
        print_json({"contracts": len(contracts), "rules": rules, "blocking_rules": blocking})
    else:
        out.print(f"{len(contracts)} contracts, {rules} rules, {blocking} of them blocking.")


@contract.command()
@command
def build(
    check: bool = typer.Option(False, "--check", help="Write nothing; exit code 1 when a generated file differs."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write what is generated from the contracts: dbt YAML and the data dictionary."""
    changed = [path.as_posix() for path in build_files(PROJECT_ROOT, check=check)]
    if as_json:
        print_json({"changed": changed})
    else:
        verb = "differs from its contract" if check else "written"
        for path in changed:
            out.print(f"{path} {verb}")
    if check and changed:
        raise typer.Exit(SAYS_NO)


@contract.command()
@command
def diff(
    old: Path | None = OLD,
    new: Path | None = NEW,
    against: str | None = typer.Option(None, "--against", help="Compare the project's contracts with a git revision."),
    impact: bool = typer.Option(False, "--impact", help="Name the tables, features, models and forecasts it reaches."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Compare two versions of contracts; exit code 1 when a change breaks readers or writers."""
    if (against is None) == (old is None or new is None) or (against is not None and old is not None):
        stop("Give OLD and NEW, or --against REVISION alone.", WRONG_USE)
    with ExitStack() as opened:
        before = opened.enter_context(contracts_at(against)) if against is not None else old
        former, latter = read_version(Path(before or "")), read_version(new or FOLDER)
    changes = compare(former, latter)
    reached = reach(changes, former.contracts) if impact else None
    counts = {effect: sum(change.effect == effect for change in changes) for effect in COLOURS}
    if as_json:
        found = {} if reached is None else {"impact": reached}
        print_json({**counts, "changes": [asdict(change) for change in changes], **found})
    else:
        _print_changes(changes, counts)
        if reached is not None:
            _print_reach(reached)
    if counts["breaking"]:
        raise typer.Exit(SAYS_NO)


@contract.command()
@command
def coverage(
    files: list[Path] = typer.Argument(help="Any ODCS 3 files, not only our own contracts."),
    as_json: bool = JSON_OPTION,
) -> None:
    """What the compiler makes of any ODCS file: each part emitted, or named as unsupported with the reason."""
    found = [read_coverage(path) for path in files]
    if as_json:
        print_json({"files": [_covered(item) for item in found]})
        return
    for item in found:
        counts = item.counts()
        parts = [f"{kind} {n['emitted']} of {sum(n.values())}" for kind, n in counts.items() if sum(n.values())]
        _line(f"{item.file}: {', '.join(parts) or 'no table, no service level'} emitted")
        for part in item.items:
            if not part.is_emitted:
                _line(f"  unsupported {part.kind} {part.path}: {part.text}")


def _covered(found: Coverage) -> dict[str, Any]:
    return {
        "file": found.file,
        "counts": found.counts(),
        "items": [asdict(item) for item in found.items],
        "ignored": list(found.ignored),
    }


def _print_changes(changes: Iterable[Change], counts: Mapping[str, int]) -> None:
    for change in changes:
        whom = f" for {' and '.join(change.breaks)}" if change.breaks else ""
        colour = COLOURS[change.effect]
        out.print(
            f"[{colour}]{change.effect}{whom}[/]  {change.table}: {escape(change.text)}",
            highlight=False,
            soft_wrap=True,
        )
    out.print(", ".join(f"{count} {effect}" for effect, count in counts.items()) + ".", highlight=False)


def _print_reach(reached: Mapping[str, Any]) -> None:
    for kind in ("tables", "models", "forecasts", "insights"):
        for row in reached[kind]:
            by = f" ({_some(row['by'])})" if row["by"] else ""
            hit = f": {_some(row['columns'])}" if row["columns"] else ""
            _line(f"{kind:<10} {row['table']} {row['certainty']} it through {row['via']}{by}{hit}")
    for certainty, names in reached["features"].items():
        if names:
            _line(f"features   {certainty.replace('_', ' ')} it: {_some(names)}")
    for row in reached["rules"]:
        _line(f"rules      {row['table']}: {row['rule']} reads it")
    for row in reached["data_tests"]:
        _line(f"data tests {row['table']}: {row['test']} reads it")


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN_COLUMNS
    return ", ".join(names[:SHOWN_COLUMNS]) + (f" and {rest} more" if rest > 0 else "")
