"""The page: its numbers equal SQL over the frames, it loads nothing, and equal content gives equal bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from assets.insights.content import ReportContent, Scope
from assets.insights.page import figures, render
from tests.unit.assets.insights.page_reader import PageReader
from tests.unit.assets.insights.small_frames import AS_OF, GROUPS
from tests.unit.assets.insights.sql_oracle import one_row

MakeContent = Callable[..., ReportContent]
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
NOT_A_FIGURE = re.compile(
    r"All \d+ groups|All|Model \(CatBoost\)|Last week repeated|Mean of the last 8 weeks|[1-4]|\N{EN DASH}|"
)


@pytest.fixture(scope="module")
def page(base_content: ReportContent) -> PageReader:
    return PageReader(render(base_content))


def _signed(fraction: float) -> str:
    return f"{fraction:+.1%}".replace("-", MINUS)


def _three_digits(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{float(f'{value:.3g}'):,.0f}"


@pytest.mark.parametrize("group", GROUPS)
def test_what_sold_equals_sql(page: PageReader, base_content: ReportContent, group: str) -> None:
    recent, previous, recent_sales, all_sales = one_row(
        f"""
        WITH known AS (SELECT * FROM series WHERE known_at <= '{AS_OF.isoformat()}' AND NOT is_partial_week),
             ranked AS (SELECT *, dense_rank() OVER (ORDER BY week_start_date DESC) AS age FROM known)
        SELECT sum(transactions) FILTER (age <= 4 AND product_group = '{group}'),
               sum(transactions) FILTER (age BETWEEN 5 AND 8 AND product_group = '{group}'),
               sum(net_sales_usd) FILTER (age <= 4 AND product_group = '{group}'),
               sum(net_sales_usd) FILTER (age <= 4)
        FROM ranked
        """,
        series=base_content.series,
    )
    row = page.table("Product groups by net sales").row(group)
    assert row["Transactions"] == f"{recent:,}"
    assert row["Before"] == f"{previous:,}"
    assert row["Change"] == _signed(recent / previous - 1)
    assert row["Net sales"] == f"${recent_sales:,.0f}"
    assert row["Share"] == f"{recent_sales / all_sales:.1%}"


def test_what_will_sell_equals_sql(page: PageReader, base_content: ReportContent) -> None:
    """Sums over single series; ranges are the lowest and highest of the four tests, around the expected value."""
    frames = {"totals": base_content.totals, "tests": base_content.tests, "forecasts": base_content.forecasts}
    table = page.table("The next four weeks in transactions")
    total = 0.0
    for group in (*GROUPS, "all"):
        own = "" if group == "all" else f"AND product_group = '{group}'"
        (expected,) = one_row(
            f"SELECT CAST(sum(expected) AS DOUBLE) FROM totals WHERE level = 'series' {own}", **frames
        )
        (p50_sum,) = one_row(f"SELECT sum(p50) FROM forecasts WHERE method = 'catboost' {own}", **frames)
        low, high = one_row(
            f"""
            SELECT least(1, min(ratio)), greatest(1, max(ratio)) FROM (
                SELECT CAST(sum(actual_sum) AS DOUBLE) / CAST(sum(expected) AS DOUBLE) AS ratio
                FROM tests WHERE level = 'series' AND method = 'catboost' {own} GROUP BY cutoff_week_start_date)
            """,
            **frames,
        )
        row = table.row("All 3 groups" if group == "all" else group)
        assert row["Expected"] == _three_digits(expected)
        assert row["Range in tests"] == f"{_three_digits(expected * low)}{DASH}{_three_digits(expected * high)}"
        assert row["Sum of P50"] == _three_digits(p50_sum)
        total = expected
    actual, last = one_row(
        f"""
        SELECT sum(transactions) FILTER (known_at > '{AS_OF.isoformat()}'),
               sum(transactions) FILTER (age BETWEEN 5 AND 8)
        FROM (SELECT *, dense_rank() OVER (ORDER BY week_start_date DESC) AS age FROM series)
        """,
        series=base_content.series,
    )
    row = table.row("All 3 groups")
    assert row["Expected"] == _three_digits(total)
    assert row["Last four weeks"] == f"{last:,}"
    assert row["Change"] == _signed(total / last - 1)
    assert row["What then happened"] == f"{actual:,}"
    assert f"we expect about {row['Expected']} transactions" in " ".join(page.texts)
    assert f"{actual:,}, {abs(actual / total - 1):.1%}" in " ".join(page.texts)


def test_the_outcome_is_judged_as_sql_judges_it(page: PageReader, base_content: ReportContent) -> None:
    wape, bias, coverage, rows = one_row(
        """
        SELECT sum(abs(transactions - p50)) / sum(transactions), sum(p50 - transactions) / sum(transactions),
               avg((transactions BETWEEN p10 AND p90)::INT), count(*)
        FROM forecasts f JOIN series s ON f.store_id = s.store_id AND f.product_group = s.product_group
             AND target_week_start_date = week_start_date
        WHERE method = 'catboost'
        """,
        forecasts=base_content.forecasts,
        series=base_content.series,
    )
    row = page.table("Newest issue").row("Model (CatBoost)")
    assert (row["WAPE"], row["Bias"]) == (f"{wape:.1%}", _signed(bias))
    assert (row["In 80% band"], row["Rows"]) == (f"{coverage:.1%}", f"{rows}")


@pytest.mark.parametrize(
    ("start", "frame"), [("Back-test, all issues", "backtest"), ("Forecasts that were", "accuracy")]
)
def test_accuracy_equals_sql(page: PageReader, base_content: ReportContent, start: str, frame: str) -> None:
    wape, pinball, rows = one_row(
        f"""
        SELECT sum(wape * actual_sum) / sum(actual_sum) / 100, sum(pinball * row_count) / sum(row_count), sum(row_count)
        FROM {frame} WHERE slice = 'all' AND method = 'mean_8'
        """,
        **{frame: getattr(base_content, frame)},
    )
    row = page.table(start).row("Mean of the last 8 weeks")
    assert (row["WAPE"], row["Pinball loss"], row["Rows"]) == (f"{wape:.1%}", f"{pinball:.3f}", f"{rows}")


def test_the_ledger_equals_sql(page: PageReader, base_content: ReportContent) -> None:
    counts = one_row(
        """
        SELECT count(*), sum(received), sum(accepted), sum(quarantined), sum(duplicates),
               sum(received - accepted - quarantined - duplicates)
        FROM ledger WHERE table_name = 'pos_lines'
        """,
        ledger=base_content.ledger,
    )
    row = page.table("Ingest").row("pos_lines")
    heads = ("Files", "Received", "Accepted", "Quarantined", "Duplicates", "Unexplained")
    assert tuple(row[head] for head in heads) == tuple(f"{int(count):,}" for count in counts)


def test_every_table_cell_is_a_figure(page: PageReader, base_content: ReportContent) -> None:
    known = set(figures(base_content)["text"].to_list()) | set(GROUPS)
    names = {row.split(".", 1)[1].rsplit(".", 1)[0] for row in figures(base_content)["figure"].to_list()}
    cells = [cell for table in page.tables for row in table.rows[1:] for cell in row]
    assert len(cells) > 300
    strange = [
        cell
        for cell in cells
        if not NOT_A_FIGURE.fullmatch(cell)
        and cell not in names
        and not all(part in known for part in cell.split(DASH))
    ]
    assert strange == []


def test_the_page_loads_nothing(base_content: ReportContent) -> None:
    page = render(base_content)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<iframe|<img|<object", page, re.IGNORECASE)
    reader = PageReader(page)
    links = [attributes.get("href") or "" for _, attributes in reader.tags if "href" in attributes]
    anchors = {f"#{attributes['id']}" for _, attributes in reader.tags if "id" in attributes}
    assert links
    assert set(links) - anchors == {f"analyst-{base_content.issue_week}.html"}
    assert not [
        tag
        for tag, attributes in reader.tags
        if "src" in attributes or any(name.startswith("on") for name in attributes)
    ]
    policy = next(attributes["content"] for _, attributes in reader.tags if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_equal_content_gives_equal_bytes_in_any_row_order(base_content: ReportContent) -> None:
    names = (
        "series", "forecasts", "earlier", "totals", "earlier_totals", "tests", "plans", "backtest", "scored",
        "comparisons", "accuracy", "ledger", "checks", "freshness",
    )  # fmt: skip
    shuffled = {name: getattr(base_content, name).sample(fraction=1, shuffle=True, seed=5) for name in names}
    assert render(replace(base_content, **shuffled)) == render(base_content)


def test_figures_are_unique_and_complete(base_content: ReportContent) -> None:
    frame = figures(base_content)
    assert frame.columns == ["section", "figure", "value", "text"]
    assert frame["figure"].is_unique().all()
    assert frame["text"].null_count() == 0
    assert frame["value"].drop_nulls().is_finite().all()
    assert frame["section"].unique(maintain_order=True).to_list() == [
        "headline", "about", "sold", "outlook", "why", "worked", "advice", "changes", "misses", "accuracy", "slices",
        "quality",
    ]  # fmt: skip


def test_outcomes_change_nothing_but_the_outcome(base_content: ReportContent) -> None:
    """What happened after `as_of` may not leak into a statement that the page calls a forecast."""
    later = pl.col("known_at") > AS_OF
    bent = base_content.series.with_columns(
        pl.when(later).then(pl.col("transactions") * 7 + 100).otherwise(pl.col("transactions")).alias("transactions"),
        pl.when(later)
        .then(pl.lit(9))
        .otherwise(pl.col("net_sales_usd"))
        .cast(pl.Decimal(18, 4))
        .alias("net_sales_usd"),
    )
    before, after = (figures(content).rows() for content in (base_content, replace(base_content, series=bent)))
    assert len(before) == len(after)
    changed = {old[1] for old, new in zip(before, after, strict=True) if old != new}
    assert "ahead_total.window.actual" in changed
    allowed = re.compile(r"outcome(_horizon)?\..*|.*\.(actual|actual_over_expected|is_inside)|sentence\.outcome\.text")
    assert [key for key in sorted(changed) if not allowed.fullmatch(key)] == []


def test_hostile_names_stay_text(base_content: ReportContent) -> None:
    hostile = "</table><script>alert('A.B@C')</script>{{ 7*7 }}"
    swap = {"TEAS": hostile}
    content = replace(
        base_content,
        lake_name="</style><img src=x onerror=alert(1)>",
        source_notice="<b>bold</b> & more",
        scope=Scope((*GROUPS[:2], hostile), 2, 6),
        series=base_content.series.with_columns(pl.col("product_group").replace(swap)),
        **{
            name: getattr(base_content, name).with_columns(pl.col("product_group").replace(swap))
            for name in (
                "forecasts",
                "earlier",
                "totals",
                "earlier_totals",
                "tests",
                "plans",
                "scored",
                "drivers",
                "lift",
                "advice",
            )
        },
        comparisons=base_content.comparisons.with_columns(pl.col("slice").replace(swap)),
        backtest=base_content.backtest.with_columns(pl.col("slice").replace(swap)),
        checks=base_content.checks.with_columns(pl.lit("<i>x</i>").alias("outcome")),
    )
    page = render(content)
    assert not re.search(r"<script|<img|<b>bold|<i>x|alert\('A", page)
    reader = PageReader(page)
    plain = PageReader(render(base_content))
    assert [tag for tag, _ in reader.tags].count("td") == [tag for tag, _ in plain.tags].count("td")
    start = "Product groups by net sales"
    assert reader.table(start).row(hostile) | {"Product group": ""} == plain.table(start).row("TEAS") | {
        "Product group": ""
    }
