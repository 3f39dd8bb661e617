"""Mutated files of every format through the whole ingest: no crash, and every one is in the books."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from resources.ingest import Ingest
from resources.inventory import ledger_counts
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping
from tests.conftest import CERTIFY_TIMES
from tests.integration.test_text_ingest import CORNER
from tests.mutants import mutant

pytestmark = pytest.mark.spark
TABLES = ("pos_lines", "ingest_ledger", "quarantine")
MB = 1024**2


def mappings(folder: Path) -> dict[str, SourceMapping]:
    """The corner shop's mapping for each format."""
    found = {}
    for kind in ("csv", "jsonl", "parquet"):
        text = CORNER.replace("sales*.csv", f"sales*.{kind}").replace("format: csv", f"format: {kind}")
        (folder / "corner.yaml").write_text(text, encoding="utf-8")
        found[kind] = load_mapping("corner", folder)
    return found


def test_every_mutated_file_is_in_the_books(lake: Lake, tmp_path: Path):
    contracts = load_contracts()
    plan = compile_plan(to_pandera(contracts["bronze", "pos_lines"]))
    ingests = {kind: Ingest(lake, mapping, contracts) for kind, mapping in mappings(tmp_path).items()}
    for table in TABLES:
        lake.ensure_table(contracts["bronze", table])
    before = psutil.Process().memory_info().rss
    outcomes, received = set(), 0
    for found in map(mutant, range(25 * CERTIFY_TIMES)):
        path = tmp_path / found.name
        path.write_bytes(found.content)
        receipt = ingests[found.kind].file("pos_lines", path, plan)
        assert receipt is not None, found
        assert receipt.received == receipt.accepted + receipt.quarantined + receipt.duplicates, found
        received += receipt.received
        outcomes.add(receipt.outcome)
    counts = ledger_counts(lake)["pos_lines"]
    assert counts["received"] == received
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.pos_lines")["n"][0] == counts["accepted"]
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine")["n"][0] == counts["quarantined"]
    assert outcomes >= {"ingested", "refused"}
    assert psutil.Process().memory_info().rss - before < 500 * MB
    for table in TABLES:
        lake.spark.sql(f"DROP TABLE bronze.{table}")
