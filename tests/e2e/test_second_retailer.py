"""A second retailer by a mapping file alone: a web shop's invoices, with cancellations, dirt and another currency.

The files are UCI Online Retail of December 2010; what is wrong in them was counted by others (its SOURCE.md).
"""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.command_lake import CommandLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
COUNTED = {
    "cancellation": 728, "negative_quantity": 798, "no_customer": 15_631, "no_description": 125, "zero_price": 273,
    "non_product_code": 200, "quote_in_description": 140,
}  # fmt: skip


KEY = {"LIFTLAKE_TOKEN_KEY": "a-key-of-this-test"}


@pytest.fixture(scope="module")
def delivered() -> Path:
    folder = os.environ.get("LIFTLAKE_REFERENCE_DATA")
    if not folder:
        pytest.skip("LIFTLAKE_REFERENCE_DATA is not set: the web shop's invoices are not here")
    return Path(folder) / "online-retail-2010-12"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLake]:
    lake = CommandLake(tmp_path_factory.mktemp("shop") / "home", KEY)
    yield lake
    lake.liftlake("down")


@pytest.fixture(scope="module")
def receipt(shop: CommandLake, delivered: Path) -> dict[str, Any]:
    return shop.liftlake("ingest", str(delivered), "--source", "online_retail")


def test_every_record_is_accounted_for_and_all_known_dirt_is_found(receipt: dict[str, Any]):
    counts = {name: receipt[name] for name in ("received", "accepted", "quarantined", "duplicates")}
    assert counts == {"received": 42_481, "accepted": 41_911, "quarantined": 70, "duplicates": 500}
    flags = {name.removeprefix("mapping.flag."): n for name, n in receipt["rules"].items() if ".flag." in name}
    assert flags == COUNTED
    assert receipt["rules"]["mapping.reject.stock_movement"] == 798 - 728
    assert len(receipt["files"]) == 20


def test_the_same_in_another_order_and_compression_is_the_same_lake(
    shop: CommandLake, receipt: dict[str, Any], delivered: Path, tmp_path: Path
):
    """All days delivered to another lake under other names, in another order, every third compressed, one twice."""
    days, random_order = sorted(delivered.glob("*.csv")), random.Random(5)
    names = [f"part-{number:02}" for number in range(len(days))]
    random_order.shuffle(names)
    folder = tmp_path / "files"
    folder.mkdir()
    for number, (day, name) in enumerate(zip(days, names, strict=True)):
        content = day.read_bytes()
        if number % 3 == 0:
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(content))
        else:
            (folder / f"{name}.csv").write_bytes(content)
    (folder / "again.csv").write_bytes(days[0].read_bytes())
    other = CommandLake(tmp_path / "home", KEY)
    try:
        repeated = other.liftlake("ingest", str(folder), "--source", "online_retail")
        assert (repeated["accepted"], repeated["quarantined"]) == (receipt["accepted"], receipt["quarantined"])
        assert repeated["received"] - receipt["received"] == repeated["duplicates"] - receipt["duplicates"] > 0
        assert bronze_digests(other) == bronze_digests(shop)
    finally:
        other.liftlake("down")


def bronze_digests(lake: CommandLake) -> dict[str, str]:
    tables = lake.liftlake("status")["tables"]
    return {name: tables[name]["digest"] for name in ("bronze.pos_lines", "bronze.products")}


@pytest.fixture(scope="module")
def built(shop: CommandLake, receipt: dict[str, Any]) -> dict[str, Any]:
    shop.liftlake("run")
    return shop.liftlake("status", "--no-digests")


def test_returns_are_matched_as_a_loop_over_the_invoices_matches_them(
    shop: CommandLake, built: dict[str, Any], delivered: Path
):
    """Units that came back: silver against first-in-first-out queues over the files."""
    lines = duckdb.sql(
        "SELECT DISTINCT InvoiceNo, StockCode, Quantity, UnitPrice, CustomerID, InvoiceDate "
        f"FROM read_csv('{delivered}/*.csv', all_varchar=true) WHERE CustomerID IS NOT NULL "
        "ORDER BY InvoiceDate, InvoiceNo LIKE 'C%', InvoiceNo, StockCode, Quantity, UnitPrice"
    ).fetchall()
    queues: dict[tuple[str, ...], int] = {}
    matched = 0
    for invoice, code, quantity, price, customer, _ in lines:
        key = (customer, code.upper(), str(round(float(price), 4)))
        if invoice.startswith("C"):
            taken = min(queues.get(key, 0), -int(quantity))
            queues[key] = queues.get(key, 0) - taken
            matched += taken
        else:
            queues[key] = queues.get(key, 0) + int(quantity)
    sold, returns = shop.table("silver.fct_receipt_lines"), shop.table("silver.fct_returns")
    assert built["tables"]["silver.fct_returns"]["rows"] == returns.height > 0
    assert sold["returned_units"].sum() == returns["matched_units"].sum() == matched > 0
    assert sold["net_quantity_units"].min() >= 0


def test_weekly_series_forecasts_and_a_report_come_of_it(shop: CommandLake, built: dict[str, Any]):
    tables = built["tables"]
    assert "silver.fct_promotions" not in tables
    assert tables["gold.demand_series"]["rows"] > 0
    assert tables["forecasts.demand_forecasts"]["rows"] > 0
    assert tables["forecasts.demand_totals"]["rows"] > 0
    assert [name for name, row in tables.items() if not row["fresh"]] == []
    reasons = shop.liftlake("champion")["history"][0]["reasons"]
    assert "Too young for a model" in reasons[0]
    shown = shop.liftlake("forecast", "show", "--store", "United Kingdom")
    assert (shown["method"], shown["fallback"]) == ("mean_8", {})
    assert all(row["p10"] <= row["p50"] <= row["p90"] for row in shown["forecasts"])
    assert (shop.home / "artifacts" / "report" / "report.html").exists()
    assert "delivers no promotions" in shop.liftlake("lift", code=2)["error"]
    verdict = shop.liftlake("check", "--all")
    assert (verdict["failed"], verdict["not_run"]) == (0, 0)


def test_one_lake_holds_one_source(shop: CommandLake, receipt: dict[str, Any], delivered: Path):
    refused = shop.liftlake("ingest", str(delivered), "--source", "completejourney", code=2)
    assert "one lake holds one source" in refused["error"]
