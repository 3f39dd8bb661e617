"""A drafted mapping is not only read: it ingests the file that it was drafted from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from checks.contracts.loader import load_contract, load_contracts
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from cli.source import source
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.receipts import Receipt
from tests.dialects import DIALECTS, sales_file

pytestmark = pytest.mark.spark
REFERENCE = Path(os.environ.get("LIFTLAKE_REFERENCE_DATA", ""))


def ingested(lake: Lake, path: Path, name: str, folder: Path) -> Receipt:
    """Draft, then ingest by the draft as it is."""
    result = CliRunner().invoke(source, ["init", str(path), "--folder", str(folder), "--name", name])
    assert result.exit_code == 0, result.stderr
    mapping = load_mapping(name, folder)
    contracts = load_contracts()
    for file in folder.glob("bronze/*.odcs.yaml"):
        contract = load_contract(file)
        contracts[contract.key] = contract
    (table,) = mapping.tables
    lake.prepare()
    receipt = Ingest(lake, mapping, contracts).file(table, path, compile_plan(to_pandera(contracts["bronze", table])))
    assert receipt is not None
    assert receipt.received == receipt.accepted + receipt.quarantined + receipt.duplicates
    return receipt


@pytest.fixture(autouse=True)
def clean(lake: Lake):
    yield
    for table in ("pos_lines", "ingest_ledger", "quarantine", "orange"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


def test_the_same_sales_in_many_hands_are_the_same_rows(lake: Lake, tmp_path: Path):
    columns = "transaction_id, product_id, household_id, quantity_units, sales_amount_usd, event_at"
    found = {}
    for name, dialect in DIALECTS.items():
        folder = tmp_path / name
        folder.mkdir()
        receipt = ingested(lake, sales_file(folder, dialect), name, folder)
        assert (receipt.received, receipt.accepted) == (40, 40), name
        rows = lake.query(f"SELECT {columns} FROM bronze.pos_lines WHERE source = '{name}' ORDER BY ALL")
        found[name] = rows.rows()
        lake.spark.sql("DROP TABLE bronze.pos_lines")
    assert all(rows == found["plain"] for rows in found.values())
    assert len(found["plain"]) == 40


@pytest.mark.skipif(not (REFERENCE / "orangejuice").is_dir(), reason="LIFTLAKE_REFERENCE_DATA has no such data")
def test_a_real_file_that_fits_no_canonical_table(lake: Lake, tmp_path: Path):
    path = REFERENCE / "orangejuice" / "orangejuice_sales_w40_148.parquet"
    receipt = ingested(lake, path, "orange", tmp_path)
    assert (receipt.received, receipt.accepted) == (95_700, 95_700)


@pytest.mark.skipif(
    not (REFERENCE / "online-retail-2010-12").is_dir(), reason="LIFTLAKE_REFERENCE_DATA has no such data"
)
def test_a_real_day_of_receipts(lake: Lake, tmp_path: Path):
    """Nothing is refused: quantities below zero are drafted as returns."""
    receipt = ingested(lake, REFERENCE / "online-retail-2010-12" / "2010-12-01.csv", "online", tmp_path)
    assert receipt.received == 3_108
    assert receipt.quarantined == 0
    kinds = lake.query("SELECT line_kind, COUNT(*) AS n FROM bronze.pos_lines GROUP BY line_kind")
    assert dict(kinds.iter_rows())["return"] == 27
