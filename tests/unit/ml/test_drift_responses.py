"""From rows to responses: five weeks after a training, with something planted in them, and runs with nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ml.drift import DriftThresholds, drift, error_drift, error_ratios
from ml.drift_decisions import Cause, Policy, Response, Window, decide
from ml.histograms import histograms, make_bins
from tests.conftest import tries
from tests.unit.ml.test_drift import COLUMNS, FIRST, WEEKS, world

FOLLOWED = 5
Change = Callable[[pl.DataFrame], pl.DataFrame]


def decided(seed: int, changes: dict[int, Change], erring: Sequence[int] = ()) -> tuple[Cause, Response]:
    """The decision about the last of five weeks; `changes` by week from 0, and weeks whose forecasts err more."""
    rows = world(seed, WEEKS + FOLLOWED)
    starts = rows["week_start_date"].unique().sort()
    reference = rows.filter(pl.col("week_start_date").is_in(starts[:WEEKS].implode()))
    bins = make_bins(reference, COLUMNS)
    known = histograms(reference, bins, "week_start_date")
    random = np.random.default_rng(seed + 1)
    usual = list(random.normal(-0.1, 0.05, 8))
    weeks = [
        changes.get(number, lambda frame: frame)(rows.filter(pl.col("week_start_date") == start))
        for number, start in enumerate(starts[WEEKS:])
    ]
    verdicts = drift(known, histograms(pl.concat(weeks), bins, "week_start_date"), DriftThresholds())
    windows = []
    for number, start in enumerate(starts[WEEKS:]):
        found = verdicts.filter(pl.col("week_start_date") == start)
        ratio = random.normal(-0.1, 0.05) + (0.5 if number in erring else 0.0)
        faults = tuple(found.filter(pl.col("fault").is_not_null())["subject"])
        drifted = tuple(found.filter("is_drifted")["subject"])
        windows.append(Window(start, faults, drifted, error_drift(usual, float(ratio))))
    made = decide(windows, (), Policy())
    return made.cause, made.response


def dearer(week: pl.DataFrame) -> pl.DataFrame:
    return week.with_columns(price=pl.col("price") + 0.6)


def in_cents(week: pl.DataFrame) -> pl.DataFrame:
    return week.with_columns(price=pl.col("price") * 100)


@pytest.mark.parametrize("seed", range(5))
def test_four_causes_have_four_responses(seed: int) -> None:
    assert decided(seed, {2: dearer, 3: dearer, 4: dearer}) == (Cause.COVARIATE, Response.RETRAIN)
    assert decided(seed, {}, erring=(2, 4)) == (Cause.CONCEPT, Response.RETRAIN)
    assert decided(seed, {3: dearer, 4: in_cents}) == (Cause.DATA_FAULT, Response.INCIDENT)
    assert decided(seed, {4: dearer}) == (Cause.BLIP, Response.NOTHING)
    assert decided(seed, {0: dearer, 1: dearer}) == (Cause.NONE, Response.NOTHING)


def test_usual_stretches_ask_for_little() -> None:
    """At most one in twenty asks for something; 200 stretches to certify."""
    stretches = tries(60, 200)
    made = [decided(seed, {}) for seed in range(5000, 5000 + stretches)]
    assert sum(response is not Response.NOTHING for _, response in made) <= stretches // 20
    assert sum(cause is Cause.DATA_FAULT for cause, _ in made) == 0


def test_ratios_are_of_weeks_that_both_have() -> None:
    weeks = [FIRST + timedelta(weeks=number) for number in range(4)]
    losses = pl.DataFrame({
        "week": [*weeks[:3], *weeks[1:], weeks[0]],
        "method": ["model"] * 3 + ["rule"] * 3 + ["other"],
        "pinball": [2.0, 1.0, 0.0, 1.0, 1.0, 4.0, 9.0],
    })  # fmt: skip
    assert error_ratios(losses, "model", "rule").rows() == [(weeks[1], 0.0)]
