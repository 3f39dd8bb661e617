"""Whether the drivers of a forecast are those of the data or of one fit: the same parts from refits.

Belongs here: refits on resampled weeks with other seeds, and how the parts vary over them. Does not belong here: the
parts themselves (ml.drivers). A part whose sign changes from fit to fit explains nothing, however exactly it adds up.

Target weeks are drawn in circular blocks, because outcomes of neighbouring weeks are alike and those of one week move
together over stores (Politis and Romano, A Circular Block-Resampling Procedure for Stationary Data, 1992; Kunsch,
Annals of Statistics 17, 1989). The spread over refits is that of fits on samples of this size; it is no interval of a
true effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ml.drivers import DRIVER_KEY, DRIVER_SCHEMA, explained
from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns
from ml.scoring import ISSUE_WEEK
from ml.training import QuantileModel, TrainConfig, fit

STABILITY_SCHEMA: dict[str, pl.DataType] = {
    **DRIVER_SCHEMA,
    "refit_count": pl.Int32(),
    "refit_mean": pl.Float64(),
    "refit_std": pl.Float64(),
    "same_sign_share": pl.Float64(),
}
_PART = list(DRIVER_KEY)


@dataclass(frozen=True)
class Refits:
    """How often and on what the model is fitted anew.

    Attributes:
        count: number of refits; each costs a fit.
        block_weeks: consecutive target weeks that are drawn together.
        seed: of the draws; the seeds of the fits follow from it.
    """

    count: int = 5
    block_weeks: int = 4
    seed: int = 20171204

    def __post_init__(self) -> None:
        if self.count < 2 or self.block_weeks < 1:  # noqa: PLR2004 - a spread needs two
            raise ValueError(f"count must be at least 2 and block_weeks at least 1; got {self}.")


def refits(
    rows: pl.DataFrame,
    target: str,
    config: TrainConfig,
    plan: Refits,
    *,
    features: Sequence[Feature] = DEMAND_FEATURES,
) -> Iterator[QuantileModel]:
    """The model fitted anew, each time with another seed on another draw of weeks.

    Args:
        rows: the rows that the model was fitted on (ml.forecaster.training_rows).
        target, config, features: as it was fitted.
        plan: how many, and how weeks are drawn.

    Raises:
        BadFrame: there are fewer than two blocks of target weeks.
    """
    require_columns(rows, (TARGET_WEEK, target), "training rows")
    weeks = rows[TARGET_WEEK].unique().sort()
    if len(weeks) < 2 * plan.block_weeks:
        raise BadFrame(f"{len(weeks)} target weeks do not make two blocks of {plan.block_weeks} to draw from.")
    dice = np.random.default_rng(plan.seed)
    for seed in dice.integers(2**31, size=plan.count):
        starts = dice.integers(len(weeks), size=-(-len(weeks) // plan.block_weeks))
        drawn = (starts[:, np.newaxis] + np.arange(plan.block_weeks)).reshape(-1)[: len(weeks)] % len(weeks)
        sample = pl.DataFrame({TARGET_WEEK: weeks.gather(drawn)}).join(rows, on=TARGET_WEEK)
        yield fit(sample, features, target, replace(config, seed=int(seed)))


def with_stability(
    decomposed: pl.DataFrame,
    features: pl.DataFrame,
    models: Iterator[QuantileModel],
    *,
    declared: Sequence[Feature] = DEMAND_FEATURES,
) -> pl.DataFrame:
    """The parts with how they come out in refits.

    Args:
        decomposed: what `ml.drivers.decompose` says of `features`.
        features: gold.demand_features.
        models: refits of the model.
        declared: the feature set.

    Returns:
        Columns of STABILITY_SCHEMA. refit_mean, refit_std: mean and standard deviation over the refits, in units of the
        measure; same_sign_share: refits in which the part has the sign that it has in the forecast, over all of them,
        null where the part is 0. All null on unexplained parts, which are not of a fit but of how it is published.
    """
    rows = features.sort(FEATURE_KEY)
    key = rows.select(pl.col(WEEK).alias(ISSUE_WEEK), *SERIES_KEY, HORIZON)
    runs = [explained(model, rows, declared) for model in models]
    names = list(dict.fromkeys(name for run in runs for name in run))
    nothing = np.zeros(rows.height)
    stacks = {name: np.stack([run.get(name, nothing) for run in runs]) for name in names}
    varied = [
        key.with_columns(
            driver=pl.lit(driver),
            part=pl.lit(part),
            refit_count=pl.lit(len(runs), dtype=pl.Int32),
            refit_mean=pl.Series(stack.mean(axis=0)),
            refit_std=pl.Series(stack.std(axis=0, ddof=1)),
            _rising=pl.Series((stack > 0).mean(axis=0)),
            _falling=pl.Series((stack < 0).mean(axis=0)),
        )
        for (driver, part), stack in stacks.items()
    ]
    joined = decomposed.join(pl.concat(varied), on=_PART, how="left", validate="1:1")
    contribution = pl.col("contribution")
    same = pl.when(contribution > 0).then("_rising").when(contribution < 0).then("_falling")
    return joined.with_columns(same_sign_share=same).select(list(STABILITY_SCHEMA)).sort(DRIVER_KEY)


def driver_totals(rows: pl.DataFrame) -> pl.DataFrame:
    """Drivers and parts summed over forecasts, the largest first and what is unexplained last.

    Args:
        rows: columns of STABILITY_SCHEMA, of any forecasts.

    Returns:
        driver, part, contribution, counterfactual (null where no row has one), refit_mean, and same_sign_share: the
        mean over rows, weighted by how large the part is in each.
    """
    weight = pl.col("contribution").abs()
    has_sign = pl.col("same_sign_share").is_not_null()
    sums = rows.group_by("driver", "part").agg(
        pl.col("contribution").sum(),
        *(
            pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)
            for name in ("counterfactual", "refit_mean")
        ),
        same_sign_share=pl.when(has_sign.any()).then(
            (weight * pl.col("same_sign_share")).sum() / weight.filter(has_sign).sum()
        ),
    )
    is_last, is_first = pl.col("driver") == "unexplained", pl.col("part") == "average"
    return sums.sort(is_last, ~is_first, -pl.col("contribution").abs(), "driver", "part")
