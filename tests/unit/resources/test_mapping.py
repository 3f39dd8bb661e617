"""Source mappings: what they compile to, and the sentence for a wrong one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from resources.mapping import MappingError, kind_columns, kind_row, load_mapping, record_projection


def test_the_demo_mapping_names_every_source_table():
    mapping = load_mapping("completejourney")
    assert set(mapping.tables) == {
        "pos_lines", "promotions", "products", "households", "campaigns", "offers", "offer_exposures", "redemptions",
    }  # fmt: skip


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(MappingError, match="completejourney"):
        load_mapping("nowhere")


@pytest.mark.parametrize(
    ("text", "named"),
    [("source: x", "title"), ("source: [", "x.yaml"), ("tables: {a: {format: xml}}", "format")],
)
def test_a_wrong_mapping_names_file_and_field(tmp_path: Path, text: str, named: str):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingError, match=named):
        load_mapping("x", tmp_path)


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


def test_a_record_may_be_several_kinds():
    explode = load_mapping("completejourney").tables["promotions"].explode
    assert explode is not None
    rows = duckdb.sql(
        f"WITH mapped AS (SELECT {', '.join(kind_columns(explode))} FROM (VALUES ('9', 'A'), ('0', 'D'), ('3', '0')) "
        "AS raw (display_location, mailer_location)) "
        + " UNION ALL ".join(
            f"SELECT {', '.join(kind_row(explode, kind))} FROM mapped WHERE _is_{kind}" for kind in explode.kinds
        )
    ).fetchall()
    assert sorted(rows) == [("display", "3"), ("display", "9"), ("mailer", "A"), ("mailer", "D")]


def test_a_plan_is_known_before_its_week():
    items = record_projection(load_mapping("completejourney"), "promotions", ("week",))
    assert next(item for item in items if item.endswith("AS known_at")).endswith(
        "- INTERVAL '2419200' SECOND AS known_at"
    )
