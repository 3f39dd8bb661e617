"""`liftlake ingest`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import typer
from rich.progress import track

from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, print_json, stop
from cli.session import require_home, session
from resources.deliveries import matching_files, tables_of
from resources.ingest import Ingest
from resources.inventory import COUNTS
from resources.lake import Lake as Tables
from resources.lake_file import Lake
from resources.mapping import SourceMapping, load_mapping
from resources.receipts import Receipt
from resources.settings import Settings, load_settings, write_lake
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
    settings = load_settings()
    mapping = load_mapping(source or settings.lake.source)
    refuse_another_source(settings, mapping)
    lake = settings.lake if mapping.source == settings.lake.source else mapping.lake
    mapping = mapping.having(lake.tables if lake else ())
    found = matching_files(mapping, path)
    if not found:
        stop(f"No file in {path} fits a pattern of source {mapping.source}.", WRONG_USE)
    with session(of_source(settings, mapping)) as opened:
        opened.lake.prepare()
        worker = Ingest(opened.lake, mapping, opened.graph.contracts)
        plans = {name: compile_plan(to_pandera(opened.graph.contract("bronze", name))) for name in mapping.tables}
        files, receipts = [], []
        for owner, file in track(found, description="ingesting", console=err, disable=not err.is_terminal):
            for table in tables_of(mapping, owner):
                receipt = worker.file(table, file, plans[table])
                err.print(describe(table, file, receipt), highlight=False)
                receipts += [receipt] if receipt else []
                if table == owner:
                    outcome, reason = (receipt.outcome, receipt.reason) if receipt else ("known", None)
                    files.append({"name": file.name, "sha256": file_sha256(file), "outcome": outcome, "reason": reason})
        rules = broken_rules(opened.lake, receipts)
    if as_json:
        # A record counts once, for the table that its file belongs to.
        owned = [receipt for receipt in receipts if mapping.tables[receipt.table_name].read_from is None]
        tables = sorted({receipt.table_name for receipt in receipts})
        by_table = {name: totals([item for item in receipts if item.table_name == name]) for name in tables}
        print_json({**totals(owned), "files": files, "rules": {**flagged(owned), **rules}, "tables": by_table})
    if any(receipt.outcome == "refused" for receipt in receipts):
        raise typer.Exit(SAYS_NO)


def refuse_another_source(settings: Settings, mapping: SourceMapping) -> None:
    """End the command when the lake is one of another source, or cannot become one of this."""
    own, other = settings.lake.source, mapping.source
    lake_file = settings.home / "lake.yaml"
    if own != other and lake_file.exists():
        told = f"This lake is of source {own}, not {other}: one lake holds one source."
        stop(f"{told} Set LIFTLAKE_HOME to another folder.", WRONG_USE)
    if own != other and mapping.lake is None:
        stop(f"The mapping of {other} has no section `lake`: write {lake_file} first.", WRONG_USE)


def of_source(settings: Settings, mapping: SourceMapping) -> Settings:
    """The settings of the lake, which becomes one of this source when there is none yet."""
    if mapping.lake is None or (settings.home / "lake.yaml").exists():
        return settings
    require_home(settings)
    return write_lake(settings, Lake(source=mapping.source, **mapping.lake.model_dump()))


def totals(receipts: list[Receipt]) -> dict[str, int]:
    """The four counts of the law over these receipts."""
    return {count: sum(getattr(receipt, count) for receipt in receipts) for count in COUNTS}


def flagged(receipts: list[Receipt]) -> dict[str, int]:
    """Flag of the mapping -> records received that have it."""
    counts: Counter[str] = Counter()
    for receipt in receipts:
        counts.update({f"mapping.flag.{name}": n for name, n in json.loads(receipt.flag_counts).items()})
    return dict(sorted(counts.items()))


def describe(table: str, file: Path, receipt: Receipt | None) -> str:
    if receipt is None:
        return f"{file.name}: in the ledger already, nothing added"
    if receipt.outcome == "refused":
        return f"{file.name}: in quarantine whole. {receipt.reason}"
    counts = ", ".join(f"{getattr(receipt, count):,} {count}" for count in COUNTS)
    return f"{file.name} -> bronze.{table}: {counts}"


def broken_rules(lake: Tables, receipts: list[Receipt]) -> dict[str, int]:
    """Rule id -> quarantined records of these files that broke it."""
    batches = ", ".join(f"'{receipt.batch_id}'" for receipt in receipts if receipt.quarantined)
    if not batches:
        return {}
    rows = lake.query(
        "SELECT rule, COUNT(*) AS n FROM bronze.quarantine LATERAL VIEW explode(rule_ids) AS rule "
        f"WHERE batch_id IN ({batches}) GROUP BY rule ORDER BY rule"
    )
    return dict(rows.iter_rows())
