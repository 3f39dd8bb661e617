"""DuckDB as a second engine for the numbers of the page."""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl


def one_row(query: str, **frames: pl.DataFrame) -> tuple[Any, ...]:
    """The single row of a query over the frames, computed by DuckDB."""
    with duckdb.connect() as connection:
        for name, frame in frames.items():
            connection.register(name, frame)
        (row,) = connection.sql(query).fetchall()
    return row
