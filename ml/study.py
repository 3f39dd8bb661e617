"""The study: which hyper-parameters the demand model is trained with, searched for before the test period.

Belongs here: the search space, the search, and when its best trial is chosen. Does not belong here: fits (ml.training),
splits (ml.splits), files and tables.

A trial is judged by the WAPE of p50 over rolling-origin folds: the figure that the gate and the benchmarks speak of, on
which `ml.evaluation_differences` can say how sure a difference is. Calibration moves the outer quantiles only, so one
fit per fold gives the p50 that a backtest would have given, for half of its price.

Search: tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011) by
Optuna. After each fold a trial that lies behind the median of those before it is given up. The budget counts trials and
no seconds, so that equal rows, seed and budget give equal trials.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

import optuna
import polars as pl
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ml.evaluation import wape
from ml.evaluation_differences import Interval, is_large_enough, wape_difference
from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, TARGET_WEEK
from ml.forecaster import labelled, training_rows
from ml.frame_checks import BadFrame
from ml.splits import Fold, rolling_origin
from ml.training import TrainConfig, fit, predict

# The bounds keep a fit within about twice the time of the default configuration.
SPACE: Mapping[str, BaseDistribution] = MappingProxyType({
    "iterations": IntDistribution(80, 200, step=20),
    "depth": IntDistribution(4, 8),
    "learning_rate": FloatDistribution(0.04, 0.25, log=True),
    "l2_leaf_reg": FloatDistribution(1.0, 30.0, log=True),
    "border_count": IntDistribution(32, 128, step=32),
    "column_share": FloatDistribution(0.2, 1.0),
    "half_life_weeks": CategoricalDistribution((None, 8.0, 13.0, 26.0)),
})  # fmt: skip
SCHEMA: Mapping[str, pl.DataType] = MappingProxyType({
    "trial": pl.Int32(), "state": pl.String(), "parameters": pl.String(), "fold_wapes": pl.String(),
    "wape": pl.Float64(), "difference": pl.Float64(), "difference_lower": pl.Float64(),
    "difference_upper": pl.Float64(), "last_target_week_start_date": pl.Date(), "is_best": pl.Boolean(),
    "is_chosen": pl.Boolean(),
})  # fmt: skip
Progress = Callable[[int, int, str], None]
COMPLETE, PRUNED, UNJUDGED = "complete", "pruned", "unjudged"
_DEFAULT = "default"
# So many trials are judged on all folds before one is given up.
_JUDGED_IN_FULL = 3


@dataclass(frozen=True)
class StudyPlan:
    """What is searched, where and for how long.

    Attributes:
        folds: origins from `folds_before`; none: nothing can be judged.
        trials: budget; the first trial is the default configuration. 0: nothing is judged.
        measure: what is forecast.
        config: the default configuration; what the space does not name stays as it is there.
        confidence: of the interval of a difference, before it is shared out among all trials.
        seed: of the sampler.
        space: parameters of TrainConfig and what each may be.
        features: the model's inputs.
    """

    folds: tuple[Fold, ...]
    trials: int
    measure: str = "transactions"
    config: TrainConfig = field(default_factory=TrainConfig)
    confidence: float = 0.95
    seed: int = 20171204
    space: Mapping[str, BaseDistribution] = field(default_factory=lambda: SPACE)
    features: tuple[Feature, ...] = DEMAND_FEATURES

    def __post_init__(self) -> None:
        if self.trials < 0 or not 0 < self.confidence < 1:
            raise ValueError("trials must be at least 0, confidence between 0 and 1.")
        # Refuses a value outside its distribution: the default configuration is the first trial.
        optuna.create_trial(params=self.parameters(self.config), distributions=dict(self.space), value=0.0)

    def parameters(self, config: TrainConfig) -> dict[str, object]:
        """The values of a configuration that the space names."""
        return {name: getattr(config, name) for name in self.space}


@dataclass(frozen=True)
class Study:
    """The trials as rows of models.demand_studies, and the configuration to train with."""

    trials: pl.DataFrame
    chosen: TrainConfig


@dataclass(frozen=True)
class _Trial:
    config: TrainConfig
    fold_wapes: tuple[float, ...]
    forecasts: pl.DataFrame
    is_complete: bool

    @property
    def wape(self) -> float:
        return sum(self.fold_wapes) / len(self.fold_wapes)


def folds_before(test: Fold, weeks: Sequence[date], folds: int, horizon: int, step: int) -> list[Fold]:
    """Folds of which every target week lies before the first target week of a backtest.

    Args:
        test: the first fold of the backtest.
        weeks: covered business weeks, contiguous.
        folds, horizon, step: as in `ml.splits.rolling_origin`.

    Raises:
        SeriesTooShort: the weeks before the backtest do not hold as many folds.
    """
    return rolling_origin([week for week in weeks if week <= test.cutoff], folds, horizon, step)


def run_study(features: pl.DataFrame, labels: pl.DataFrame, plan: StudyPlan, progress: Progress | None = None) -> Study:
    """Judge the default configuration and others, and choose the best one if it is surely better.

    The best trial is chosen when the interval of its WAPE less that of the default configuration lies below 0. The
    best of n rivals is better by luck alone more often than one, so that each interval has a confidence of
    1 - (1 - confidence) / n (Bonferroni). A tie keeps the default.

    Args:
        features: gold.demand_features; rows after the folds are not used.
        labels: gold.demand_labels, mature.
        plan: what is searched.
        progress: called with (trials done, trials in all, what was done) after each trial.

    Returns:
        The chosen configuration and one row per trial with the columns of SCHEMA: parameters and fold_wapes as
        canonical JSON, the latter oldest fold first; wape is their mean, null unless the trial was judged on all folds;
        difference in points of WAPE with its interval, null where there is none; exactly one is_best and one is_chosen.

    Raises:
        BadFrame: a fold lacks rows, or its outcomes add up to nothing.
    """
    if not plan.trials or not plan.folds:
        return Study(_unjudged(plan), plan.config)
    rows = labelled(features, labels, plan.measure)
    trials = _search(rows, plan, progress)
    complete = [number for number, trial in enumerate(trials) if trial.is_complete]
    best = min(complete, key=lambda number: (trials[number].wape, number))
    differences = {number: _difference(trials[number], trials[0], plan) for number in complete if number}
    found = differences.get(best)
    chosen = best if found is not None and found.upper < 0 else 0
    return Study(_rows(trials, differences, best, chosen, plan), trials[chosen].config)


def _search(rows: pl.DataFrame, plan: StudyPlan, progress: Progress | None) -> list[_Trial]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=plan.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_JUDGED_IN_FULL),
    )
    study.enqueue_trial(plan.parameters(plan.config))
    trials: list[_Trial] = []
    for number in range(plan.trials):
        asked = study.ask(dict(plan.space))
        trial = _judged(rows, plan, replace(plan.config, **asked.params), asked, trials[0] if trials else None)
        trials.append(trial)
        if trial.is_complete:
            study.tell(asked, trial.wape)
        else:
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        if progress is not None:
            ending = f"WAPE {trial.wape:.2f}" if trial.is_complete else f"given up after {len(trial.fold_wapes)} folds"
            progress(number + 1, plan.trials, f"trial {number}: {ending}")
    return trials


def _judged(
    rows: pl.DataFrame, plan: StudyPlan, config: TrainConfig, asked: optuna.Trial, default: _Trial | None
) -> _Trial:
    """One trial, fold by fold, until it is given up."""
    wapes: list[float] = []
    forecasts: list[pl.DataFrame] = []
    for fold in plan.folds:
        forecasts.append(_forecasts(rows, fold, plan, config))
        wapes.append(_wape(forecasts[-1], fold))
        # Folds differ by more than configurations do: what is compared is the lead over the default.
        rival = default.fold_wapes[: len(wapes)] if default is not None else wapes
        asked.report((sum(wapes) - sum(rival)) / len(wapes), step=len(wapes))
        if len(wapes) < len(plan.folds) and asked.should_prune():
            break
    return _Trial(config, tuple(wapes), pl.concat(forecasts), is_complete=len(wapes) == len(plan.folds))


def _forecasts(rows: pl.DataFrame, fold: Fold, plan: StudyPlan, config: TrainConfig) -> pl.DataFrame:
    """Outcome and p50 of the fold's test pairs by the model that knows what was known at its cutoff."""
    known, test = training_rows(rows, fold), rows.filter(fold.is_test)
    if not known.height or not test.height:
        raise BadFrame(f"The fold at {fold.cutoff} has {known.height} known rows and {test.height} outcomes.")
    model = fit(known, plan.features, plan.measure, config)
    keys = test.select(*FEATURE_KEY, TARGET_WEEK, "actual")
    return pl.concat([keys, predict(model, test).select("p50")], how="horizontal")


def _wape(forecasts: pl.DataFrame, fold: Fold) -> float:
    found = forecasts.select(wape()).item()
    if found is None:
        raise BadFrame(f"Nothing was sold in the fold at {fold.cutoff}: set the study's trials to 0.")
    return float(found)


def _difference(trial: _Trial, default: _Trial, plan: StudyPlan) -> Interval | None:
    """WAPE of a trial less that of the default configuration; None where there are too few series or weeks to say."""
    rows = trial.forecasts.with_columns(default.forecasts["p50"].alias(_DEFAULT))
    if not is_large_enough(rows):
        return None
    confidence = 1 - (1 - plan.confidence) / (plan.trials - 1)
    return wape_difference(rows, "p50", _DEFAULT, confidence=confidence)


def _rows(
    trials: Sequence[_Trial], differences: Mapping[int, Interval | None], best: int, chosen: int, plan: StudyPlan
) -> pl.DataFrame:
    found = []
    last_target_week = trials[0].forecasts[TARGET_WEEK].max()
    for number, trial in enumerate(trials):
        interval = differences.get(number)
        found.append({
            "trial": number,
            "state": COMPLETE if trial.is_complete else PRUNED,
            "parameters": _canonical(plan.parameters(trial.config)),
            "fold_wapes": _canonical(trial.fold_wapes),
            "wape": trial.wape if trial.is_complete else None,
            "difference": interval.estimate if interval else None,
            "difference_lower": interval.lower if interval else None,
            "difference_upper": interval.upper if interval else None,
            "last_target_week_start_date": last_target_week,
            "is_best": number == best,
            "is_chosen": number == chosen,
        })  # fmt: skip
    return pl.DataFrame(found, schema=SCHEMA)


def _unjudged(plan: StudyPlan) -> pl.DataFrame:
    row = {"trial": 0, "state": UNJUDGED, "parameters": _canonical(plan.parameters(plan.config)), "fold_wapes": "[]"}
    return pl.DataFrame([{**row, "is_best": True, "is_chosen": True}], schema=SCHEMA)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
