"""What an activity is expected to add: measured lift times the forecast, with its interval.

Belongs here: candidates per store, product group, target week and kind, and what they are worth. Does not belong here:
which of them are chosen (actions_optimizer), how lift is measured (lift), how a forecast is made.

- The forecast's mean and standard deviation come from its three quantiles by Swanson's rule (weights 0.3, 0.4, 0.3 of
  p10, p50 and p90: Hurst, Brown and Swanson, AAPG Bulletin 84, 2000): a percentage of lift is one of the mean, and the
  median of a slow series is below it.
- The variance of the product of two independent numbers is exact (Goodman, Journal of the American Statistical
  Association 55, 1960). The lift of a product group and kind is one number for all of its cells, so that sums over
  cells keep its uncertainty whole.
"""

from __future__ import annotations

from statistics import NormalDist

import polars as pl

from ml.actions_draws import normals, uniforms
from ml.actions_limits import KINDS, Assumptions, Refused
from ml.actions_optimizer import ARM, CANDIDATE_KEY, CELL, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_unique

# Of every interval that is given or asked for here.
CONFIDENCE = 0.90
# What is needed of insights.promotion_lift: one row per ARM. lift_percent: transactions that an activity adds to its
# product group in its week, in percent of what would have been without; lower, upper: its 90 % interval; sales_: the
# same of net sales, which differ where what is promoted is dearer or cheaper than the group; net_share: the share of
# both that is left after what following weeks and other groups give or take; base_transactions: how many the lift was
# measured on. An arm whose lift could not be measured has no row.
ARM_LIFT_SCHEMA: dict[str, pl.DataType] = {
    "product_group": pl.String(),
    "kind": pl.String(),
    "lift_percent": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "sales_lift_percent": pl.Float64(),
    "sales_lower": pl.Float64(),
    "sales_upper": pl.Float64(),
    "net_share": pl.Float64(),
    "base_transactions": pl.Float64(),
}
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_OUTER, _MIDDLE = 0.3, 0.4
_PERCENT = 100.0


def candidates(
    forecasts: pl.DataFrame, planned: pl.DataFrame, lift: pl.DataFrame, sales: pl.DataFrame, assumptions: Assumptions
) -> pl.DataFrame:
    """Every activity that could be done and whose effect was measured.

    Args:
        forecasts: one row per CELL: p10, p50, p90 in transactions, model_version, data_version.
        planned: store_id, product_group, week_start_date, display_products, mailer_products of the target weeks: a kind
            that is planned already is no candidate, its effect is in the forecast.
        lift: see ARM_LIFT_SCHEMA.
        sales: product_group, net_sales_usd_per_transaction.
        assumptions: costs and margins.

    Returns:
        One row per CANDIDATE_KEY, sorted: the versions; base_transactions and base_transactions_sd (what is forecast
        without the activity); lift_percent, lift_sd_percent, sales_lift_percent, sales_lift_sd_percent, net_share,
        lift_base_transactions;
        incremental_transactions, net, with _lower and _upper (90 %); net_sales_usd_per_transaction;
        assumed_margin_percent; assumed_cost_usd; incremental_margin_usd, the margin of the added sales before the cost,
        with _lower and _upper.

    Raises:
        Refused: a cost or margin is missing, a lift is no number within its interval.
        BadFrame: columns are missing or keys repeat.
    """
    require_columns(forecasts, (*CELL, "p10", "p50", "p90", "model_version", "data_version"), "The forecasts")
    require_unique(forecasts, CELL, "The forecasts")
    require_columns(planned, (*SERIES_KEY, WEEK, "display_products", "mailer_products"), "The planned promotions")
    measured = _measured(lift)
    rows = forecasts.select(*CELL, "model_version", "data_version", *_moments()).join(measured, on="product_group")
    assumptions.require(rows["kind"].unique(), rows["product_group"].unique())
    rows = rows.join(_running(planned), on=CANDIDATE_KEY, how="anti").join(sales, on="product_group", how="left")
    unsold = sorted(set(rows.filter(pl.col("net_sales_usd_per_transaction").is_null())["product_group"]))
    if unsold:
        raise Refused(f"Nothing is known of the sales of {unsold[0]}: it sold nothing in the weeks that are looked at.")
    margin = pl.col("product_group").replace_strict(dict(assumptions.margin_percent), return_dtype=pl.Float64)
    cost = pl.col("kind").replace_strict(dict(assumptions.costs_usd), return_dtype=pl.Float64)
    rows = rows.with_columns(assumed_margin_percent=margin, assumed_cost_usd=cost)
    rows = rows.with_columns(_effect("lift", "incremental_transactions", pl.lit(1.0)))
    rows = rows.with_columns(_effect("sales_lift", "incremental_margin_usd", _margin_per_transaction()))
    return rows.sort(CANDIDATE_KEY)


def valued(rows: pl.DataFrame, assumptions: Assumptions, issue: object) -> pl.DataFrame:
    """The candidates with `is_exploration` and `value`, which the optimizer maximises.

    In an exploring cell the lift is not the expected one but a draw of what it may be, one per arm and issue (Thompson
    sampling: Thompson, Biometrika 25, 1933; for sums under limits Wang and Chen, ICML 2018). Which cells explore is
    drawn by store, product group and week.

    Args:
        rows: from `candidates`.
        assumptions: limits and seed.
        issue: names the plan, so that another plan draws anew.
    """
    limits, seed = assumptions.limits, assumptions.seed
    explores = uniforms(rows, CELL, seed, "exploration") < limits.exploration_share
    drawn = normals(rows, ARM, seed, f"lift of {issue}")
    is_of_sales = limits.maximise == "net_margin_usd"
    lift, lift_sd = (pl.col(f"{'sales_' if is_of_sales else ''}lift_{name}") for name in ("percent", "sd_percent"))
    tried = lift + pl.when("is_exploration").then(pl.col("_drawn") * lift_sd).otherwise(0)
    added = tried / _PERCENT * pl.col("base_transactions") * pl.col("net_share")
    value = added * _margin_per_transaction() - pl.col("assumed_cost_usd") if is_of_sales else added
    return rows.with_columns(is_exploration=explores, _drawn=drawn).with_columns(value=value).drop("_drawn")


def total(rows: pl.DataFrame, *, net: bool = True) -> tuple[float, float, float]:
    """Sum of the expected incremental transactions of rows of `candidates`, with its 90 % interval.

    Args:
        rows: columns of `candidates`; the rows of an arm have one lift.
        net: after what following weeks and other groups give or take; else in their own group and week.
    """
    share = pl.col("net_share") if net else pl.lit(1.0)
    own = (
        share**2 * pl.col("base_transactions_sd") ** 2 * (pl.col("lift_percent") ** 2 + pl.col("lift_sd_percent") ** 2)
    )
    arms = rows.group_by([*ARM, "lift_percent", "lift_sd_percent"]).agg(
        base=(share * pl.col("base_transactions")).sum(), own=(own / _PERCENT**2).sum()
    )
    mean = float((arms["base"] * arms["lift_percent"]).sum()) / _PERCENT
    shared = arms.group_by(ARM).agg(sd=(pl.col("base") * pl.col("lift_sd_percent")).sum() / _PERCENT)
    sd = (float((shared["sd"] ** 2).sum()) + float(arms["own"].sum())) ** 0.5
    return mean, mean - Z * sd, mean + Z * sd


def _measured(lift: pl.DataFrame) -> pl.DataFrame:
    require_columns(lift, tuple(ARM_LIFT_SCHEMA), "The measured lift")
    require_unique(lift, ARM, "The measured lift")
    numbers = pl.col("lift_percent", "lower", "upper", "sales_lift_percent", "sales_lower", "sales_upper", "net_share")
    wrong = lift.filter(
        ~pl.col("kind").is_in(KINDS)
        | ~(pl.all_horizontal(numbers.is_finite()).fill_null(value=False))
        | ~pl.col("lift_percent").is_between("lower", "upper").fill_null(value=False)
        | ~pl.col("sales_lift_percent").is_between("sales_lower", "sales_upper").fill_null(value=False)
    )
    if wrong.height:
        group, kind, *values = wrong.sort(ARM).row(0)
        raise Refused(f"The lift of {kind} for {group} is no number within its interval: {values}. Measure it anew.")
    return lift.select(
        *ARM,
        "lift_percent",
        "sales_lift_percent",
        lift_sd_percent=(pl.col("upper") - pl.col("lower")) / (2 * Z),
        sales_lift_sd_percent=(pl.col("sales_upper") - pl.col("sales_lower")) / (2 * Z),
        net_share="net_share",
        lift_base_transactions="base_transactions",
    )


def _running(planned: pl.DataFrame) -> pl.DataFrame:
    """CANDIDATE_KEY of what is planned anyway."""
    return pl.concat([
        planned.filter(pl.col(f"{kind}_products") > 0).select(
            pl.col(WEEK).alias(TARGET_WEEK), *SERIES_KEY, pl.lit(kind).alias("kind")
        )
        for kind in KINDS
    ])  # fmt: skip


def _moments() -> list[pl.Expr]:
    mean = _OUTER * pl.col("p10") + _MIDDLE * pl.col("p50") + _OUTER * pl.col("p90")
    square = _OUTER * pl.col("p10") ** 2 + _MIDDLE * pl.col("p50") ** 2 + _OUTER * pl.col("p90") ** 2
    return [
        mean.alias("base_transactions"),
        (square - mean**2).clip(0).sqrt().alias("base_transactions_sd"),
    ]


def _effect(lift_name: str, name: str, each: pl.Expr) -> list[pl.Expr]:
    """What a lift adds, in a unit of which a transaction brings `each`, with its 90 % interval."""
    lift, lift_sd = (pl.col(f"{lift_name}_{part}") / _PERCENT for part in ("percent", "sd_percent"))
    base, base_sd = (pl.col(part) * pl.col("net_share") for part in ("base_transactions", "base_transactions_sd"))
    sd = (lift**2 * base_sd**2 + base**2 * lift_sd**2 + base_sd**2 * lift_sd**2).sqrt()
    added = lift * base
    return [
        (added * each).alias(name),
        ((added - Z * sd) * each).alias(f"{name}_lower"),
        ((added + Z * sd) * each).alias(f"{name}_upper"),
    ]


def _margin_per_transaction() -> pl.Expr:
    return pl.col("net_sales_usd_per_transaction") * pl.col("assumed_margin_percent") / _PERCENT
