"""Source mappings: what they say, and the sentence for a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from resources.mapping import MappingError, TableMapping, load_mapping
from resources.records import Text


def test_the_demo_mapping_names_every_source_table():
    mapping = load_mapping("completejourney").having(())
    assert set(mapping.tables) == {
        "pos_lines", "promotions", "products", "households", "campaigns", "offers", "offer_exposures", "redemptions",
    }  # fmt: skip


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(MappingError, match="completejourney"):
        load_mapping("nowhere")


@pytest.mark.parametrize(
    ("text", "named"),
    [("source: x", "title"), ("source: [", "x.yaml"), ("tables: {a: {format: xml}}", "format")],
)
def test_a_wrong_mapping_names_file_and_field(tmp_path: Path, text: str, named: str):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingError, match=named):
        load_mapping("x", tmp_path)


SHOP = """
source: shop
title: A shop
notice: Test data.
timezone: UTC
first_weekday: monday
currency: {currency}
snapshot_at: 2017-01-02T00:00:00Z
{more}
tables:
  pos_lines:
    pattern: "*.csv"
    format: csv
    text: {{delimiter: ";"}}
    duplicates: {{scope: row}}
    columns: {{line_kind: kind, sales_amount_usd: "paid * {{usd}}"}}
  products:
    read_from: {other}
    duplicates: {{scope: row}}
    columns: {{product_id: code}}
"""


def shop(folder: Path, currency: str = "GBP", more: str = "usd_per_currency_unit: 1.5", other: str = "pos_lines"):
    (folder / "shop.yaml").write_text(SHOP.format(currency=currency, more=more, other=other), encoding="utf-8")
    return load_mapping("shop", folder)


def test_amounts_in_another_currency_need_a_rate(tmp_path: Path):
    assert shop(tmp_path).tables["pos_lines"].columns["sales_amount_usd"] == "paid * 1.5BD"
    with pytest.raises(MappingError, match="usd_per_currency_unit is missing: amounts in GBP"):
        shop(tmp_path, more="")
    assert shop(tmp_path, "USD", "").tables["pos_lines"].columns["sales_amount_usd"] == "paid * 1BD"


def test_a_table_may_be_read_out_of_the_files_of_another(tmp_path: Path):
    products = shop(tmp_path).tables["products"]
    assert (products.pattern, products.format, products.text.delimiter) == ("*.csv", "csv", ";")
    for other in ("stores", "products"):
        with pytest.raises(MappingError, match=r"tables.products.read_from|tables.products.pattern"):
            shop(tmp_path, other=other)


def test_a_source_delivers_its_tables_and_returns_where_its_lines_have_kinds(tmp_path: Path):
    assert shop(tmp_path).delivered == {"bronze.pos_lines", "bronze.products", "returns"}
    assert "returns" not in load_mapping("completejourney").delivered


def test_an_optional_table_is_only_in_a_lake_that_names_it():
    mapping = load_mapping("completejourney")
    assert "telemetry_events" not in mapping.having(()).tables
    assert mapping.having(["telemetry_events"]).tables == mapping.tables
    with pytest.raises(MappingError, match="no optional \\['pos_lines'\\]; it has telemetry_events"):
        mapping.having(["pos_lines"])


def test_a_topic_brings_json_whose_fields_are_named():
    table = {"pattern": "x*", "duplicates": {"scope": "row"}, "columns": {}, "topic": "x"}
    with pytest.raises(ValidationError, match="names its fields"):
        TableMapping(**table, format="jsonl")
    with pytest.raises(ValidationError, match="format jsonl"):
        TableMapping(**table, format="csv", text=Text(columns=("a",)))
    assert TableMapping(**table, format="jsonl", text=Text(columns=("a",))).topic == "x"
