"""Small plots for asset metadata: a polars frame in, Markdown with an inline PNG out.

Here: the plots that the Dagster UI shows beside a materialisation, drawn by matplotlib's Agg without pyplot (no
global state, no display), which is imported where it draws: most commands do not. Equal frames give equal bytes.
Not here: the report's charts (they are SVG and live with the report), and computing what is plotted beyond sums.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

MAX_BYTES = 60_000
_SIZE_INCHES, _DPI = (7.2, 2.6), 100
_MOST_GROUPS, _LONGEST_NAME = 12, 24
_INK, _MODEL, _RULES = "#1c2024", "#1f5fa8", ("#8b929a", "#c0c4c9", "#70767d")


def weekly_totals(series: pl.DataFrame, measure: str = "transactions") -> str:
    """The weekly sum of `measure` over all series, partial weeks left out.

    Args:
        series: gold.demand_series; `week_start_date, is_partial_week` and the measure, one row per series and week.
    """
    weeks = (
        series.filter(~pl.col("is_partial_week"))
        .group_by("week_start_date")
        .agg(pl.col(measure).sum().cast(pl.Float64))
        .sort("week_start_date")
    )
    _refuse_empty(weeks, "series")
    figure, axes = _canvas(f"Weekly {measure}, all series")
    axes.plot(weeks["week_start_date"].to_list(), weeks[measure].to_list(), color=_INK, linewidth=1.5)
    _date_axis(axes)
    return _markdown(figure, f"Weekly {measure} of {weeks.height} weeks")


def accuracy_by_horizon(backtest: pl.DataFrame, model: str = "catboost") -> str:
    """Bars of WAPE by horizon and method on the slice `all`, pooled over the cutoffs by actual sum.

    Args:
        backtest: models.demand_backtest; `wape` is in percent and null where the actual sum is 0.
        model: the method that is drawn in colour and first.
    """
    rows = backtest.filter(pl.col("slice") == "all", pl.col("wape").is_not_null())
    _refuse_empty(rows, "backtest")
    weight = pl.col("actual_sum")
    pooled = rows.group_by("method", "horizon_weeks").agg((pl.col("wape") * weight).sum() / weight.sum())
    methods = sorted(pooled["method"].unique().to_list(), key=lambda name: (name != model, name))
    values: Mapping[tuple[str, int], float] = {
        (method, int(horizon)): wape for method, horizon, wape in pooled.iter_rows()
    }
    horizons = sorted({horizon for _, horizon in values})
    figure, axes = _canvas("WAPE by weeks ahead, lower is better")
    width = 0.8 / len(methods)
    for place, method in enumerate(methods):
        shown = [
            (index, values[method, horizon]) for index, horizon in enumerate(horizons) if (method, horizon) in values
        ]
        color = _MODEL if method == model else _RULES[(place - 1) % len(_RULES)]
        left = [index + (place - (len(methods) - 1) / 2) * width for index, _ in shown]
        bars = axes.bar(left, [value for _, value in shown], width * 0.94, color=color, label=method)
        axes.bar_label(bars, [f"{value:.0f}" for _, value in shown], fontsize=8)
    axes.set_xticks(range(len(horizons)), [f"{horizon} wk" for horizon in horizons])
    axes.yaxis.set_major_formatter(_percent(0))
    axes.margins(y=0.14)
    axes.legend(frameon=False, fontsize=8, ncols=len(methods), loc="upper left", bbox_to_anchor=(0, -0.12))
    return _markdown(figure, f"WAPE of {', '.join(methods)} by weeks ahead")


def wape_by_trial(trials: pl.DataFrame) -> str:
    """WAPE of every complete trial of a study; the default configuration's as a line, the chosen trial in colour.

    Args:
        trials: models.demand_studies; `wape` in percent, null for a trial that was given up.
    """
    rows = trials.filter(pl.col("wape").is_not_null()).sort("trial")
    _refuse_empty(rows, "trials")
    from matplotlib.ticker import MaxNLocator

    colors = [_MODEL if is_chosen else _RULES[0] for is_chosen in rows["is_chosen"]]
    figure, axes = _canvas("WAPE by trial, lower is better; the line is the default configuration")
    axes.axhline(rows["wape"][0], color=_INK, linewidth=1)
    axes.scatter(rows["trial"].to_list(), rows["wape"].to_list(), c=colors, s=28, zorder=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(_percent(1))
    return _markdown(figure, f"WAPE of {rows.height} complete trials of {trials.height}")


def driver_bars(drivers: pl.DataFrame) -> str:
    """Bars of what each driver adds to the forecasts of an issue beyond the average one, beside the mean of refits.

    Args:
        drivers: insights.demand_drivers of one issue week.
    """
    shown = drivers.filter(pl.col("part") != "average")
    _refuse_empty(shown, "drivers")
    sums = (
        shown.group_by("driver")
        .agg(
            pl.col("contribution").sum(),
            pl.col("refit_mean").sum(),
            is_refitted=pl.col("refit_mean").is_not_null().any(),
        )
        .sort(
            pl.col("driver") == "unexplained", pl.col("contribution").abs(), "driver", descending=[False, True, False]
        )
    )
    measure = str(drivers["measure"][0]).replace("_", " ")
    figure, axes = _canvas(f"What makes the forecasts differ from the average one, {measure} summed over all series")
    width = 0.4
    own = list(zip(range(sums.height), sums["contribution"], strict=True))
    # What is unexplained is not of a fit: it has no refits.
    refits = [(place + width, mean) for place, mean, is_refitted in zip(
        range(sums.height), sums["refit_mean"], sums["is_refitted"], strict=True) if is_refitted]  # fmt: skip
    for values, color, label in ((own, _MODEL, "model"), (refits, _RULES[1], "mean of refits")):
        bars = axes.bar([at for at, _ in values], [sum_ for _, sum_ in values], width * 0.94, color=color, label=label)
        axes.bar_label(bars, [f"{sum_:+,.0f}" for _, sum_ in values], fontsize=8)
    axes.axhline(0, color=_INK, linewidth=0.8)
    axes.set_xticks([place + width / 2 for place in range(sums.height)], sums["driver"].to_list())
    axes.margins(y=0.14)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    return _markdown(figure, f"Contribution of {', '.join(sums['driver'])} to {measure}")


def response_plot(curves: pl.DataFrame) -> str:
    """The price elasticity of every group that has one, with its interval, the most elastic first.

    Args:
        curves: insights.response_curves.
    """
    effects = ["product_group", "effect", "effect_lower", "effect_upper"]
    rows = curves.filter(pl.col("lever") == "price", pl.col("status") != "refused").select(effects).unique()
    if rows.is_empty():
        return "No price response could be told: the table says why."
    rows = rows.sort("effect", "product_group", descending=True).tail(_MOST_GROUPS)
    figure, axes = _canvas("Percent of demand per percent of price, with 95% intervals")
    places, middle = list(range(rows.height)), rows["effect"]
    # A constrained answer stands at the end of its interval that is nearer, or beyond it.
    reach = [(middle - rows["effect_lower"]).clip(0), (rows["effect_upper"] - middle).clip(0)]
    axes.errorbar(middle.to_list(), places, xerr=[side.to_list() for side in reach], fmt="o", color=_MODEL, capsize=2)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_yticks(places, [_short(group) for group in rows["product_group"]], parse_math=False)
    return _markdown(figure, f"Price elasticities of {rows.height} product groups")


def largest_series_band(
    series: pl.DataFrame, forecasts: pl.DataFrame, method: str = "catboost", weeks: int = 26
) -> str:
    """History and forecast band of the series with the largest median forecast.

    Args:
        series: gold.demand_series; only weeks before the first target week are drawn.
        forecasts: forecasts.demand_forecasts of one issue week.
        method: the method whose P10, P50 and P90 are drawn.
        weeks: how much history is drawn.
    """
    issued = forecasts.filter(pl.col("method") == method)
    _refuse_empty(issued, f"forecasts of {method}")
    key = ["store_id", "product_group"]
    size = issued.group_by(key).agg(pl.col("p50").sum()).sort("p50", *key, descending=[True, False, False])
    store, group, _ = size.row(0)
    mine = [pl.col("store_id") == store, pl.col("product_group") == group]
    ahead = issued.filter(*mine).sort("target_week_start_date")
    measure, first = str(ahead["measure"][0]), ahead["target_week_start_date"][0]
    past = series.filter(*mine, pl.col("week_start_date") < first).sort("week_start_date").tail(weeks)
    targets = ahead["target_week_start_date"].to_list()
    figure, axes = _canvas(f"{group}, store {store}: {measure}")
    axes.plot(past["week_start_date"].to_list(), past[measure].cast(pl.Float64).to_list(), color=_INK, linewidth=1.5)
    axes.fill_between(targets, ahead["p10"].to_list(), ahead["p90"].to_list(), color=_MODEL, alpha=0.18, linewidth=0)
    axes.plot(targets, ahead["p50"].to_list(), color=_MODEL, linewidth=1.8, marker="o", markersize=4)
    _date_axis(axes)
    return _markdown(figure, f"Forecast with its 80% band of {group} in store {store}")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\u2026"


def _refuse_empty(frame: pl.DataFrame, name: str) -> None:
    if frame.is_empty():
        raise ValueError(f"{name}: no rows to plot; materialise the table first")


def _canvas(title: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # A product group may hold a dollar sign, which matplotlib would read as mathematics.
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#d9dad3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    return figure, axes


def _percent(decimals: int) -> Formatter:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(100.0, decimals=decimals)


def _date_axis(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_ylim(0, 1.04 * axes.get_ylim()[1])


def _markdown(figure: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    # Without a Software entry the bytes do not change with the version string of matplotlib.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    text = f"![{_plain(alt)}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')})"
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"the plot {alt!r} takes {len(text):,} bytes, more than the {MAX_BYTES:,} that metadata may hold"
        )
    return text


def _plain(text: str) -> str:
    """Alternative text that cannot end its Markdown bracket."""
    return "".join(" " if character in "[]()<>\\\n\r" else character for character in text)
