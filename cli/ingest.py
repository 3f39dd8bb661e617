"""`liftlake ingest`."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import track

from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, print_json, stop
from cli.session import session
from resources.deliveries import matching_files
from resources.ingest import Ingest
from resources.inventory import COUNTS
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.receipts import Receipt
from resources.source_bytes import file_sha256


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
        plans = {
            table: compile_plan(to_pandera(opened.graph.contract("bronze", table)))
            for table in {name for name, _ in found}
        }
        files, receipts = [], []
        for table, file in track(found, description="ingesting", console=err, disable=not err.is_terminal):
            receipt = worker.file(table, file, plans[table])
            outcome, reason = (receipt.outcome, receipt.reason) if receipt else ("known", None)
            files.append({"name": file.name, "sha256": file_sha256(file), "outcome": outcome, "reason": reason})
            err.print(describe(table, file, receipt), highlight=False)
            receipts += [receipt] if receipt else []
        rules = broken_rules(opened.lake, receipts)
    if as_json:
        totals = {count: sum(getattr(receipt, count) for receipt in receipts) for count in COUNTS}
        print_json({**totals, "files": files, "rules": rules})
    if any(receipt.outcome == "refused" for receipt in receipts):
        raise typer.Exit(SAYS_NO)


def describe(table: str, file: Path, receipt: Receipt | None) -> str:
    if receipt is None:
        return f"{file.name}: in the ledger already, nothing added"
    if receipt.outcome == "refused":
        return f"{file.name}: in quarantine whole. {receipt.reason}"
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
