"""A contract as a Spark table and as an Arrow schema.

Belongs here: DDL text and Arrow fields. Does not belong here: a Spark session, or pyspark at all, so that
`ml` may use the Arrow schema.
"""

from __future__ import annotations

import pyarrow as pa

from checks.contracts.column_types import decimal_parts
from checks.contracts.model import WEEK, Column, Contract

# Statistics of texts cost a sixth of a large write. Queries ask for weeks, or by the first columns of the key.
_INDEXED_COLUMNS = 2
_ARROW_TYPES: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "BIGINT": pa.int64(),
    "INT": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "ARRAY<STRING>": pa.list_(pa.string()),
}


def column_ddl(contract: Contract) -> str:
    """The column list of the table, one line each: `name TYPE NOT NULL COMMENT '...'`, joined by commas."""
    return ",\n".join(f"  {column_definition(column)}" for column in contract.columns)


def create_table_sql(contract: Contract, name: str | None = None) -> str:
    """`CREATE TABLE IF NOT EXISTS` of a Delta table.

    `name` defaults to the table that writers write (`silver_audit.x`, `bronze.x`).
    """
    return (
        f"CREATE TABLE IF NOT EXISTS {name or contract.audit_name} (\n{column_ddl(contract)}\n) USING delta\n"
        f"COMMENT {_literal(contract.description)}\n"
        f"TBLPROPERTIES ({_statistics(contract)})"
    )


def _statistics(contract: Contract) -> str:
    weeks = [name for name in dict.fromkeys((contract.week_column, WEEK)) if name in contract.column_names]
    if weeks:
        return f"'delta.dataSkippingStatsColumns' = '{','.join(weeks)}'"
    return f"'delta.dataSkippingNumIndexedCols' = '{_INDEXED_COLUMNS}'"


def arrow_schema(contract: Contract) -> pa.Schema:
    """The Arrow schema of the rows: times in microseconds UTC, exact decimals, nulls as in the contract."""
    return pa.schema(
        [pa.field(column.name, _arrow_type(column.type), column.is_nullable) for column in contract.columns]
    )


def column_definition(column: Column) -> str:
    """A column in DDL: `name TYPE NOT NULL COMMENT '...'`."""
    null = "" if column.is_nullable else " NOT NULL"
    return f"{column.name} {column.type}{null} COMMENT {_literal(column.description)}"


def _arrow_type(spark_type: str) -> pa.DataType:
    parts = decimal_parts(spark_type)
    return _ARROW_TYPES[spark_type] if parts is None else pa.decimal128(*parts)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
