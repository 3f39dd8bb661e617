"""Rows in the shape of their contract.

Belongs here: columns, order and types on the way into a table. Does not belong here: whether values are right (checks).
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from checks.contracts.model import Contract
from checks.contracts.spark_schema import arrow_schema


def conform(rows: pl.DataFrame | pa.Table, contract: Contract) -> pa.Table:
    """`rows` with the columns, order and Arrow types of the contract.

    Raises:
        ValueError: a column is missing or unknown.
        pa.ArrowInvalid: a value does not fit the contract's type without loss.
    """
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()) if isinstance(rows, pl.DataFrame) else rows
    missing = sorted(set(contract.column_names) - set(table.column_names))
    unknown = sorted(set(table.column_names) - set(contract.column_names))
    if missing or unknown:
        raise ValueError(f"{contract.published_name}: missing columns {missing}, unknown columns {unknown}.")
    return table.select(list(contract.column_names)).cast(arrow_schema(contract).remove_metadata(), safe=True)
