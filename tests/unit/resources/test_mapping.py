"""Source mappings: what they compile to, and the sentence for a wrong one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from resources.mapping import (
    MappingError,
    kind_columns,
    kind_row,
    load_mapping,
    record_projection,
)


def test_the_demo_mapping_names_every_source_table():
    mapping = load_mapping("completejourney")
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


def test_business_weeks_follow_the_zone_of_the_source():
    """Sunday 23:59 and Monday 00:00 in New York, in winter and in summer, against a hand-written table."""
    mapping = load_mapping("completejourney")
    items = record_projection(mapping, "pos_lines", ("basket_id",))
    week = next(item for item in items if item.endswith("AS week_start_date"))
    assert "America/New_York" in week
    assert "date_trunc('WEEK'" in week
    table = {
        "2017-01-02 04:59:59": date(2016, 12, 26),
        "2017-01-02 05:00:00": date(2017, 1, 2),
        "2017-07-03 03:59:59": date(2017, 6, 26),
        "2017-07-03 04:00:00": date(2017, 7, 3),
    }
    for instant, expected in table.items():
        found = duckdb.sql(
            f"SELECT CAST(date_trunc('week', timezone('America/New_York', TIMESTAMPTZ '{instant}+00')) AS DATE)"
        ).fetchall()
        assert found == [(expected,)]


def test_a_record_may_be_several_kinds():
    explode = load_mapping("completejourney").tables["promotions"].explode
    assert explode is not None
    rows = duckdb.sql(
        f"WITH mapped AS (SELECT {', '.join(kind_columns(explode))} FROM (VALUES ('9', 'A'), ('0', 'D'), ('3', '0')) "
        "AS raw (display_location, mailer_location)) "
        + " UNION ALL ".join(
            f"SELECT {', '.join(kind_row(explode, kind))} FROM mapped WHERE _is_{kind}" for kind in explode.kinds
        )
    ).fetchall()
    assert sorted(rows) == [("display", "3"), ("display", "9"), ("mailer", "A"), ("mailer", "D")]


def test_a_plan_is_known_before_its_week():
    items = record_projection(load_mapping("completejourney"), "promotions", ("week",))
    assert next(item for item in items if item.endswith("AS known_at")).endswith(
        "- INTERVAL '2419200' SECOND AS known_at"
    )


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


def test_rows_read_out_of_other_files_are_told_apart_by_what_they_say(tmp_path: Path):
    items = record_projection(shop(tmp_path), "products", ("code", "paid"))
    assert items[-1] == "xxhash64((code)) AS row_hash"
    assert (
        record_projection(shop(tmp_path), "pos_lines", ("code", "paid"))[-1] == "xxhash64(`code`, `paid`) AS row_hash"
    )
