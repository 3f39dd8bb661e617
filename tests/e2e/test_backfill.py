"""Thirty weeks come late, five of them with a line that silver refuses: twenty-five are made once, five are named.

A till of three stores, in a copy of the project with a mapping and a rule of its own, as a user would add them. The
tests read the lake in the order in which its story goes.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from resources.instance import open_instance
from resources.settings import PROJECT_ROOT, load_settings
from resources.spans import between
from tests.command_lake import CommandLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]

MAPPING = """
source: till
title: A till
notice: Test data.
timezone: UTC
first_weekday: monday
currency: USD
snapshot_at: 2017-01-02T00:00:00Z
tables:
  pos_lines:
    pattern: "sales*.csv"
    format: csv
    event_at: CAST(at AS TIMESTAMP)
    known_at: CAST(known AS TIMESTAMP)
    duplicates: {scope: key, key: [transaction_id, line_id, known_at]}
    columns:
      transaction_id: receipt
      line_id: "'1'"
      line_kind: "'sale'"
      product_id: product
      store_id: store
      household_id: card
      quantity_units: CAST(units AS DECIMAL(18,4))
      sales_amount_usd: CAST(units AS DECIMAL(18,4))
      retail_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_match_discount_usd: CAST(0 AS DECIMAL(18,4))
      is_zero_quantity: 'FALSE'
      is_non_merchandise: 'FALSE'
  products:
    pattern: "products*.csv"
    format: csv
    duplicates: {scope: row}
    columns:
      product_id: product
      manufacturer_id: CAST(NULL AS STRING)
      department: "'GROCERY'"
      brand: CAST(NULL AS STRING)
      product_category: category
      product_type: CAST(NULL AS STRING)
      package_size: CAST(NULL AS STRING)
      is_bulk_measure: 'FALSE'
"""
RULE = """      - id: units_of_a_basket
        type: custom
        description: Nobody carries more than 500 units out of a store.
        engine: liftlake
        implementation:
          kind: expression
          expression: quantity_units <= 500
"""
FIRST, LAST = date(2017, 1, 2), date(2017, 9, 25)
COVERED = between(FIRST, LAST)
# Two spans of weeks with a gap between them.
LATE = COVERED[3:19] + COVERED[21:35]
POISONED = LATE[4:7] + LATE[27:29]
FACT, SERIES = "silver.fct_receipt_lines", "gold.demand_series"
TABLES = [FACT, SERIES]


@dataclass(frozen=True)
class Till(CommandLake):
    """A lake of a till's files."""

    @property
    def files(self) -> Path:
        return self.home.parent / "files"

    def deliver(self, name: str, lines: list[tuple[str, str, date, int, int]]) -> dict[str, Any]:
        """Ingest a file of (receipt, store, week, units, days until it was known)."""
        rows = [
            f"{receipt},{store},tea,card-{store},{units},{week} 12:00:00,{week + timedelta(days=days)} 13:00:00\n"
            for receipt, store, week, units, days in lines
        ]
        path = self.files / f"sales_{name}.csv"
        path.write_text("receipt,store,product,card,units,at,known\n" + "".join(rows), encoding="utf-8")
        return self.liftlake("ingest", str(self.files), "--source", "till")

    def planned(self) -> dict[str, dict[str, Any]]:
        return {row["table"]: row for row in self.liftlake("plan")["work"]}

    def made(self) -> dict[str, Counter[date]]:
        """Table -> how often Dagster has recorded that a week of it was made."""
        found = {}
        with open_instance(load_settings(self.environment)) as instance:
            for name in TABLES:
                events = instance.fetch_materializations(dg.AssetKey(name.split(".")), limit=10_000).records
                found[name] = Counter(date.fromisoformat(str(event.partition_key)) for event in events)
        return found


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    folder = tmp_path_factory.mktemp("till")
    project, home = folder / "project", folder / "home"
    leave_out = shutil.ignore_patterns("__pycache__", ".*", "docs")
    shutil.copytree(PROJECT_ROOT, project, ignore=leave_out)
    (project / "assets" / "bronze" / "sources" / "till.yaml").write_text(MAPPING, encoding="utf-8")
    contract = project / "checks" / "contracts" / "silver" / "fct_receipt_lines.odcs.yaml"
    before, rule, after = contract.read_text(encoding="utf-8").partition("      - id: weekly_totals_reconcile\n")
    contract.write_text(before + RULE + rule + after, encoding="utf-8")
    home.mkdir()
    lake = {
        "source": "till", "as_of": f"{LAST + timedelta(weeks=1)}T00:00:00Z", "weeks": {"first": FIRST, "last": LAST},
        "scope": {"product_groups": [], "min_weekly_transactions": 1},
    }  # fmt: skip
    (home / "lake.yaml").write_text(yaml.safe_dump(lake), encoding="utf-8")
    opened = Till(home, {"LIFTLAKE_TOKEN_KEY": "a-key-of-this-test"}, project)
    opened.files.mkdir()
    products = opened.files / "products.csv"
    products.write_text("product,category\ntea,TEAS\n", encoding="utf-8")
    opened.deliver("base", [(f"{s}-{w}", s, w, 5, 0) for s in ("north", "south") for w in COVERED])
    opened.liftlake("run", "bronze", "silver", SERIES)
    yield opened
    opened.liftlake("down")


@pytest.fixture(scope="module")
def first(till: Till) -> dict[str, Any]:
    """What the backfill of the late weeks says, and how often each week had been made before."""
    units = {week: 5000 if week in POISONED else 7 for week in LATE}
    till.deliver("late", [(f"late-{week}", "west", week, units[week], 9) for week in LATE])
    return {
        "before": till.made(),
        "planned": till.planned(),
        "answer": till.liftlake("backfill", "bronze", "silver", SERIES, code=1),
    }


def texts(weeks: Any) -> list[str]:
    return [week.isoformat() for week in sorted(weeks)]


def test_the_plan_names_the_late_weeks_and_no_other(first: dict[str, Any]):
    planned = first["planned"]
    assert (planned[FACT]["weeks"], planned[FACT]["reason"]) == (texts(LATE), "bronze.pos_lines changed")
    assert planned[SERIES]["weeks"] == texts(week for week in COVERED if week >= LATE[0])


def test_twenty_five_weeks_are_made_once_and_five_are_named(till: Till, first: dict[str, Any]):
    answer = first["answer"]
    assert answer["asked"][FACT] == texts(LATE), answer["failed"]
    assert answer["done"][FACT] == texts({*LATE} - {*POISONED})
    # A line for each of the two runs: the rule and how many rows of the run break it.
    assert [row["reason"] for row in answer["failed"]] == [
        f"rule units_of_a_basket failed on {rows} rows" for rows in (3, 2)
    ]
    assert [(row["table"], week) for row in answer["failed"] for week in row["weeks"]] == [
        (FACT, week) for week in texts(POISONED)
    ]
    # Below, weeks before the first refused one are made; the others look back on it, and wait.
    assert answer["done"][SERIES] == texts(week for week in LATE if week < POISONED[0])
    made = {name: counts - first["before"][name] for name, counts in till.made().items()}
    assert made[FACT] == Counter(LATE)
    assert made[SERIES] == Counter(week for week in LATE if week < POISONED[0])
    west = till.sql(f"SELECT week_start_date FROM {FACT} WHERE store_id = 'west' ORDER BY 1")["week_start_date"]
    assert west.to_list() == sorted({*LATE} - {*POISONED})
    assert till.sql(f"SELECT COUNT(*) AS n FROM {FACT} WHERE store_id <> 'west'")["n"][0] == 2 * len(COVERED)


def test_the_plan_names_what_failed_and_what_waits(till: Till, first: dict[str, Any]):
    planned = till.planned()
    assert planned[FACT]["weeks"] == texts(POISONED)
    assert "left as they were" in planned[FACT]["reason"]
    assert planned[SERIES]["weeks"] == texts(week for week in COVERED if week >= POISONED[0])


@pytest.fixture(scope="module")
def mended(till: Till, first: dict[str, Any]) -> str:
    """The backfill whose poisoned lines have come again as they should be."""
    till.deliver("mended", [(f"late-{week}", "west", week, 50, 12) for week in POISONED])
    return first["answer"]["id"]


def test_a_resume_that_is_killed_leaves_what_it_published(till: Till, mended: str):
    """The kill comes after a span was published and before its check was recorded: that one is made again."""
    before = till.made()
    till.killed("resources.lake.Lake", "publish", "after", "backfill", "--resume", mended)
    assert till.made()[FACT] - before[FACT] == Counter(POISONED[:3])
    west = till.sql(f"SELECT COUNT(*) AS n FROM {FACT} WHERE store_id = 'west'")["n"][0]
    assert west == len(LATE) - len(POISONED[3:])


def test_a_resume_touches_what_failed_or_is_missing_and_nothing_else(till: Till, mended: str):
    before = till.made()
    answer = till.liftlake("backfill", "--resume", mended)
    assert (answer["id"], answer["failed"], answer["missing"]) == (mended, [], {})
    assert answer["done"] == answer["asked"]
    made = {name: counts - before[name] for name, counts in till.made().items()}
    assert made[FACT] == Counter(POISONED)
    assert made[SERIES] == Counter(week for week in COVERED if week >= POISONED[0])
    assert not {FACT, SERIES} & set(till.planned())


def test_the_lake_is_what_the_files_say(till: Till, mended: str):
    wanted = duckdb.sql(
        "SELECT CAST(date_trunc('week', CAST(\"at\" AS TIMESTAMP)) AS DATE) AS week, CAST(SUM(units) AS INT) FROM "
        f"(SELECT * FROM read_csv('{till.files}/sales_*.csv') QUALIFY row_number() OVER "
        "(PARTITION BY receipt ORDER BY known DESC) = 1) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    for name in (FACT, SERIES):
        found = till.sql(f"SELECT week_start_date, CAST(SUM(quantity_units) AS INT) FROM {name} GROUP BY 1 ORDER BY 1")
        assert found.rows() == wanted, name
