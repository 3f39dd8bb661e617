"""Whether the data can be trusted: the ingest ledger, the checks and the freshness.

Here: the figures of the section "Data quality and freshness".
Not here: running a check or reading a ledger.

Tables: `ingest` (source/table), `ingest_total`, `check` (table), `check_total`, `fresh` (table), `fresh_total`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from assets.insights import formats
from assets.insights.content import ReportContent
from assets.insights.figure import Figure, Section

SECTION = Section("quality")
COUNTS = ("received", "accepted", "quarantined", "duplicates")


def figures(content: ReportContent) -> Iterator[Figure]:
    """All figures of the section, in the page's order."""
    yield from _ingest(content.ledger)
    yield from _checks(content.checks)
    yield from _freshness(content.freshness)


def _ingest(ledger: pl.DataFrame) -> Iterator[Figure]:
    """The law of every ingest, as a difference that must be 0: received - accepted - quarantined - duplicates."""
    tables = (
        ledger.group_by("source", "table_name")
        .agg(pl.len().alias("files"), *(pl.col(name).sum() for name in COUNTS))
        .with_columns(_unexplained().alias("unexplained"))
        .sort("source", "table_name")
    )
    # An imbalance of one file must not be hidden by the opposite imbalance of another.
    unbalanced = ledger.filter(_unexplained() != 0).height
    yield SECTION.count("ingest_total.all.files", ledger.height)
    yield SECTION.count("ingest_total.all.unbalanced_files", unbalanced)
    for name in COUNTS:
        yield SECTION.count(f"ingest_total.all.{name}", float(ledger[name].sum()))
    for row in tables.iter_rows(named=True):
        key = f"ingest.{row['source']}/{row['table_name']}"
        yield SECTION.words(f"{key}.source", row["source"])
        yield SECTION.words(f"{key}.table", row["table_name"])
        for name in ("files", *COUNTS, "unexplained"):
            yield SECTION.count(f"{key}.{name}", row[name])


def _unexplained() -> pl.Expr:
    return pl.col("received") - pl.col("accepted") - pl.col("quarantined") - pl.col("duplicates")


def _checks(checks: pl.DataFrame) -> Iterator[Figure]:
    yield SECTION.count("check_total.all.tables", checks.height)
    for name in ("rules", "failed", "warned"):
        yield SECTION.count(f"check_total.all.{name}", float(checks[name].sum()))
    for row in checks.sort("table_name").iter_rows(named=True):
        key = f"check.{row['table_name']}"
        for name in ("rules", "failed", "warned", "rows_audited"):
            yield SECTION.count(f"{key}.{name}", row[name])
        yield SECTION.words(f"{key}.outcome", row["outcome"])


def _freshness(freshness: pl.DataFrame) -> Iterator[Figure]:
    late = freshness.filter(~pl.col("is_fresh").fill_null(value=False))
    yield SECTION.count("fresh_total.all.tables", freshness.height)
    yield SECTION.count("fresh_total.all.late", late.height)
    yield SECTION.words("fresh_total.all.late_tables", ", ".join(late["table_name"].sort().to_list()))
    for row in freshness.sort("table_name").iter_rows(named=True):
        key, newest = f"fresh.{row['table_name']}", row["newest_at"]
        if newest is None:
            yield SECTION.words(f"{key}.newest", formats.NOT_KNOWN)
        elif isinstance(newest, datetime):
            yield SECTION.instant(f"{key}.newest", newest)
        else:
            yield SECTION.day(f"{key}.newest", newest)
        yield SECTION.number(f"{key}.sla_days", row["sla_days"], 0 if float(row["sla_days"]).is_integer() else 1)
        yield SECTION.yes(f"{key}.is_fresh", bool(row["is_fresh"]))
