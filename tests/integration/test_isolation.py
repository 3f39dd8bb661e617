"""Weeks that an audit refuses: put back, named, and the others published; and which weeks changed between versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.audits import audit_table, publish_if_new
from resources.changes import changed_weeks
from resources.commits import Provenance
from resources.isolation import publish_without_refused, start_from_published
from resources.lake import Lake
from resources.spans import as_texts, between, where_sql

pytestmark = pytest.mark.spark
WEEKS = between(date(2017, 1, 2), date(2017, 3, 6))
MADE = WEEKS[1:9]
SOUND, BETTER = 0.25, 0.5
# Breaks a rule about one row; the same row twice breaks one about the table.
OUT_OF_RANGE = 2.0


@pytest.fixture
def plans(request: pytest.FixtureRequest, lake: Lake) -> Contract:
    """The contract of gold.promotion_plans under a name of its own for each test, published for all weeks."""
    contract = replace(load_contracts()["gold", "promotion_plans"], name=f"parts_{abs(hash(request.node.name))}")
    lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")
    lake.spark.sql(f"DROP VIEW IF EXISTS {contract.published_name}")
    made_from = Provenance("c", {"bronze.x": "1"}, str(WEEKS[-1]), as_texts(WEEKS))
    lake.publish(contract, lake.write(contract, rows(dict.fromkeys(WEEKS, SOUND)), made_from), made_from)
    return contract


def rows(shares: dict[date, float]) -> pl.DataFrame:
    instant = datetime(2017, 1, 2, 5, tzinfo=UTC)
    return pl.DataFrame({
        "store_id": "7", "product_group": "TEAS", "week_start_date": list(shares), "display_products": 1,
        "mailer_products": 0, "display_share": list(shares.values()), "mailer_share": 0.0, "event_at": instant,
        "known_at": instant,
    })  # fmt: skip


def written(lake: Lake, plans: Contract, content: pl.DataFrame, **made_from: object) -> Provenance:
    """Some weeks written behind as a run writes them."""
    known = {"code": "c", "inputs": {"bronze.x": "2"}, "through": str(WEEKS[-1]), "made": as_texts(MADE)}
    provenance = Provenance(**{**known, **made_from})
    lake.write(plans, content, provenance, where_sql("week_start_date", MADE))
    return provenance


def audited(lake: Lake, plans: Contract) -> tuple[bool, tuple[date, ...]]:
    """What the blocking check of a run over the weeks does: whether the version passed, and the refused weeks."""
    by_name = {plans.published_name: plans}
    verdict, newest = audit_table(lake, plans, by_name, (MADE[0], MADE[-1]))
    if verdict.passed:
        publish_if_new(lake, plans, newest)
        return True, ()
    return False, publish_without_refused(lake, plans, by_name, newest, verdict)


def shares(lake: Lake, plans: Contract) -> dict[date, float]:
    found = lake.read(plans.published_name, ("week_start_date", "display_share"))
    assert found.height == len(WEEKS)
    return dict(found.sort("week_start_date").iter_rows())


def after(refused: tuple[date, ...]) -> dict[date, float]:
    return {week: BETTER if week in MADE and week not in refused else SOUND for week in WEEKS}


def test_weeks_with_broken_rows_are_put_back_and_the_others_published(lake: Lake, plans: Contract):
    bad = (MADE[0], MADE[3], MADE[4])
    written(lake, plans, rows({week: OUT_OF_RANGE if week in bad else BETTER for week in MADE}))
    assert audited(lake, plans) == (False, bad)
    assert shares(lake, plans) == after(bad)
    state = lake.publication(plans)
    assert state is not None
    assert (state.provenance.behind, state.provenance.inputs) == (as_texts(bad), {"bronze.x": "2"})
    # The next run makes them; nothing else of the table is touched.
    mended = Provenance("c", {"bronze.x": "3"}, str(WEEKS[-1]), as_texts(bad))
    lake.write(plans, rows(dict.fromkeys(bad, BETTER)), mended, where_sql("week_start_date", bad))
    assert audited(lake, plans) == (True, ())
    assert shares(lake, plans) == after(())


def test_weeks_that_break_a_rule_about_the_table_are_found_by_halving(lake: Lake, plans: Contract):
    """One week holds a row twice, another one breaks a rule about one row."""
    content = rows({week: OUT_OF_RANGE if week == MADE[6] else BETTER for week in MADE})
    written(lake, plans, pl.concat([content, content.filter(pl.col("week_start_date") == MADE[2])]))
    assert audited(lake, plans) == (False, (MADE[2], MADE[6]))
    assert shares(lake, plans) == after((MADE[2], MADE[6]))


def test_nothing_is_put_back_where_there_is_nothing_to_go_back_to(lake: Lake, plans: Contract):
    broken = rows(dict.fromkeys(MADE, OUT_OF_RANGE))
    written(lake, plans, broken, code="other")
    assert audited(lake, plans) == (False, ())
    assert shares(lake, plans) == dict.fromkeys(WEEKS, SOUND)
    # The version before this one is not the published one.
    written(lake, plans, broken)
    assert audited(lake, plans) == (False, ())


def test_a_version_that_nobody_published_is_taken_back_before_other_weeks_are_made(lake: Lake, plans: Contract):
    written(lake, plans, rows(dict.fromkeys(MADE, OUT_OF_RANGE)))
    weeks = WEEKS[9:]
    made_from = Provenance("c", {"bronze.x": "3"}, str(WEEKS[-1]), as_texts(weeks))
    start_from_published(lake, plans, made_from)
    assert shares(lake, plans) == dict.fromkeys(WEEKS, SOUND)
    lake.write(plans, rows(dict.fromkeys(weeks, BETTER)), made_from, where_sql("week_start_date", weeks))
    verdict, newest = audit_table(lake, plans, {plans.published_name: plans}, (weeks[0], weeks[-1]))
    assert (verdict.passed, verdict.row_count) == (True, len(weeks))
    publish_if_new(lake, plans, newest)
    assert shares(lake, plans) == {week: BETTER if week in weeks else SOUND for week in WEEKS}


def test_weeks_that_changed_between_two_versions(lake: Lake, plans: Contract):
    first, gap = lake.token(plans), (WEEKS[1], WEEKS[4])
    assert changed_weeks(lake, plans, first, first) is None
    for week in gap:
        made_from = Provenance("c", {}, str(WEEKS[-1]), as_texts([week]))
        version = lake.write(plans, rows({week: BETTER}), made_from, where_sql("week_start_date", [week]))
        lake.publish(plans, version, made_from)
    assert changed_weeks(lake, plans, first, lake.token(plans)) == gap
    whole = Provenance("d", {}, str(WEEKS[-1]))
    lake.publish(plans, lake.write(plans, rows(dict.fromkeys(WEEKS, SOUND)), whole), whole)
    assert changed_weeks(lake, plans, first, lake.token(plans)) is None


def test_a_table_without_weeks_touches_none_where_its_rows_are_the_same(lake: Lake):
    keys = replace(load_contracts()["bronze", "household_keys"], name="keys_of_isolation")
    lake.spark.sql(f"DROP TABLE IF EXISTS {keys.audit_name}")
    held = pl.DataFrame({"household_id": ["1", "2"], "household_token": ["hk1_a", "hk1_b"], "key_version": "1"})
    gained = pl.concat([held, held.head(1).with_columns(pl.lit("3").alias("household_id"))])
    other = held.with_columns(pl.lit("hk2_a").alias("household_token"))
    first, same, more, rotated = (
        str(lake.write(keys, content, Provenance(str(number))))
        for number, content in enumerate((held, held, gained, other))
    )
    assert changed_weeks(lake, keys, first, same) == ()
    assert changed_weeks(lake, keys, first, more) is None
    assert changed_weeks(lake, keys, first, more, only_gains=True) == ()
    assert changed_weeks(lake, keys, first, rotated, only_gains=True) is None
