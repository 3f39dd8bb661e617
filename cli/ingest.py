"""`liftlake ingest`."""

from __future__ import annotations

from pathlib import Path

import typer

from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.output import JSON_OPTION, WRONG_USE, command, err, print_json, stop
from cli.session import session
from resources.ingest import Ingest, Receipt, file_sha256
from resources.inventory import COUNTS
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping


@command
def ingest(
    path: Path = typer.Argument(..., help="A file, or a folder of files."),
    source: str | None = typer.Option(None, "--source", help="Source mapping; the lake's own when absent."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Ingest files by a source mapping; a file whose content is in the ledger adds nothing."""
    if not path.exists():
        stop(f"{path} does not exist.", WRONG_USE)
    with session() as opened:
        mapping = load_mapping(source) if source else opened.graph.mapping
        found = matching_files(mapping, path)
        if not found:
            stop(f"No file in {path} fits a pattern of source {mapping.source}.", WRONG_USE)
        opened.lake.prepare()
        worker = Ingest(opened.lake, mapping, opened.graph.contracts)
        files, receipts = [], []
        for table, file in found:
            plan = compile_plan(to_pandera(opened.graph.contract("bronze", table)))
            receipt = worker.file(table, file, plan)
            outcome = "ingested" if receipt else "known"
            files.append({"name": file.name, "sha256": file_sha256(file), "outcome": outcome, "reason": None})
            err.print(describe(table, file, receipt), highlight=False)
            receipts += [receipt] if receipt else []
        rules = broken_rules(opened.lake, receipts)
    if as_json:
        totals = {count: sum(getattr(receipt, count) for receipt in receipts) for count in COUNTS}
        print_json({**totals, "files": files, "rules": rules})


def matching_files(mapping: SourceMapping, path: Path) -> list[tuple[str, Path]]:
    """(table, file) for every file that a pattern of the mapping names; the longest pattern decides."""
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        fitting = [(len(rules.pattern), table) for table, rules in mapping.tables.items() if file.match(rules.pattern)]
        if fitting:
            found.append((max(fitting)[1], file))
    return found


def describe(table: str, file: Path, receipt: Receipt | None) -> str:
    if receipt is None:
        return f"{file.name}: in the ledger already, nothing added"
    counts = ", ".join(f"{getattr(receipt, count):,} {count}" for count in COUNTS)
    return f"{file.name} -> bronze.{table}: {counts}"


def broken_rules(lake: Lake, receipts: list[Receipt]) -> dict[str, int]:
    """Rule id -> quarantined records of these files that broke it."""
    batches = ", ".join(f"'{receipt.batch_id}'" for receipt in receipts if receipt.quarantined)
    if not batches:
        return {}
    rows = lake.query(
        "SELECT rule, COUNT(*) AS n FROM bronze.quarantine LATERAL VIEW explode(rule_ids) AS rule "
        f"WHERE batch_id IN ({batches}) GROUP BY rule ORDER BY rule"
    )
    return dict(rows.iter_rows())
