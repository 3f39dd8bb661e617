"""The table and the Arrow schema of a contract."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from checks.contracts.column_types import decimal_parts, logical_type
from checks.contracts.model import Contract
from checks.contracts.spark_schema import arrow_schema, column_ddl, create_table_sql

Contracts = Mapping[tuple[str, str], Contract]
LINE = re.compile(
    r"  (?P<name>\w+) (?P<type>[A-Z]+(?:\(\d+,\d+\)|<STRING>)?)(?P<null> NOT NULL)? COMMENT '(?P<text>.*)',?"
)


def test_ddl_says_what_the_contract_says(contracts: Contracts) -> None:
    for contract in contracts.values():
        lines = column_ddl(contract).split("\n")
        found = [LINE.fullmatch(line) for line in lines]
        assert all(match is not None for match in found), contract.key
        assert [(m["name"], m["type"], m["null"] is None, m["text"].replace("\\'", "'")) for m in found if m] == [
            (column.name, column.type, column.is_nullable, column.description) for column in contract.columns
        ]


def test_create_table(contracts: Contracts) -> None:
    contract = contracts["silver", "fct_promotions"]
    sql = create_table_sql(contract)
    assert sql.startswith("CREATE TABLE IF NOT EXISTS silver_audit.fct_promotions (\n")
    assert "USING delta" in sql
    assert "'delta.dataSkippingStatsColumns' = 'week_start_date'" in sql
    labels = create_table_sql(contracts["gold", "demand_labels"])
    assert "'delta.dataSkippingStatsColumns' = 'target_week_start_date,week_start_date'" in labels
    assert "'delta.dataSkippingNumIndexedCols' = '2'" in create_table_sql(contracts["silver", "dim_product"])
    assert "COMMENT 'One row per product, store, week and kind of promotion. " in sql
    assert create_table_sql(contract, "scratch.x").startswith("CREATE TABLE IF NOT EXISTS scratch.x (")
    assert "EXISTS bronze.promotions (" in create_table_sql(contracts["bronze", "promotions"])


def test_quotes_and_backslashes_in_comments(contracts: Contracts) -> None:
    contract = contracts["insights", "report"]
    column = dataclasses.replace(contract.columns[0], description="It's a \\ path.")
    sql = column_ddl(dataclasses.replace(contract, columns=(column,)))
    assert sql == "  as_of TIMESTAMP NOT NULL COMMENT 'It\\'s a \\\\ path.'"


def test_arrow_keeps_instants_decimals_and_nulls(contracts: Contracts) -> None:
    schema = arrow_schema(contracts["bronze", "pos_lines"])
    assert schema.field("event_at").type == pa.timestamp("us", "UTC")
    assert schema.field("sales_amount_usd").type == pa.decimal128(18, 4)
    assert schema.field("row_hash").type == pa.int64()
    assert not schema.field("event_at").nullable
    assert arrow_schema(contracts["silver", "dim_product"]).field("valid_to_at").nullable
    assert arrow_schema(contracts["bronze", "quarantine"]).field("rule_ids").type == pa.list_(pa.string())


def test_values_pass_through_arrow_unchanged(contracts: Contracts) -> None:
    contract = contracts["gold", "demand_labels"]
    row = {
        "store_id": "1",
        "product_group": "TEAS",
        "week_start_date": date(2017, 11, 27),
        "horizon_weeks": 1,
        "target_week_start_date": date(2017, 12, 4),
        "transactions": 2**62,
        "quantity_units": Decimal("99999999999999.9999"),
        "net_sales_usd": Decimal("0.0001"),
        "censoring": None,
        "matures_at": datetime(2017, 12, 11, 5, 0, 0, 1, tzinfo=UTC),
    }
    assert pa.Table.from_pylist([row], schema=arrow_schema(contract)).to_pylist() == [row]


@pytest.mark.parametrize(
    ("spark_type", "parts", "logical"),
    [
        ("DECIMAL(18,4)", (18, 4), "number"),
        ("DECIMAL(39,4)", None, None),
        ("DECIMAL(4,5)", None, None),
        ("DECIMAL(18, 4)", None, None),
        ("decimal(18,4)", None, None),
        ("BIGINT", None, "integer"),
        ("MAP<STRING,STRING>", None, None),
    ],
)
def test_types(spark_type: str, parts: tuple[int, int] | None, logical: str | None) -> None:
    assert decimal_parts(spark_type) == parts
    assert logical_type(spark_type) == logical
