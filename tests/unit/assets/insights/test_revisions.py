"""What changed since the issue before: sums equal SQL, reasons are those of the data, and nothing later is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from assets.insights import revisions
from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from assets.insights.page import figures, render
from tests.unit.assets.insights.page_reader import PageReader
from tests.unit.assets.insights.small_frames import (
    AS_OF,
    GROUPS,
    MONEY,
    make_earlier,
    make_forecasts,
    make_series,
    make_totals,
)
from tests.unit.assets.insights.sql_oracle import one_row

MakeContent = Callable[..., ReportContent]


@pytest.fixture(scope="module")
def book(base_content: ReportContent) -> FigureBook:
    return FigureBook(revisions.figures(base_content))


@pytest.mark.parametrize("group", GROUPS)
def test_both_sums_equal_sql(base_content: ReportContent, book: FigureBook, group: str) -> None:
    """Sums over single series, as issued, over the weeks of both issues."""
    now, before = one_row(
        f"""
        SELECT CAST(sum(issued.expected) AS DOUBLE), CAST(sum(earlier.expected) AS DOUBLE)
        FROM issued JOIN earlier USING (store_id, product_group, target_week_start_date)
        WHERE product_group = '{group}'
        """,
        issued=base_content.totals.filter(level="series"),
        earlier=base_content.earlier_totals.filter(level="series"),
    )
    found = [book.value("revision_group", group, name) for name in ("now", "before", "difference", "change")]
    assert found == pytest.approx([now, before, now - before, now / before - 1])


def test_groups_add_up_to_the_total(book: FigureBook) -> None:
    for name in ("now", "before", "difference"):
        parts = [book.value("revision_group", group, name) or 0.0 for group in book.rows("revision_group")]
        assert sum(parts) == pytest.approx(book.value("revision_total", "all", name))
    weeks = [book.value("revision_week", week, "now") for week in book.rows("revision_week")]
    assert weeks[0] is None
    assert sum(value or 0.0 for value in weeks) == pytest.approx(book.value("revision_total", "all", "now"))


def test_a_group_that_only_one_issue_forecasts_counts_nothing_in_the_other(
    make_content: MakeContent, base_content: ReportContent
) -> None:
    older = base_content.earlier_totals
    without = pl.concat([
        older.filter(pl.col("product_group") != "TEAS", pl.col("level") != "total"),
        older.filter(level="total").join(
            older.filter(level="product_group", product_group="TEAS").select("horizon_weeks", teas="expected"),
            on="horizon_weeks",
        ).with_columns(expected=(pl.col("expected") - pl.col("teas")).cast(MONEY)).drop("teas"),
    ])  # fmt: skip
    book = FigureBook(revisions.figures(make_content(earlier_totals=without)))
    assert (book.value("revision_group", "TEAS", "before"), book.has("revision_group", "TEAS", "change")) == (0, False)
    for name in ("now", "before", "difference"):
        parts = [book.value("revision_group", group, name) or 0.0 for group in book.rows("revision_group")]
        assert sum(parts) == pytest.approx(book.value("revision_total", "all", name))


def test_a_group_that_is_no_longer_forecast_is_told(make_content: MakeContent, base_content: ReportContent) -> None:
    without = base_content.forecasts.filter(pl.col("product_group") != "TEAS")
    content = make_content(forecasts=without, totals=make_totals(without, base_content.tests))
    book = FigureBook(revisions.figures(content))
    assert book.value("revision_group", "TEAS", "now") == 0 < (book.value("revision_group", "TEAS", "before") or 0)
    assert book.text("revision_group", "TEAS", "why") == "Only one of the two issues forecasts it."


def test_risers_and_fallers_equal_a_loop(base_content: ReportContent, book: FigureBook) -> None:
    changes: dict[tuple[str, str], float] = {}
    old = {
        (r["store_id"], r["product_group"], r["target_week_start_date"]): r
        for r in make_earlier().filter(pl.col("method") == "catboost").rows(named=True)
    }
    for row in base_content.issued.rows(named=True):
        before = old.get((row["store_id"], row["product_group"], row["target_week_start_date"]))
        if before is not None:
            key = (row["store_id"], row["product_group"])
            changes[key] = changes.get(key, 0.0) + row["p50"] - before["p50"]
    for table, sign in (("riser", 1), ("faller", -1)):
        ranked = sorted(
            (key for key, gap in changes.items() if gap * sign > 0), key=lambda key: (-abs(changes[key]), key)
        )
        assert ranked
        assert [(book.text(table, n, "store"), book.text(table, n, "group")) for n in book.rows(table)] == ranked[:5]
        found = [book.value(table, number, "difference") for number in book.rows(table)]
        assert found == pytest.approx([changes[key] for key in ranked[:5]])


def reason(content: ReportContent, store: str, group: str) -> str:
    book = FigureBook(revisions.figures(content))
    for table in ("riser", "faller"):
        for number in book.rows(table):
            if (book.text(table, number, "store"), book.text(table, number, "group")) == (store, group):
                return book.text(table, number, "why")
    raise AssertionError(f"{store}, {group} is neither among the risers nor among the fallers")


def test_a_changed_plan_is_named_first(base_content: ReportContent) -> None:
    assert reason(base_content, "10", "COFFEE") == (
        "The promotion plan for these weeks changed: 27 products instead of 12."
    )


def test_a_week_outside_its_band_is_named(make_content: MakeContent, base_content: ReportContent) -> None:
    newest = pl.col("week_start_date") == base_content.issue_week
    drinks = (pl.col("store_id") == "10") & (pl.col("product_group") == "SOFT DRINKS")

    def sold(value: int) -> ReportContent:
        bent = pl.when(newest & drinks).then(value).otherwise(pl.col("transactions"))
        return make_content(series=make_series().with_columns(bent.alias("transactions")))

    assert "sold 500, above the band of" in reason(sold(500), "10", "SOFT DRINKS")
    # A low week cannot be why the forecast rose.
    assert reason(sold(0), "10", "SOFT DRINKS").startswith("Another model version has issued since")
    same = make_content(series=sold(0).series, earlier=make_earlier().with_columns(make_forecasts()["model_version"]))
    assert reason(same, "10", "SOFT DRINKS").startswith("No single reason in the data")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"change": 0.019, "difference": 1.9}, "Hardly moved."),
        ({}, "The week of 18 Mar sold 20% above its forecast (3 of 9 stores above their band, 1 below)."),
        ({"actual": 80.0}, "The week of 18 Mar sold 20% below its forecast, which does not explain the change."),
        ({"actual": 101.0}, "No reason in the data: the newest week came in as forecast and no plan changed."),
        ({"actual": None, "plan_changes": 1}, "The promotion plan changed in 1 store."),
        (
            {"plan_changes": 2, "actual": 80.0, "change": -0.1, "difference": -10.0},
            (
                "The promotion plan changed in 2 stores; the week of 18 Mar sold 20% below its forecast "
                "(3 of 9 stores above their band, 1 below)."
            ),
        ),
    ],
)
def test_a_group_has_the_reason_that_its_data_give(changes: dict[str, float | None], wanted: str) -> None:
    row = {"change": 0.1, "difference": 10.0, "actual": 120.0, "expected": 100.0, "stores": 9, "above": 3, "below": 1}
    assert revisions._group_reason(date(2024, 3, 18), {**row, "plan_changes": 0, **changes}) == wanted


def test_a_clear_change_is_told_apart_from_a_small_one(
    make_content: MakeContent, base_content: ReportContent, book: FigureBook
) -> None:
    assert book.text("revision_total", "all", "is_clear") == "no"
    halved = base_content.earlier_totals.with_columns((pl.col("expected") / 2).cast(MONEY))
    content = make_content(earlier_totals=halved)
    assert FigureBook(revisions.figures(content)).text("revision_total", "all", "is_clear") == "yes"
    text = " ".join(PageReader(render(content)).texts)
    assert "more than such totals missed by in tests: look at the plan again" in text
    assert "more than what such totals missed by in tests." in text


def test_without_an_issue_to_compare_the_page_says_why(make_content: MakeContent, base_content: ReportContent) -> None:
    first = PageReader(render(make_content(earlier=make_earlier().clear())))
    assert any(text.startswith("This is the first issue") for text in first.texts)
    rules = make_content(earlier=make_earlier().filter(pl.col("method") != "catboost"))
    other = PageReader(render(rules))
    assert any("has no forecast by the method that is shown now (Model (CatBoost))" in text for text in other.texts)
    older = base_content.earlier_totals
    without = PageReader(render(make_content(earlier_totals=older.clear())))
    assert any("has no totals" in text for text in without.texts)
    unscaled = PageReader(render(make_content(earlier_totals=older.with_columns(tests=pl.lit(2)))))
    assert any("were not both scaled by tests" in text for text in unscaled.texts)
    for reader in (first, other, without, unscaled):
        assert not [table for table in reader.tables if table.caption.startswith("By product group")]
    assert "revision_total" not in {name.split(".")[0] for name in figures(rules)["figure"]}


def test_nothing_after_as_of_is_read(base_content: ReportContent) -> None:
    later = pl.col("known_at") > AS_OF
    bent = base_content.series.with_columns(
        pl.when(later).then(pl.col("transactions") * 9 + 70).otherwise(pl.col("transactions")).alias("transactions")
    )
    changed = replace(base_content, series=bent)
    assert not bent.equals(base_content.series)
    assert list(revisions.figures(changed)) == list(revisions.figures(base_content))
    known = base_content.series.with_columns(pl.col("transactions") * 9 + 70)
    assert list(revisions.figures(replace(base_content, series=known))) != list(revisions.figures(base_content))


def test_the_issue_itself_is_no_earlier_one(make_content: MakeContent) -> None:
    with pytest.raises(ValueError, match="earlier holds issues of 2024-03-18 or later"):
        make_content(earlier=make_forecasts())
