"""Fallback: the product groups in which a baseline is surely better than the model, and what the gate then judges.

Belongs here: which group falls back to which baseline, and the scored rows of a model with its fallback. Does not
belong here: how sure a difference is (ml.comparisons), forecasts (ml.forecaster), the gate (ml.promotion).

A choice among methods flatters the one that is chosen on the rows that it was chosen on (Varma and Simon, Bias in Error
Estimation When Using Cross-validation for Model Selection, BMC Bioinformatics 7, 2006), so that a fallback is judged
fold by fold by what the other folds choose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import polars as pl

from ml.backtest import CUTOFF, MODEL, SLICES
from ml.evaluation import absolute_error
from ml.features import HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, BadFrame, require_columns

_GROUP, _ISSUER = "product_group", "_issuer"


def choose_fallback(compared: pl.DataFrame) -> dict[str, str]:
    """Product group to the baseline that forecasts it in the model's place; none while the model loses surely nowhere.

    A group falls back when the simultaneous interval of the model's WAPE less a baseline's lies above 0; to the
    baseline with the lowest WAPE among those (the first by name of equals). The intervals are widened for all product
    groups and rivals, so that a lake in which no baseline is better in any group gets a fallback with a probability of
    2.5 % at most, where the intervals hold what they say. Slices that overlap have no say.

    Args:
        compared: models.demand_comparisons.
    """
    require_columns(compared, ("method", "rival", "slice", "rival_wape", "simultaneous_lower"), "comparisons")
    surely = compared.filter(
        pl.col("method") == MODEL, pl.col("simultaneous_lower") > 0, ~pl.col("slice").is_in(list(SLICES))
    )
    best = surely.sort("slice", "rival_wape", "rival").group_by("slice", maintain_order=True).first()
    return dict(best.select("slice", "rival").iter_rows())


def as_issued(scored: pl.DataFrame, fallback: Mapping[str, str]) -> pl.DataFrame:
    """Scored rows in which the model's are those that a model with this fallback issues; none where it has none.

    Args:
        scored: rows of ml.backtest.SCORED_COLUMNS of all methods.
        fallback: product group to baseline.

    Raises:
        BadFrame: a baseline was not scored on the rows of the model.
    """
    schema = {_GROUP: pl.String, _ISSUER: pl.String}
    return _replaced(scored, pl.DataFrame(list(fallback.items()), schema=schema, orient="row"))


def as_judged(scored: pl.DataFrame, groups: Collection[str]) -> pl.DataFrame:
    """Scored rows in which every fold's rows of the model are issued as the other folds would have it.

    In a group that falls back, the method with the lowest WAPE over the other folds stands for the model: the model
    itself or any baseline. Other folds' rows of the same target weeks are left out, since they hold the same outcomes
    (cross-validation with a gap around the test block: Burman, Chow and Nolan, Biometrika 81, 1994). A fold to which no
    row is left stays the model's.

    Bias that is left: that a group falls back at all was decided on all folds, the judged one among them, so that a
    group in which the baseline was lucky everywhere looks better than it is (`choose_fallback` bounds the chance); and
    errors of neighbouring weeks hang together. On the other side the choice rests on fewer weeks than the published
    one, and is worse where they are too few.

    Args:
        scored: rows of ml.backtest.SCORED_COLUMNS of all methods.
        groups: the product groups that fall back.

    Raises:
        BadFrame: the methods were not scored on the same rows.
    """
    require_columns(scored, ("method", CUTOFF, *SERIES_KEY, HORIZON, TARGET_WEEK, "actual", "p50"), "scored rows")
    looked_at = scored.filter(pl.col(_GROUP).is_in(list(groups)))
    chosen = [_chosen_without(looked_at, fold) for fold in scored[CUTOFF].unique().sort()]
    return _replaced(scored, pl.concat(chosen))


def _chosen_without(scored: pl.DataFrame, fold: date) -> pl.DataFrame:
    """For one cutoff week: per product group the method with the least error on the other folds' target weeks."""
    is_fold = pl.col(CUTOFF) == fold
    weeks = scored.filter(is_fold)[TARGET_WEEK].unique()
    # In one order: sums of doubles depend on it.
    others = scored.filter(~is_fold, ~pl.col(TARGET_WEEK).is_in(weeks.to_list())).sort(scored.columns)
    # All methods have the same rows, so that the least sum of errors is the lowest WAPE; of equals the model stays.
    missed = others.group_by(_GROUP, "method", maintain_order=True).agg(absolute_error().sum().alias("missed"))
    ranked = missed.sort(_GROUP, "missed", pl.col("method") != MODEL, "method")
    best = ranked.group_by(_GROUP, maintain_order=True).first()
    return best.select(_GROUP, pl.col("method").alias(_ISSUER), pl.lit(fold).alias(CUTOFF))


def _replaced(scored: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The rows with the model's replaced by those of the issuer that `chosen` names, if it names one."""
    on = [name for name in chosen.columns if name != _ISSUER]
    marked = scored.join(chosen, on=on, how="left").with_columns(pl.col(_ISSUER).fill_null(MODEL))
    others = marked.filter(pl.col("method") != MODEL)
    models = scored.filter(pl.col("method") == MODEL)
    own = marked.filter(pl.col("method") == pl.col(_ISSUER)).with_columns(method=pl.lit(MODEL))
    own = own.join(models, on=[CUTOFF, *SERIES_KEY, HORIZON, "actual"], how="semi")
    if own.height != models.height:
        raise BadFrame("The baselines of the fallback were not scored on the same rows as the model.")
    rows = pl.concat([own, others]).select(scored.columns)
    return rows.sort("method", CUTOFF, *SERIES_KEY, HORIZON)
