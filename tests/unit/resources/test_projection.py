"""The SQL of source mappings, run by another engine where that is possible."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from resources.mapping import load_mapping
from resources.projection import record_projection
from tests.unit.resources.test_mapping import shop


def test_business_weeks_follow_the_zone_of_the_source():
    """Sunday 23:59 and Monday 00:00 in New York, in winter and in summer, against a hand-written table."""
    mapping = load_mapping("completejourney")
    items = record_projection(mapping, "pos_lines", ("basket_id",))
    week = next(item for item in items if item.endswith("AS week_start_date"))
    assert "America/New_York" in week
    assert "date_trunc('WEEK'" in week
    table = {
        "2017-01-02 04:59:59": date(2016, 12, 26),
        "2017-01-02 05:00:00": date(2017, 1, 2),
        "2017-07-03 03:59:59": date(2017, 6, 26),
        "2017-07-03 04:00:00": date(2017, 7, 3),
    }
    for instant, expected in table.items():
        found = duckdb.sql(
            f"SELECT CAST(date_trunc('week', timezone('America/New_York', TIMESTAMPTZ '{instant}+00')) AS DATE)"
        ).fetchall()
        assert found == [(expected,)]


def test_a_plan_is_known_before_its_week():
    items = record_projection(load_mapping("completejourney"), "promotions", ("week",))
    assert next(item for item in items if item.endswith("AS known_at")).endswith(
        "- INTERVAL '2419200' SECOND AS known_at"
    )


def test_rows_read_out_of_other_files_are_told_apart_by_what_they_say(tmp_path: Path):
    items = record_projection(shop(tmp_path), "products", ("code", "paid"))
    assert items[-1] == "xxhash64((code)) AS row_hash"
    assert (
        record_projection(shop(tmp_path), "pos_lines", ("code", "paid"))[-1] == "xxhash64(`code`, `paid`) AS row_hash"
    )
