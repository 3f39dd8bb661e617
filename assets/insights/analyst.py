"""The analyst's page behind the report: what its sentences rest on, row by row, with the diagnostics.

Here: which rows of which tables are listed, and how a cell is printed.
Not here: what a number means (the contract of its table says it), the report itself (page). Nothing is computed but
sums over the rows of a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl
from markupsafe import Markup

from assets.insights import formats, svg
from assets.insights.content import ALL, ReportContent
from assets.insights.svg import Scale
from ml.action_outcomes import ONE_WEEK, OUTCOME_SCHEMA, TO_DATE
from ml.actions_optimizer import TARGET_WEEK
from ml.driver_stability import driver_totals
from ml.lift import NET

_PLOT_PX, _HEIGHT_PX, _LEFT_PX, _BOTTOM_PX = 900, 220, 60, 30
_DIGITS = 3


@dataclass(frozen=True)
class Sheet:
    """One table of the page: its heading, what it says, where its rows are from, and its rows."""

    anchor: str
    title: str
    says: str
    table: str
    rows: pl.DataFrame
    plot: Markup | None = None

    @property
    def heads(self) -> list[str]:
        return [name.replace("_", " ") for name in self.rows.columns]

    @property
    def is_text(self) -> list[bool]:
        return [kind == pl.String() for kind in self.rows.dtypes]

    def cells(self) -> Iterator[list[str]]:
        for row in self.rows.iter_rows():
            yield [printed(value) for value in row]


def analyst_name(issue: date) -> str:
    """The file name of an issue's page, which lies beside the report."""
    return f"analyst-{issue}.html"


def sheets(content: ReportContent, curves: pl.DataFrame) -> list[Sheet]:
    """The tables of the page that have rows, in its order.

    Args:
        content: of the report, with all columns of lift, advice and outcomes.
        curves: insights.response_curves.
    """
    makers = (
        (content.lift, _lift),
        (content.drivers, _drivers),
        (curves, _responses),
        (content.advice, _advice),
        (content.advice_outcomes, _outcomes),
        (content.comparisons, _comparisons),
    )
    return [sheet for rows, make in makers if rows.height for sheet in make(rows)]


def printed(value: object) -> str:
    """A cell: numbers with three significant digits or the whole part, nothing known as a dash."""
    if value is None:
        return formats.NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return formats.count(value)
    if isinstance(value, float | Decimal):
        number = float(value)
        if not math.isfinite(number):
            return formats.NOT_KNOWN
        whole = math.floor(math.log10(abs(number))) + 1 if number else 1
        return formats.number(number, min(max(_DIGITS - whole, 0), _DIGITS))
    return str(value)


def calibration_plot(outcomes: pl.DataFrame) -> Markup | None:
    """What was measured week by week as a range, and what had been expected as a dot; None with nothing measured."""
    weeks = outcomes.filter(
        pl.col("period") == ONE_WEEK, pl.col("kind") == ALL, pl.col("measured_lower").is_not_null()
    ).sort(TARGET_WEEK)
    if weeks.is_empty():
        return None
    ends = weeks.select("measured_lower", "measured_upper", "expected_incremental_transactions").to_numpy()
    y = Scale(min(0.0, float(ends.min())), max(1.0, float(ends.max())), _HEIGHT_PX - _BOTTOM_PX, 10)
    x = Scale(0, max(weeks.height, 2), _LEFT_PX, _PLOT_PX - 10)
    parts = [
        svg.line((_LEFT_PX, y(0)), (_PLOT_PX - 10, y(0)), "base"),
        *(svg.text(_LEFT_PX - 6, y(end) + 4, formats.estimate(end), "tick end") for end in {0.0, y.low, y.high}),
    ]
    said = []
    for place, row in enumerate(weeks.iter_rows(named=True)):
        low, high, expected = (
            row[name] for name in ("measured_lower", "measured_upper", "expected_incremental_transactions")
        )
        words = f"week of {row[TARGET_WEEK]}: measured {printed(low)} to {printed(high)}, expected {printed(expected)}"
        said.append(words)
        parts.append(svg.rectangle((x(place + 0.5) - 5, y(high)), 10, y(low) - y(high), "range", words))
        parts.append(svg.dot((x(place + 0.5), y(expected)), 4, "forecast-dot", words))
        parts.append(svg.text(x(place + 0.5), _HEIGHT_PX - 10, formats.short_day(row[TARGET_WEEK]), "tick middle"))
    return svg.drawing(_PLOT_PX, _HEIGHT_PX, "; ".join(said), parts, "chart")


def _lift(rows: pl.DataFrame) -> list[Sheet]:
    table, value = "insights.promotion_lift", "incremental_transactions"
    measured = rows.filter(pl.col(value).is_not_null())
    parts = measured.filter(pl.col("level") != "event").sort("level", "event_id", "part")
    single = measured.filter(pl.col("level") == "event", pl.col("part") == NET)
    interval = [value, f"{value}_lower", f"{value}_upper"]
    other = ["synthetic_transactions", "naive_transactions"]
    placebos = ["p_value", "space_placebo_p_value", "time_placebo_transactions", "time_placebo_p_value"]
    return [
        Sheet(
            "lift-parts",
            "What promotions added, part by part",
            "Sums over measured promotions. Parts: the promoted line, the rest of its group, other groups, the weeks "
            "after; net is their sum. Imputation is the first design, a synthetic store the second; 90 % intervals.",
            table,
            parts.select("level", "product_group", "kind", "part", *interval, *other, "verdict"),
        ),
        Sheet(
            "lift-events",
            "Every measured promotion, net, with its placebos",
            "A placebo in space is what untreated stores would have shown, one in time what the weeks before did. "
            "Designs that disagree and placebos that fail widen the interval; the verdict names them.",
            table,
            single.sort(value, "event_id", descending=[True, False]).select(
                "product_line", "kind", "first_week_start_date", "last_week_start_date", "measured_stores",
                "untreated_stores", *interval, "incremental_units", "incremental_sales_usd", *other, *placebos,
                "verdict", "reason",
            ),
        ),
    ]  # fmt: skip


def _drivers(rows: pl.DataFrame) -> list[Sheet]:
    says = (
        "Contributions add up to the forecasts. Counterfactual: the forecast less that without the plan. Refit mean "
        "and the share of refits with the same sign are of models fitted to resampled weeks."
    )
    title = "Drivers of the issue's median forecasts"
    return [Sheet("drivers", title, says, "insights.demand_drivers", driver_totals(rows))]


def _responses(curves: pl.DataFrame) -> list[Sheet]:
    says = (
        "Effect of price: percent of a product's demand per percent of its price; of promotions: change of the "
        "logarithm of the group's demand from none of its products promoted to all; 95 % intervals. Associations "
        "within stores and weeks."
    )
    key = ["lever", "product_group"]
    shown = [
        *key, "status", "effect", "effect_lower", "effect_upper", "row_count", "transactions", "store_count",
        "week_count", "cluster_count", "last_week_start_date", "reason",
    ]  # fmt: skip
    rows = curves.sort(*key, "level").unique(key, keep="first", maintain_order=True).select(shown)
    title = "How demand answers to prices and promotions"
    return [Sheet("responses", title, says, "insights.response_curves", rows)]


def _advice(rows: pl.DataFrame) -> list[Sheet]:
    says = "Base is what is forecast without the activity; lift is in percent of it; costs and margins are assumed."
    shown = [
        TARGET_WEEK, "store_id", "product_group", "kind", "cell", "propensity", "is_exploration", "base_transactions",
        "lift_percent", "lift_sd_percent", "sales_lift_percent", "net_share", "incremental_transactions",
        "incremental_transactions_lower", "incremental_transactions_upper", "incremental_margin_usd",
        "incremental_margin_usd_lower", "incremental_margin_usd_upper", "assumed_cost_usd", "assumed_margin_percent",
    ]  # fmt: skip
    own = rows.sort(TARGET_WEEK, "store_id", "product_group").select(shown)
    return [Sheet("advice", "The advice, every row", says, "insights.next_actions", own)]


def _outcomes(rows: pl.DataFrame) -> list[Sheet]:
    says = (
        "Treated against held-out cells, expected against measured: each week over all, then to date by product group "
        "and kind. In the plot: what was measured (range, 90 %) and what had been expected (dot), in transactions."
    )
    weekly = rows.filter(pl.col("period") == ONE_WEEK, pl.col("kind") == ALL)
    newest = rows.filter(pl.col("period") == TO_DATE, pl.col(TARGET_WEEK) == pl.col(TARGET_WEEK).max())
    order = [TARGET_WEEK, "product_group", "kind"]
    shown = pl.concat([weekly.sort(order), newest.sort(order)]).select(list(OUTCOME_SCHEMA))
    title = "What became of earlier advice"
    return [Sheet("outcomes", title, says, "insights.action_outcomes", shown, calibration_plot(rows))]


def _comparisons(rows: pl.DataFrame) -> list[Sheet]:
    says = (
        "Difference of WAPE in points on the same rows of the back-test; below zero the model is better. Simultaneous: "
        "widened for all groups and rivals looked at."
    )
    own = rows.sort("method", "rival", "slice")
    return [Sheet("comparisons", "The model against the simple rules", says, "models.demand_comparisons", own)]
