"""A model made again from its record, and what differs when it comes out as another.

Belongs here: the fit that a record describes, the comparison of models part by part and of row sets cell by cell. Does
not belong here: where records and rows lie, the environment of a fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from ml.forecaster import CalibratedModel, calibrate_baseline, fit_calibrated
from ml.frame_checks import require_unique
from ml.packaging import CALIBRATION_FILE, FALLBACK_FILE, MODEL_FILE, SIGNATURE_FILE, content_hashes
from ml.splits import Fold
from ml.training import TrainConfig

PARTS: Mapping[str, str] = {
    MODEL_FILE: "trees",
    CALIBRATION_FILE: "calibration of the intervals",
    SIGNATURE_FILE: "names and types of the features",
    FALLBACK_FILE: "groups that fall back to a baseline",
}


def fit_as_recorded(
    rows: pl.DataFrame, fold: Fold, measure: str, config: TrainConfig, fallback: Mapping[str, str]
) -> CalibratedModel:
    """The model of a training set: fit, intervals, and the baselines that stand in for it.

    Equal arguments give an equal model version on one machine with the same libraries.

    Args:
        rows: of `ml.forecaster.labelled`.
        fold: the final fold at the training set's cutoff.
        measure: what is forecast.
        config: parameters, seed and threads.
        fallback: product group to the name of the baseline that forecasts it.

    Raises:
        BadFrame: see `ml.forecaster.fit_calibrated` and `calibrate_baseline`.
    """
    stand_ins = {group: calibrate_baseline(rows, fold, measure, name) for group, name in fallback.items()}
    return replace(fit_calibrated(rows, fold, measure, config), fallback=stand_ins)


def differing_parts(fitted: CalibratedModel, recorded: Mapping[str, str]) -> list[str]:
    """The parts in which a model is not the recorded one, in words.

    Args:
        recorded: file name to SHA-256, as a bundle's manifest has them under `files`.
    """
    found = content_hashes(fitted)
    return [PARTS[name] for name in PARTS if found.get(name) != recorded.get(name)]


def differing_rows(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> dict[str, int]:
    """What became of the rows of a set: `rows_gone`, `rows_new`, and `column NAME` with the rows that it changed in.

    Args:
        before, after: both with one row per key. A column that only one of them has differs in all shared rows.

    Raises:
        BadFrame: a key repeats.
    """
    for rows, name in ((before, "The earlier rows"), (after, "The later rows")):
        require_unique(rows, key, name)
    found = {
        "rows_gone": before.join(after, on=key, how="anti").height,
        "rows_new": after.join(before, on=key, how="anti").height,
    }
    shared = before.join(after, on=key, how="inner", suffix="_after", nulls_equal=True)
    for name in sorted({*before.columns, *after.columns} - set(key)):
        if name in before.columns and name in after.columns:
            changed = shared.filter(pl.col(name).ne_missing(pl.col(f"{name}_after"))).height
        else:
            changed = shared.height
        found[f"column {name}"] = changed
    return {name: count for name, count in found.items() if count}
