"""Freshness by source and week, at the lake's clock and not at the wall's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources import ages
from resources.ages import Age, missing_weeks, table_ages
from resources.commits import Provenance
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping

pytestmark = pytest.mark.spark
NOON = timedelta(hours=12)
AS_OF = datetime(2017, 2, 6, tzinfo=UTC)
MAPPING = """
source: corner
title: A corner shop
notice: Made for tests.
files: {folder: .}
timezone: UTC
first_weekday: monday
currency: USD
snapshot_at: 2017-01-02T00:00:00Z
closed: {weekdays: [sunday], dates: [2017-02-03, 2017-02-04]}
tables: {}
"""


@pytest.fixture
def mapping(tmp_path: Path) -> SourceMapping:
    (tmp_path / "corner.yaml").write_text(MAPPING, encoding="utf-8")
    return load_mapping("corner", tmp_path)


@pytest.fixture
def age_of(lake: Lake, mapping: SourceMapping, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Age]]:
    """The age of a bronze table with a row on each of these days, by source; SLA of two days, rows every week."""
    level = replace(load_contracts()["bronze", "pos_lines"].freshness, days=2.0)
    contract = replace(load_contracts()["bronze", "pos_lines"], name="aged_lines", freshness=level)
    clock = lake.settings.lake.model_copy(update={"as_of": AS_OF})
    monkeypatch.setattr(lake, "settings", lake.settings.model_copy(update={"lake": clock}))
    monkeypatch.setattr(ages, "load_mapping", lambda source: mapping.model_copy(update={"source": source}))

    def aged(**days: list[date]) -> Age:
        lake.write(contract, rows(contract, days), Provenance("c"))
        return table_ages(lake, [contract], mapping)[contract.published_name]

    yield aged
    lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")


def filler(type_name: str) -> bool | int | Decimal | str:
    """Any value of this type, for the columns that no test here reads."""
    if type_name == "BOOLEAN":
        return False
    if type_name == "BIGINT":
        return 1
    return Decimal(1) if type_name.startswith("DECIMAL") else "x"


def rows(contract: Contract, days: dict[str, list[date]]) -> pl.DataFrame:
    found = []
    for source, dates in days.items():
        for day in dates:
            at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) + NOON
            values = {column.name: filler(column.type) for column in contract.columns}
            week = day - timedelta(days=day.weekday())
            found.append({**values, "source": source, "transaction_id": str(day), "week_start_date": week,
                          "event_at": at, "known_at": at})  # fmt: skip
    return pl.DataFrame(found)


WEEKS = [date(2017, 1, 2) + timedelta(days=7 * number) for number in range(5)]


def test_closed_days_are_not_lateness(age_of: Callable[..., Age]):
    """Wednesday noon, seen on Monday: four and a half days, three of them closed. Tuesday's row is too old."""
    assert age_of(corner=[*WEEKS, date(2017, 2, 1)]).is_fresh
    assert not age_of(corner=[*WEEKS, date(2017, 1, 31)]).is_fresh


def test_a_backfill_of_an_old_week_does_not_make_a_late_table_fresh(age_of: Callable[..., Age]):
    days = [*WEEKS[:3], date(2017, 1, 20)]
    late = age_of(corner=days)
    assert not late.is_fresh
    again = age_of(corner=[*days, date(2017, 1, 4), date(2017, 1, 11)])
    assert (again.is_fresh, again.newest) == (False, late.newest)


def test_a_week_without_rows_is_named_until_it_has_some(age_of: Callable[..., Age]):
    newest = date(2017, 2, 2)
    hole = age_of(corner=[WEEKS[0], *WEEKS[2:], newest])
    assert hole.sources[0].missing_weeks == (WEEKS[1],)
    assert not hole.is_fresh
    assert age_of(corner=[*WEEKS, newest]).is_fresh


def test_one_late_source_is_not_hidden_by_another(age_of: Callable[..., Age]):
    age = age_of(corner=[*WEEKS, date(2017, 2, 2)], branch=[*WEEKS[:4], date(2017, 1, 24)])
    assert [(item.source, item.is_fresh) for item in age.sources] == [("branch", False), ("corner", True)]
    assert not age.is_fresh
    assert age.newest == datetime(2017, 1, 24, 12, tzinfo=UTC)


def test_rows_after_the_lakes_clock_are_not_known_yet(age_of: Callable[..., Age]):
    age = age_of(corner=[*WEEKS[:2], date(2017, 2, 7)])
    assert age.newest == datetime(2017, 1, 9, 12, tzinfo=UTC)
    assert not age.is_fresh


def test_a_week_is_due_when_it_has_been_over_for_the_allowed_open_time(mapping: SourceMapping):
    held, allowed, days = [WEEKS[0]], timedelta(days=2), mapping.closed_days
    assert missing_weeks(held, datetime(2017, 1, 17, 23, tzinfo=UTC), allowed, days) == ()
    assert missing_weeks(held, datetime(2017, 1, 18, tzinfo=UTC), allowed, days) == (WEEKS[1],)
