"""Lakes of other releases: migrated with every row, or refused before a byte is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import cli.run
from checks.contracts.loader import load_contracts
from checks.contracts.spark_schema import create_table_sql
from resources.commits import Provenance
from resources.formats import ADDED, FILE, FORMAT, FormatError, lake_format, migrate, require_format
from resources.lake import Lake
from resources.receipts import receipts_of
from resources.settings import load_settings
from tests.conftest import throwaway_settings

FIRST_COLUMNS = {
    "ingest_ledger": {
        "source", "table_name", "batch_id", "file_name", "file_sha256", "file_bytes", "mapping_sha256", "received",
        "accepted", "quarantined", "duplicates", "rows_written", "first_week_start_date", "last_week_start_date",
    },
    "quarantine": {"source", "table_name", "batch_id", "file_name", "payload", "payload_sha256", "rule_ids"},
}  # fmt: skip
SHA = "a" * 64
FIRST_ROWS = {
    "ingest_ledger": (
        "'completejourney' AS source, 'pos_lines' AS table_name, 'b1' AS batch_id, 't.parquet' AS file_name, "
        f"'{SHA}' AS file_sha256, 10L AS file_bytes, '{SHA}' AS mapping_sha256, 3L AS received, 2L AS accepted, "
        "1L AS quarantined, 0L AS duplicates, 2L AS rows_written, DATE'2017-01-02' AS first_week_start_date, "
        "DATE'2017-01-02' AS last_week_start_date"
    ),
    "quarantine": (
        "'s' AS source, 'pos_lines' AS table_name, 'b1' AS batch_id, 't' AS file_name, '{}' AS payload, "
        f"'{SHA}' AS payload_sha256, ARRAY('r') AS rule_ids"
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_every_column_of_the_books_is_of_the_old_format_or_was_added(name: str):
    """A new column of a table that no run rebuilds needs a format of its own, and a value for old rows."""
    assert FIRST_COLUMNS[name] | set(ADDED[name]) == set(load_contracts()["bronze", name].column_names)


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_new_home_has_this_releases_format(tmp_path: Path):
    settings = throwaway_settings(tmp_path / "home")
    assert lake_format(settings) == FORMAT
    require_format(settings)
    assert json.loads((settings.home / FILE).read_text()) == {"format": FORMAT}


def test_a_newer_lake_is_refused_and_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = throwaway_settings(tmp_path / "home")
    settings.home.mkdir()
    (settings.home / FILE).write_text(json.dumps({"format": FORMAT + 1}), encoding="utf-8")
    before = bytes_of(settings.home)
    with pytest.raises(FormatError, match="newer release"):
        require_format(settings)
    monkeypatch.setenv("LIFTLAKE_HOME", str(settings.home))
    app = typer.Typer()
    app.command()(cli.run.plan)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "newer release" in " ".join(result.stderr.split())
    assert bytes_of(settings.home) == before


def test_a_spoilt_mark_is_a_sentence(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="spoilt"):
        lake_format(settings)


@pytest.fixture(params=[1, 2])
def old_number(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def old_format(lake: Lake, old_number: int):
    """The books of a lake of an older format, with a row each."""
    contracts = load_contracts()
    for name, columns in FIRST_COLUMNS.items():
        contract = contracts["bronze", name]
        known = columns | (set(ADDED[name]) - {"flag_counts"} if old_number == 2 else set())
        old = replace(contract, columns=tuple(column for column in contract.columns if column.name in known))
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{name}")
        lake.spark.sql(create_table_sql(old))
        later = "".join(f", {ADDED[name][column]} AS {column}" for column in sorted(known - columns))
        lake.spark.sql(f"INSERT INTO bronze.{name} BY NAME SELECT *{later} FROM (SELECT {FIRST_ROWS[name]})")
    mark = lake.settings.home / FILE
    kept = mark.read_bytes() if mark.exists() else None
    mark.unlink(missing_ok=True)
    yield contracts
    for name in ("ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{name}")
    mark.write_bytes(kept or json.dumps({"format": FORMAT}).encode())


@pytest.mark.spark
def test_the_books_of_the_old_format_keep_every_row(lake: Lake, old_number: int, old_format):
    assert lake_format(lake.settings) == old_number
    with pytest.raises(FormatError, match="older release"):
        require_format(lake.settings)
    migrate(lake.spark, lake.settings, old_format)
    (receipt,) = receipts_of(lake, old_format["bronze", "ingest_ledger"], "completejourney")
    assert (receipt.content_sha256, receipt.outcome, receipt.flag_counts, receipt.accepted) == (
        SHA,
        "ingested",
        "{}",
        2,
    )
    held = lake.query("SELECT * FROM bronze.quarantine")
    assert held.columns == list(old_format["bronze", "quarantine"].column_names)
    assert (held["payload_encoding"][0], held["replayed_by"][0]) == ("json", None)
    versions = lake.newest(old_format["bronze", "ingest_ledger"]).version
    migrate(lake.spark, lake.settings, old_format)
    assert lake.newest(old_format["bronze", "ingest_ledger"]).version == versions
    assert lake_format(lake.settings) == FORMAT
    require_format(lake.settings)


def plans(share: float, week: date) -> pl.DataFrame:
    instant = datetime(2017, 1, 2, 5, tzinfo=UTC)
    return pl.DataFrame({
        "store_id": ["7"], "product_group": "TEAS", "week_start_date": week, "display_products": 1,
        "mailer_products": 0, "display_share": share, "mailer_share": 0.0, "event_at": instant, "known_at": instant,
    })  # fmt: skip


@pytest.mark.spark
def test_a_table_of_other_columns_is_replaced_whole_or_not_at_all(lake: Lake):
    new = replace(load_contracts()["gold", "promotion_plans"], name="reshaped")
    old = replace(new, columns=new.columns[:-3] + new.columns[-2:])
    first, second = date(2017, 1, 2), date(2017, 1, 9)
    try:
        rows = pl.concat([plans(0.1, first), plans(0.2, second)]).select(old.column_names)
        version = lake.write(old, rows, Provenance("old"))
        lake.publish(old, version, Provenance("old"))
        with pytest.raises(FormatError, match="liftlake run gold.reshaped"):
            lake.write(new, plans(0.3, first), Provenance("new"), where=f"week_start_date = DATE'{first}'")
        assert lake.newest(new).version == version
        both = pl.concat([plans(0.3, first), plans(0.4, second)])
        where = f"week_start_date BETWEEN DATE'{first}' AND DATE'{second}'"
        written = lake.write(new, both, Provenance("new"), where=where)
        # Readers have seen the old rows all the while.
        assert sorted(lake.read("gold.reshaped")["display_share"]) == [0.1, 0.2]
        lake.publish(new, written, Provenance("new"))
        found = lake.read("gold.reshaped")
        assert (sorted(found["display_share"]), tuple(found.columns)) == ([0.3, 0.4], new.column_names)
    finally:
        lake.spark.sql("DROP VIEW IF EXISTS gold.reshaped")
        lake.spark.sql("DROP TABLE IF EXISTS gold_audit.reshaped")


@pytest.mark.spark
def test_a_column_that_may_be_empty_is_added_and_old_rows_stay(lake: Lake):
    new = load_contracts()["gold", "training_sets"]
    new = replace(new, name="grown")
    old = replace(new, columns=tuple(column for column in new.columns if column.name != "ordinal"))

    def training_set(number: int, **more: int) -> pl.DataFrame:
        text = {c.name: "a" for c in old.columns if c.type == "STRING"}
        day = {c.name: date(2017, 1, 2) for c in old.columns if c.type == "DATE"}
        count = {c.name: number for c in old.columns if c.type == "BIGINT"}
        return pl.DataFrame({**text, **day, **count, "training_set_id": str(number), **more})

    try:
        version = lake.write(old, training_set(1), Provenance("old"))
        lake.publish(old, version, Provenance("old"))
        written = lake.write(new, training_set(2, ordinal=7), Provenance("new"), where="training_set_id = '2'")
        assert lake.read("gold.grown").columns == list(old.column_names)
        lake.publish(new, written, Provenance("new"))
        found = lake.read("gold.grown").sort("training_set_id")
        assert found.columns == list(new.column_names)
        assert found["ordinal"].to_list() == [None, 7]
    finally:
        lake.spark.sql("DROP VIEW IF EXISTS gold.grown")
        lake.spark.sql("DROP TABLE IF EXISTS gold_audit.grown")


@pytest.mark.spark
def test_a_column_described_anew_is_so_in_the_catalog(lake: Lake):
    old = replace(load_contracts()["gold", "promotion_plans"], name="retold")
    told = replace(old.columns[0], description="The store's own number \\ code.")
    new = replace(old, columns=(told, *old.columns[1:]))
    try:
        lake.write(old, plans(0.1, date(2017, 1, 2)), Provenance("old"))
        lake.publish(new, lake.write(new, plans(0.2, date(2017, 1, 2)), Provenance("new")), Provenance("new"))
        found = [field.metadata["comment"] for field in lake.relation("gold.retold").schema.fields]
        assert found == [column.description for column in new.columns]
        assert found[0] == told.description
    finally:
        lake.spark.sql("DROP VIEW IF EXISTS gold.retold")
        lake.spark.sql("DROP TABLE IF EXISTS gold_audit.retold")
