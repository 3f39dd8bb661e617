"""`liftlake quarantine list` and `liftlake quarantine replay`."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import typer
from rich.table import Table

from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.output import JSON_OPTION, WRONG_USE, command, err, out, print_json, stop
from cli.session import session
from resources.fixes import load_fix
from resources.inventory import COUNTS
from resources.mapping import load_mapping
from resources.quarantine import Replay, held

quarantine = typer.Typer(help="Records and files that were refused, and how they come back.")
SOURCE = typer.Option(None, "--source", help="Only this source.")
TABLE = typer.Option(None, "--table", help="Only this bronze table, for example pos_lines.")


@quarantine.callback()
def group() -> None:
    """Records and files that were refused, and how they come back."""


@quarantine.command("list")
@command
def list_held(source: str | None = SOURCE, table: str | None = TABLE, as_json: bool = JSON_OPTION) -> None:
    """What is in quarantine now, by file and broken rule."""
    with session() as opened:
        found = held(opened.lake, source, table)
    if as_json:
        print_json({"held": [asdict(item) for item in found]})
        return
    if not found:
        out.print("The quarantine is empty.")
        return
    shown = Table("source", "table", "file", "rule", "records")
    for item in found:
        shown.add_row(item.source, item.table_name, item.file_name, item.rule_id, f"{item.records:,}")
    out.print(shown)


@quarantine.command()
@command
def replay(
    fix: Path | None = typer.Option(None, "--fix", help="A Python file with fix(record) -> record or None."),
    mapping: str | None = typer.Option(None, "--mapping", help="Source whose mapping, mended, reads the records."),
    table: str | None = TABLE,
    as_json: bool = JSON_OPTION,
) -> None:
    """Try held records again, mended by a function or by the mapping; what keeps every rule moves to its table."""
    if fix is not None and not fix.is_file():
        stop(f"{fix} does not exist.", WRONG_USE)
    mend = load_fix(fix) if fix else None
    digest = sha256(fix.read_bytes()).hexdigest() if fix else ""
    with session() as opened:
        chosen = load_mapping(mapping) if mapping else opened.graph.mapping
        worker = Replay(opened.lake, chosen, opened.graph.contracts)
        receipts = []
        for name in [table] if table else chosen.tables:
            if name not in chosen.tables:
                stop(f"Source {chosen.source} has no table {name}; it has {', '.join(chosen.tables)}.", WRONG_USE)
            plan = compile_plan(to_pandera(opened.graph.contract("bronze", name)))
            moved = worker.table(name, plan, mend, digest)
            receipts += [*worker.files(name, plan), *([moved] if moved else [])]
        left = sum(item.records for item in held(opened.lake, chosen.source, table))
    totals = {count: sum(getattr(receipt, count) for receipt in receipts) for count in COUNTS}
    if as_json:
        print_json({**totals, "batches": [receipt.batch_id for receipt in receipts], "left": left})
    else:
        err.print(f"{totals['accepted']:,} accepted, {totals['duplicates']:,} duplicates, {left:,} left in quarantine.")
