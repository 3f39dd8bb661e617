"""What the page says in each state: no outcome yet, no champion, few tests, bad news, many groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from assets.insights.page import figures, render
from tests.unit.assets.insights.page_reader import PageReader
from tests.unit.assets.insights.small_frames import (
    AS_OF,
    STORES,
    make_forecasts,
    make_series,
    make_tests,
    make_totals,
)

MakeContent = Callable[..., ReportContent]
DASH = "\N{EN DASH}"


@pytest.fixture(scope="module")
def page(base_content: ReportContent) -> PageReader:
    return PageReader(render(base_content))


def _three_digits(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{float(f'{value:.3g}'):,.0f}"


def test_before_the_outcome_is_known_nothing_speaks_of_it(make_content: MakeContent) -> None:
    reader = PageReader(render(make_content(series=make_series().filter(pl.col("known_at") <= AS_OF))))
    assert "hen happened" not in " ".join(reader.texts)
    assert "In range" not in reader.table("The next four weeks").rows[0]


def test_without_matured_issues_the_page_says_so(make_content: MakeContent, base_content: ReportContent) -> None:
    reader = PageReader(render(make_content(accuracy=base_content.accuracy.clear())))
    assert any(text.startswith("No issued forecast has matured yet") for text in reader.texts)
    assert not [table for table in reader.tables if table.caption.startswith("Forecasts that were")]


def test_too_few_test_issues_give_no_range(make_content: MakeContent) -> None:
    tests = make_tests((4, 5))
    content = make_content(tests=tests, totals=make_totals(make_forecasts(), tests))
    reader = PageReader(render(content))
    assert any(
        text.startswith("No range is given for this total: the back-test holds 2 issues") for text in reader.texts
    )
    row = reader.table("The next four weeks").row("All 3 groups")
    assert row["Range in tests"] == DASH
    p50_sum = float(make_forecasts().filter(pl.col("method") == "catboost")["p50"].sum())
    assert row["Sum of P50"] == _three_digits(p50_sum)
    assert any("rest on medians that no test has scaled, are probably too low" in text for text in reader.texts)
    # The only bands left are the model's own, one for each example: another store and another group each.
    assert sum(tag == "polygon" for tag, _ in reader.tags) == len(STORES)


def test_without_a_champion_the_simple_rule_is_shown(make_content: MakeContent) -> None:
    rules_only = make_forecasts().filter(pl.col("method") != "catboost")
    content = make_content(forecasts=rules_only, totals=make_totals(rules_only, make_tests()), champion=None)
    text = " ".join(PageReader(render(content)).texts)
    assert "no model has passed the gate yet" in text
    assert "Why this model" not in text


def test_a_warning_is_not_hidden(make_content: MakeContent, base_content: ReportContent, page: PageReader) -> None:
    assert "Of 21 data rules none failed and 1 warned; all 2 tables are fresh." in page.texts
    calm = make_content(checks=base_content.checks.with_columns(pl.lit(0).alias("warned")))
    assert "All 21 data rules hold; all 2 tables are fresh." in PageReader(render(calm)).texts


def test_bad_news_is_told(make_content: MakeContent, base_content: ReportContent) -> None:
    content = make_content(
        ledger=base_content.ledger.with_columns(pl.lit(0).alias("duplicates")),
        checks=base_content.checks.with_columns(pl.lit(2).alias("failed")),
        freshness=base_content.freshness.with_columns(pl.lit(value=False).alias("is_fresh")),
    )
    text = " ".join(PageReader(render(content)).texts)
    assert "1 of 3 files do not add up." in text
    assert "4 of the 21 data rules failed; 2 of 2 tables are late." in text
    assert "Late: bronze.pos_lines, gold.demand_series." in text


def test_silence_is_not_called_good_news(make_content: MakeContent, base_content: ReportContent) -> None:
    empty = {name: getattr(base_content, name).clear() for name in ("ledger", "checks", "freshness")}
    text = " ".join(PageReader(render(make_content(**empty))).texts)
    for sentence in (
        "No check has reported, so the data are not vouched for; no table has reported its freshness.",
        "The ledger is empty",
        "No check has reported. Do not rely on these numbers",
        "No table has reported its freshness.",
    ):
        assert sentence in text


def test_many_groups_show_both_ends(base_content: ReportContent) -> None:
    copies = range(8)
    widened = {
        name: pl.concat(
            [
                getattr(base_content, name).with_columns(pl.format("{} {}", column, pl.lit(copy)).alias(column))
                for copy in copies
            ]
        )
        for name, column in (("series", "product_group"), ("forecasts", "product_group"))
    }
    totals = make_totals(widened["forecasts"], base_content.tests, widened["series"])
    book = FigureBook.from_frame(figures(replace(base_content, **widened, totals=totals)))
    assert (len(book.rows("sold_group")), len(book.rows("ahead_group"))) == (16, 16)
    assert book.value("sold_groups", "all", "not_listed") == 8
    total = book.value("sold_total", "all", "recent_measure")
    once = FigureBook.from_frame(figures(base_content)).value("sold_total", "all", "recent_measure")
    assert total == 8 * (once or 0)


def _earlier(series: pl.DataFrame, weeks: int) -> pl.DataFrame:
    return series.with_columns(pl.col("week_start_date", "known_at") - pl.duration(weeks=weeks))


def test_a_year_ago_is_compared_only_when_known(base_content: ReportContent) -> None:
    whole = base_content.series.filter(~pl.col("is_partial_week"))
    first = whole.filter(pl.col("week_start_date") == pl.col("week_start_date").min())
    # A series holds every week: the year-ago weeks, and the first week again and again up to the partial one.
    older = [_earlier(whole, 52), *(_earlier(first, weeks) for weeks in range(2, 37))]
    book = FigureBook.from_frame(figures(replace(base_content, series=pl.concat([base_content.series, *older]))))
    last, outcome = (
        book.value(*key) for key in (("sold_total", "all", "recent_measure"), ("ahead_total", "window", "actual"))
    )
    assert book.value("sold_total", "all", "year_ago_measure") == last
    assert book.value("ahead_total", "window", "year_ago") == outcome
    assert "on the same weeks a year ago" in book.text("sentence", "ahead", "text")
    assert not FigureBook.from_frame(figures(base_content)).has("sold_total", "all", "year_ago_measure")


def test_groups_that_fall_back_are_named_with_their_rule(
    make_content: MakeContent, base_content: ReportContent, page: PageReader
) -> None:
    assert "surely better than the model" not in " ".join(page.texts)
    assert base_content.champion is not None
    champion = replace(base_content.champion, fallback={"TEAS": "naive", "COFFEE": "mean_8"})
    content = make_content(champion=champion)
    text = " ".join(PageReader(render(content)).texts)
    assert (
        "In 2 product groups a simple rule was surely better than the model in the back-test, so that the forecast "
        "takes the rule there: COFFEE (mean of the last 8 weeks), TEAS (last week repeated)." in text
    )
    book = FigureBook.from_frame(figures(content))
    assert (book.text("slice", "TEAS", "verdict"), book.text("slice", "TEAS", "is_behind")) == ("falls back", "no")
    assert book.text("slice", "SOFT DRINKS", "verdict") != "falls back"


def test_a_group_that_falls_back_is_not_behind_its_own_rule(
    make_content: MakeContent, base_content: ReportContent
) -> None:
    backtest = base_content.backtest
    rule = backtest.filter(pl.col("method") == "naive", pl.col("slice") == "TEAS")
    same = rule.with_columns(method=pl.lit("catboost"))
    others = backtest.filter((pl.col("method") != "catboost") | (pl.col("slice") != "TEAS"))
    backtest = pl.concat([others.with_columns(_dearer()), same])
    assert base_content.champion is not None
    behind = {}
    for fallback in ({}, {"TEAS": "naive"}):
        champion = replace(base_content.champion, fallback=fallback)
        book = FigureBook.from_frame(figures(make_content(backtest=backtest, champion=champion)))
        behind[len(fallback)] = (book.value("slices", "all", "behind"), book.text("slice", "TEAS", "is_behind"))
    assert behind == {0: (1, "yes"), 1: (0, "no")}


def _dearer() -> pl.Expr:
    """The other rules err more, so that the one that stands in is the best of its group."""
    return pl.when(pl.col("method") == "mean_8").then(pl.col("wape") * 3).otherwise(pl.col("wape")).alias("wape")
