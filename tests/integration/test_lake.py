"""Writing, publishing and reading tables: versions, ranges, types, provenance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.commits import Provenance
from resources.lake import Lake
from resources.locks import Locked

pytestmark = pytest.mark.spark
WEEKS = [date(2017, 1, 2), date(2017, 1, 9), date(2017, 1, 16)]


@pytest.fixture
def plans(request: pytest.FixtureRequest, lake: Lake) -> Contract:
    """The contract of gold.promotion_plans under a name of its own for each test."""
    contract = replace(load_contracts()["gold", "promotion_plans"], name=f"plans_{abs(hash(request.node.name))}")
    lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")
    lake.spark.sql(f"DROP VIEW IF EXISTS {contract.published_name}")
    return contract


def rows(weeks: list[date], share: float = 0.25) -> pl.DataFrame:
    instant = datetime(2017, 1, 2, 5, tzinfo=UTC)
    return pl.DataFrame({
        "store_id": "7", "product_group": "TEA's \\ x", "week_start_date": weeks, "display_products": 1,
        "mailer_products": 0, "display_share": share, "mailer_share": 0.0, "event_at": instant, "known_at": instant,
    })  # fmt: skip


def test_rows_come_back_as_they_went_in(lake: Lake, plans: Contract):
    version = lake.write(plans, rows(WEEKS), Provenance("c"))
    lake.publish(plans, version, Provenance("c"))
    found = lake.read(plans.published_name).sort("week_start_date")
    assert found.rows() == rows(WEEKS).rows()
    assert found.schema["event_at"] == pl.Datetime("us", "UTC")


def test_readers_see_the_published_version_only(lake: Lake, plans: Contract):
    first = lake.write(plans, rows(WEEKS), Provenance("one", {"bronze.x": "3"}, "2017-01-16"))
    lake.publish(plans, first, Provenance("one", {"bronze.x": "3"}, "2017-01-16"))
    lake.write(plans, rows(WEEKS, share=0.5), Provenance("two"))
    assert set(lake.read(plans.published_name)["display_share"]) == {0.25}
    state = lake.publication(plans)
    assert state is not None
    assert (state.version, state.provenance.inputs["bronze.x"]) == (first, "3")
    assert lake.newest(plans).provenance == Provenance("two")


def test_a_range_is_replaced_and_an_emptied_week_is_empty(lake: Lake, plans: Contract):
    lake.write(plans, rows(WEEKS), Provenance("c"))
    where = "week_start_date BETWEEN DATE'2017-01-09' AND DATE'2017-01-16'"
    version = lake.write(plans, rows(WEEKS[2:], share=0.5), Provenance("c"), where)
    lake.publish(plans, version, Provenance("c"))
    found = lake.read(plans.published_name).sort("week_start_date")
    assert found.select("week_start_date", "display_share").rows() == [(WEEKS[0], 0.25), (WEEKS[2], 0.5)]


def test_rows_outside_the_replaced_range_are_refused(lake: Lake, plans: Contract):
    lake.write(plans, rows(WEEKS), Provenance("c"))
    with pytest.raises(Exception, match="(?i)replacewhere|DELTA_REPLACE_WHERE"):
        lake.write(plans, rows(WEEKS), Provenance("c"), "week_start_date = DATE'2017-01-09'")


def test_missing_and_unknown_columns_are_named(lake: Lake, plans: Contract):
    with pytest.raises(ValueError, match=r"missing columns \['known_at'\], unknown columns \['extra'\]"):
        lake.write(plans, rows(WEEKS).rename({"known_at": "extra"}), Provenance("c"))


def test_a_value_that_does_not_fit_its_type_is_refused(lake: Lake, plans: Contract):
    half = rows(WEEKS).with_columns(display_products=pl.lit(Decimal("1.5")))
    with pytest.raises(Exception, match="(?i)truncated|rescal|lossless"):
        lake.write(plans, half, Provenance("c"))


def test_a_table_that_is_not_published_is_named(lake: Lake):
    with pytest.raises(LookupError, match=r"gold\.never is not published"):
        lake.read("gold.never")


def test_a_second_writer_is_refused_with_a_sentence(lake: Lake, plans: Contract):
    lake.claim()
    other = Lake(lake.settings, lake._door)
    with pytest.raises(Locked, match="one run writes at a time"):
        other.claim()
