"""What a report is made from, and the weeks it may call known.

Here: the frozen inputs of the page, checked when they are built, and the cut between known and later weeks.
Not here: reading tables (the asset does it), computing figures, or layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl

from ml.baselines import SIMPLE_RULE

ALL = "all"
# `wape` and `bias` of the tables are percentages, as ml.evaluation computes them; figures hold fractions.
PERCENT = 100.0
# Weekly demand of a store is never forecast to two percent, even less by every method: such numbers are fractions.
LEAST_CREDIBLE_WAPE = 2.0
MEASURES: Mapping[str, str] = {
    "transactions": "transactions",
    "quantity_units": "units",
    "net_sales_usd": "US dollars of net sales",
}
METHODS: Mapping[str, str] = {
    "catboost": "Model (CatBoost)",
    "naive": "Last week repeated",
    "mean_8": "Mean of the last 8 weeks",
    "ses": "Exponential smoothing",
    "seasonal_naive": "Same week a year ago",
}
SLICES: Mapping[str, str] = {
    "promotion": "Weeks on promotion",
    "base": "Weeks without promotion",
    "censored": "Weeks out of stock or de-listed",
    "busy": "Busy series (top third by volume)",
    "middle": "Middle series",
    "thin": "Thin series (bottom third)",
}

_FORECAST = (
    "issue_week_start_date", "store_id", "product_group", "target_week_start_date", "horizon_weeks", "method",
    "measure", "p10", "p50", "p90", "model_version", "data_version",
)  # fmt: skip
_TOTALS = (
    "issue_week_start_date", "level", "store_id", "product_group", "target_week_start_date", "horizon_weeks", "method",
    "measure", "basis", "p50_sum", "expected", "low", "high", "least_coverage", "tests",
)  # fmt: skip
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "series": (
        "store_id", "product_group", "week_start_date", "transactions", "quantity_units", "net_sales_usd",
        "display_products", "mailer_products", "is_partial_week", "known_at",
    ),
    "forecasts": _FORECAST,
    "earlier": _FORECAST,
    "totals": _TOTALS,
    "earlier_totals": _TOTALS,
    "tests": (
        "method", "cutoff_week_start_date", "level", "store_id", "product_group", "horizon_weeks", "measure",
        "actual_sum", "p50_sum", "expected",
    ),
    "plans": ("issue_week_start_date", "store_id", "product_group", "target_week_start_date", "planned_products"),
    "scored": (
        "method", "cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date",
        "actual", "p10", "p50", "p90",
    ),
    "drivers": (
        "store_id", "product_group", "horizon_weeks", "driver", "part", "contribution", "counterfactual", "p50",
        "refit_count", "refit_mean", "same_sign_share",
    ),
    "lift": (
        "level", "event_id", "part", "product_group", "product_line", "kind", "first_week_start_date",
        "measured_stores", "verdict", "incremental_transactions", "incremental_transactions_lower",
        "incremental_transactions_upper", "naive_transactions",
    ),
    "advice": (
        "target_week_start_date", "store_id", "product_group", "kind", "cell", "incremental_transactions",
        "incremental_transactions_lower", "incremental_transactions_upper", "assumed_cost_usd", "assumed", "reason",
        "optimality_gap_percent",
    ),
    "advice_outcomes": (
        "target_week_start_date", "period", "product_group", "kind", "treated_cells", "hold_out_cells",
        "expected_incremental_transactions", "expected_lower", "expected_upper", "measured_incremental_transactions",
        "measured_lower", "measured_upper", "is_expected_within", "reason",
    ),
    "comparisons": ("method", "rival", "slice", "difference", "lower", "upper", "is_sure"),
    "backtest": (
        "method", "cutoff_week_start_date", "horizon_weeks", "slice", "row_count", "actual_sum", "wape", "bias",
        "pinball", "coverage_80", "interval_width",
    ),
    "accuracy": (
        "issue_week_start_date", "target_week_start_date", "horizon_weeks", "method", "slice", "row_count",
        "actual_sum", "wape", "bias", "pinball", "coverage_80",
    ),
    "ledger": ("source", "table_name", "received", "accepted", "quarantined", "duplicates"),
    "checks": ("table_name", "rules", "failed", "warned", "rows_audited", "outcome"),
    "freshness": ("table_name", "newest_at", "sla_days", "is_fresh"),
}  # fmt: skip
_NEVER_EMPTY = ("series", "forecasts", "totals", "tests", "backtest")


@dataclass(frozen=True)
class Scope:
    """What the report covers."""

    product_groups: tuple[str, ...]
    store_count: int
    series_count: int


@dataclass(frozen=True)
class Champion:
    """The model that issues forecasts, since when, and the reasons that the gate gave.

    `fallback` is the simple rule that forecasts in its place, by product group.
    """

    version: str
    since: datetime
    reasons: tuple[str, ...]
    method: str = "catboost"
    fallback: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportContent:
    """Everything on one page. Frames are polars, with the columns of the canonical tables.

    Attributes:
        as_of: the lake's clock, an instant with a time zone.
        series: gold.demand_series, weeks before and after `as_of`; one row per store, product group and week.
        forecasts: forecasts.demand_forecasts of one issue week, all methods.
        earlier: the same table, issues before that week; empty at the first issue.
        totals: forecasts.demand_totals of the same issue week.
        earlier_totals: the same table, issues before that week; may be empty.
        tests: models.totals_backtest.
        plans: products planned on display or in the mailer for a target week as known at an issue week; columns
            `issue_week_start_date, store_id, product_group, target_week_start_date, planned_products (nullable)`.
        scored: the scored rows of the back-test (ml.backtest.SCORED_COLUMNS); may be empty.
        comparisons: models.demand_comparisons; may be empty.
        drivers: insights.demand_drivers of the issue; empty while no model has passed the gate.
        lift: insights.promotion_lift; empty where the source plans no promotions.
        advice: insights.next_actions of the issue; empty where nothing is advised.
        advice_outcomes: insights.action_outcomes; empty before the first approved week is over.
        backtest: models.demand_backtest; `wape` and `bias` in percent, `bias` is 100 (forecast - actual) / actual,
            `coverage_80` is a fraction. Where the champion falls back, these three hold its rows as it issues them.
        accuracy: forecasts.forecast_accuracy in the same units; empty until the first issue has matured.
        champion: None while no model has passed the gate.
        ledger: bronze.ingest_ledger.
        checks: columns `table_name, rules, failed, warned, rows_audited, outcome`; one row per table.
        freshness: columns `table_name, newest_at (date or UTC instant, nullable), sla_days, is_fresh`.
        source_limits: sentences of the source's mapping on what its data do not cover.

    Raises:
        ValueError: a column is missing, a frame that must have rows has none, an instant is not in UTC, the
            forecasts are of several issue weeks or measures, the totals are not of their issue and method, or `wape`
            is not in percent.
    """

    as_of: datetime
    lake_name: str
    source_name: str
    source_notice: str
    scope: Scope
    series: pl.DataFrame
    forecasts: pl.DataFrame
    earlier: pl.DataFrame
    totals: pl.DataFrame
    earlier_totals: pl.DataFrame
    tests: pl.DataFrame
    plans: pl.DataFrame
    backtest: pl.DataFrame
    scored: pl.DataFrame
    comparisons: pl.DataFrame
    drivers: pl.DataFrame
    lift: pl.DataFrame
    advice: pl.DataFrame
    advice_outcomes: pl.DataFrame
    accuracy: pl.DataFrame
    champion: Champion | None
    ledger: pl.DataFrame
    checks: pl.DataFrame
    freshness: pl.DataFrame
    source_limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.as_of.utcoffset() != timedelta(0):
            raise ValueError("as_of must be an instant in UTC; give it tzinfo=UTC")
        self._require_frames()
        worst = self.backtest.filter(pl.col("slice") == ALL)["wape"].max()
        if isinstance(worst, float) and worst < LEAST_CREDIBLE_WAPE:
            raise ValueError(f"backtest.wape is at most {worst:.3f}: it looks like a fraction; give percentages")
        known_at = self.series.schema["known_at"]
        if not (isinstance(known_at, pl.Datetime) and known_at.time_zone == "UTC"):
            raise ValueError(f"series.known_at is {known_at}; it must be an instant in UTC, like as_of")
        for column in ("issue_week_start_date", "measure"):
            if self.forecasts[column].n_unique() > 1:
                raise ValueError(f"forecasts hold several values of {column}; give the rows of the newest issue only")
        if self.earlier.filter(pl.col("issue_week_start_date") >= self.issue_week).height:
            raise ValueError(f"earlier holds issues of {self.issue_week} or later; give those before the newest only")
        if self.issued.is_empty():
            raise ValueError(f"forecasts hold no row of the method {self.method!r}; score the newest issue week first")
        if self.totals.select("issue_week_start_date", "method").unique().rows() != [(self.issue_week, self.method)]:
            raise ValueError(f"totals are not those of {self.method!r} at {self.issue_week}; make its totals first")

    def _require_frames(self) -> None:
        for name, columns in COLUMNS.items():
            frame: pl.DataFrame = getattr(self, name)
            missing = [column for column in columns if column not in frame.columns]
            if missing:
                raise ValueError(f"{name} lacks the columns {missing}; select them from its table")
            if name in _NEVER_EMPTY and frame.is_empty():
                raise ValueError(f"{name} has no rows; materialise its table before the report")

    @property
    def method(self) -> str:
        """The method whose forecast the page shows."""
        return SIMPLE_RULE if self.champion is None else self.champion.method

    @property
    def fallback(self) -> Mapping[str, str]:
        """Product group to the simple rule that forecasts it in the model's place."""
        return {} if self.champion is None else self.champion.fallback

    @property
    def measure(self) -> str:
        """The column of the series that is forecast."""
        return str(self.forecasts["measure"][0])

    @property
    def issued(self) -> pl.DataFrame:
        """The forecast rows of the shown method."""
        return self.forecasts.filter(pl.col("method") == self.method)

    @property
    def own_tests(self) -> pl.DataFrame:
        """The tests of totals by the shown method."""
        return self.tests.filter(pl.col("method") == self.method, pl.col("measure") == self.measure)

    @property
    def issue_week(self) -> date:
        """The week after which the newest issue was made."""
        return self.forecasts["issue_week_start_date"][0]

    @property
    def window_weeks(self) -> int:
        """How many weeks the issue looks ahead; the page compares it with as many weeks before."""
        return self.issued["target_week_start_date"].n_unique()

    @property
    def known(self) -> pl.DataFrame:
        """Whole weeks that were known at `as_of`."""
        return self.series.filter(pl.col("known_at") <= self.as_of, ~pl.col("is_partial_week"))

    @property
    def outcomes(self) -> pl.DataFrame:
        """Whole weeks that became known after `as_of`: nothing that the forecast could have used."""
        return self.series.filter(pl.col("known_at") > self.as_of, ~pl.col("is_partial_week"))


def method_label(method: str) -> str:
    """A method's name for readers; an unknown method keeps its own."""
    return METHODS.get(method, method)


def slice_label(name: str) -> str:
    """A back-test slice's name for readers; a product group keeps its own."""
    return SLICES.get(name, name)
