"""Which records of a delivery may be one event, told by its own columns before Spark reads them.

Belongs here: what a staged Parquet file proves of its records. Does not belong here: what a repeat is (mapping), which
of two unlike records of one event is kept (splitting), what earlier deliveries brought (known_keys).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from checks.contracts.evolution import SourceColumn
from resources.mapping import TableMapping
from resources.records import IS_BASE64, LINE, PROBLEM, RAW

# Spark SQL types of which different values are different texts.
KEPT_AS_TEXT = ("STRING", "TINYINT", "SMALLINT", "INT", "BIGINT")
# The bytes of no more are compared.
MOST_COMPARED = 250_000
NO_LINES = pl.Series(LINE, dtype=pl.Int64)


@dataclass(frozen=True)
class Repeats:
    """Lines of a delivery's records, counted from 1.

    Attributes:
        same: those that are byte for byte what an earlier record of the delivery is.
        alike: of the others, those that may be one event with another of them; None: any may be.
    """

    same: pl.Series
    alike: pl.Series | None


def repeats_in(staged: pl.LazyFrame, columns: Sequence[str] | None, *, is_text: bool) -> Repeats:
    """The staged records that may be one event, by the columns that tell events apart; None: no such are known.

    Records are found by hashes: a collision costs a comparison. A record that cannot be read repeats none. Producers
    that send again send the same bytes, so that mostly nothing is left to be compared by what it means.
    """
    if columns is None:
        return Repeats(NO_LINES, None)
    hashes = staged.select(columns).collect().hash_rows().alias("key")
    # What could not be read is told in its own column.
    places = [LINE, PROBLEM] if is_text else [pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(LINE)]
    found = staged.select(places).collect().with_columns(hashes)
    found = found.filter(pl.col(PROBLEM).is_null()).drop(PROBLEM) if is_text else found
    found = found.filter(pl.col("key").is_duplicated())
    if not is_text or found.height > MOST_COMPARED:
        return Repeats(NO_LINES, found[LINE])
    told = staged.select(LINE, RAW, IS_BASE64).join(found.lazy(), on=LINE).sort(LINE).collect()
    told = told.with_columns(pl.struct(RAW, IS_BASE64).is_first_distinct().alias("is_first"))
    first = told.filter("is_first")
    return Repeats(told.filter(~pl.col("is_first"))[LINE], first.filter(pl.col("key").is_duplicated())[LINE])


def identifying_columns(rules: TableMapping, layout: Iterable[SourceColumn]) -> tuple[str, ...] | None:
    """Columns of the file that differ wherever two records differ by the declared duplicate scope.

    All of them for whole rows. For a key, those that it is made of, where each is taken as it is or written as text:
    whole numbers and texts keep their differences so. None where that cannot be told.
    """
    types = {column.name: column.type for column in layout}
    if rules.duplicates.scope == "row":
        return tuple(types)
    found = []
    for name in rules.duplicates.key:
        plain = re.fullmatch(r"CAST\((\w+) AS STRING\)|(\w+)", rules.columns.get(name, ""), flags=re.IGNORECASE)
        column = plain and (plain[1] or plain[2])
        if column is None or types.get(column) not in KEPT_AS_TEXT:
            return None
        found.append(column)
    return tuple(found)
