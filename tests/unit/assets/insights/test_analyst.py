"""The analyst's page lists rows of tables as they are: each table whole, nothing computed, nothing loaded."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from assets.insights.analyst import calibration_plot, printed, sheets
from assets.insights.content import ReportContent
from assets.insights.page import render_analyst
from ml.lift import LIFT_SCHEMA
from ml.response_curves import CURVE_SCHEMA
from tests.unit.assets.insights import small_activities as activities
from tests.unit.assets.insights.page_reader import PageReader


def full(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The frame with the columns of its table that a smaller test did not need."""
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in frame)


@pytest.fixture
def content(base_content: ReportContent) -> ReportContent:
    return replace(base_content, lift=full(base_content.lift, LIFT_SCHEMA), advice=base_content.advice.clear())


@pytest.fixture
def curves(base_content: ReportContent) -> pl.DataFrame:
    curve = {"product_group": "COFFEE", "lever": "price", "status": "estimated", "effect": -1.75}
    rows = full(pl.DataFrame([{**curve, "level": level} for level in (0.8, 0.9, 1.0)]), CURVE_SCHEMA)
    return rows.with_columns(last_week_start_date=pl.lit(base_content.issue_week))


def test_every_table_with_rows_has_its_place(content: ReportContent, curves: pl.DataFrame) -> None:
    found = {sheet.anchor: sheet.rows.height for sheet in sheets(content, curves)}
    assert found == {
        "lift-parts": 4, "lift-events": 2, "drivers": 5, "responses": 1, "outcomes": 4,
        "comparisons": content.comparisons.height,
    }  # fmt: skip
    nothing = replace(content, lift=content.lift.clear(), advice_outcomes=content.advice_outcomes.clear())
    assert [sheet.anchor for sheet in sheets(nothing, curves.clear())] == ["drivers", "comparisons"]


def test_the_page_loads_nothing_and_links_to_its_report(content: ReportContent, curves: pl.DataFrame) -> None:
    page = render_analyst(content, curves)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<iframe|<img|<object", page, re.IGNORECASE)
    reader = PageReader(page)
    links = {attributes.get("href") or "" for _, attributes in reader.tags if "href" in attributes}
    anchors = {f"#{attributes['id']}" for _, attributes in reader.tags if "id" in attributes}
    assert links - anchors == {f"report-{content.issue_week}.html"}
    assert [len(table.rows) - 1 for table in reader.tables] == [sheet.rows.height for sheet in sheets(content, curves)]


def test_hostile_names_stay_text(content: ReportContent, curves: pl.DataFrame) -> None:
    hostile = content.lift.with_columns(product_line=pl.lit("<script>alert(1)</script>"))
    page = render_analyst(replace(content, lift=hostile), curves)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"), (True, "yes"), (12345, "12,345"), (1234.56, "1,235"), (12.345, "12.3"),
        (0.01234, "0.012"), (-1.5, "\N{MINUS SIGN}1.50"), (float("nan"), "\N{EN DASH}"),
        (Decimal("0.8000"), "0.800"), (0.0, "0.00"),
        ("TEAS", "TEAS"),
    ],
)  # fmt: skip
def test_a_cell_is_printed_with_what_it_knows(value: object, text: str) -> None:
    assert printed(value) == text


def test_only_measured_weeks_are_drawn() -> None:
    plot = calibration_plot(activities.make_outcomes())
    assert plot is not None
    assert plot.count("<rect") == plot.count("<circle") == 1
    assert "expected 20.0" in plot
    assert calibration_plot(activities.make_outcomes().filter(pl.col("measured_lower").is_null())) is None
