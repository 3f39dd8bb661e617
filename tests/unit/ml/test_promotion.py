"""The gate promotes what is surely better, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.promotion import Thresholds, compare, decide
from tests.conftest import tries

THRESHOLDS = Thresholds(bootstrap_samples=300)


def scored(error: float, *, seed: int = 1, series: int = 60, width: float = 4.2) -> pl.DataFrame:
    """Rows whose p50 misses by a normal error of the given size; outcomes do not depend on it."""
    outcomes = np.random.default_rng(0)
    misses = np.random.default_rng(seed)
    rows = []
    for number in range(series):
        for week in range(4):
            actual = float(outcomes.poisson(10))
            middle = max(0.0, actual + misses.normal(0.0, error))
            rows.append((date(2017, 9, 4) + timedelta(days=7 * week), f"s{number}", "g", 1, actual, middle))
    columns = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "actual", "p50"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    reach = width / 4.2 * 1.2816 * error
    return frame.with_columns(p10=pl.col("p50") - reach, p90=pl.col("p50") + reach)


BASELINES = {"naive": scored(4.0, seed=7), "mean_8": scored(3.0, seed=8)}


def test_a_better_challenger_is_promoted() -> None:
    decision = decide(scored(2.0), scored(2.6, seed=3), BASELINES, THRESHOLDS)
    assert decision.promoted
    assert any("the champion" in reason for reason in decision.reasons)
    assert decision.evidence["versus_champion.wape_upper"] < 0


def test_without_a_champion_the_baselines_must_be_beaten() -> None:
    assert decide(scored(2.0), None, BASELINES, THRESHOLDS).promoted


def test_a_tie_promotes_nobody() -> None:
    decision = decide(scored(2.0), scored(2.0), BASELINES, THRESHOLDS)
    assert not decision.promoted
    assert decision.evidence["versus_champion.wape"] == 0
    assert all("champion" in reason for reason in decision.reasons)


def test_a_gain_within_the_noise_promotes_nobody() -> None:
    """The champion errs 40 % less on every second series and 45 % more on the others: a gain, but not a sure one."""
    challenger = scored(2.0)
    is_even = pl.col("store_id").str.slice(1).cast(pl.Int64) % 2 == 0
    error = pl.col("p50") - pl.col("actual")
    champion = challenger.with_columns(p50=pl.col("actual") + error * pl.when(is_even).then(0.6).otherwise(1.45))
    decision = decide(challenger, champion, BASELINES, THRESHOLDS)
    assert decision.evidence["versus_champion.wape"] < 0
    assert not decision.promoted


def test_worse_than_one_baseline_is_kept_out() -> None:
    decision = decide(scored(3.5), None, BASELINES, THRESHOLDS)
    assert not decision.promoted
    assert all("mean_8" in reason for reason in decision.reasons)


def test_better_points_with_worse_intervals_are_kept_out() -> None:
    loose = scored(2.0).with_columns(p10=pl.lit(0.0), p90=pl.col("p50") + 60)
    decision = decide(loose, None, BASELINES, THRESHOLDS)
    assert not decision.promoted
    assert any("Pinball loss" in reason for reason in decision.reasons)
    assert any("holds" in reason for reason in decision.reasons)


def test_a_biased_challenger_is_kept_out() -> None:
    biased = scored(0.1).with_columns(pl.col("p10", "p50", "p90") * 1.25)
    decision = decide(biased, None, {"naive": scored(9.0)}, THRESHOLDS)
    assert any("bias" in reason for reason in decision.reasons)
    assert not decision.promoted


def test_the_least_gain_is_asked_for() -> None:
    challenger, champion = scored(2.0), scored(2.6, seed=3)
    gain = -compare(challenger, champion, THRESHOLDS).wape
    assert not decide(challenger, champion, BASELINES, Thresholds(min_gain_wape=gain, bootstrap_samples=300)).promoted


IS_BUSY = pl.col("store_id").str.slice(1).cast(pl.Int64) < 12
GUARDS = {"busy": IS_BUSY, "base": ~IS_BUSY, "empty": pl.lit(value=False)}


def test_better_on_the_mean_and_worse_on_a_guarded_slice_is_refused() -> None:
    champion = scored(2.6, seed=3)
    error = pl.col("p50") - pl.col("actual")
    worse = scored(2.0).with_columns(p50=pl.when(IS_BUSY).then(pl.col("actual") + 2.2 * error).otherwise("p50"))
    challenger = worse.with_columns(p10=pl.min_horizontal("p10", "p50"), p90=pl.max_horizontal("p90", "p50"))
    assert decide(challenger, champion, BASELINES, THRESHOLDS).promoted
    decision = decide(challenger, champion, BASELINES, THRESHOLDS, GUARDS)
    assert not decision.promoted
    [reason] = decision.reasons
    assert reason.startswith("On the slice busy WAPE differs from that of the champion by +")
    assert decision.evidence["guard.busy.wape_lower"] > 0 > decision.evidence["guard.base.wape_upper"]
    assert not [name for name in decision.evidence if name.startswith("guard.empty")]


def test_a_slice_within_the_noise_refuses_nobody() -> None:
    assert decide(scored(2.0), scored(2.6, seed=3), BASELINES, THRESHOLDS, GUARDS).promoted


def test_of_equally_good_challengers_few_are_promoted() -> None:
    """Pairs that err by the same law: at most one in twenty may pass; 200 pairs to certify."""
    champion, pairs = scored(2.0, seed=1000), tries(60, 200)
    promoted = sum(
        decide(scored(2.0, seed=seed), champion, BASELINES, THRESHOLDS, GUARDS).promoted
        for seed in range(2000, 2000 + pairs)
    )
    assert promoted <= pairs // 20


def test_the_decision_repeats_and_is_json() -> None:
    first, second = (decide(scored(2.0), None, BASELINES, THRESHOLDS) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(asdict(first), allow_nan=False))["promoted"] is True


def test_the_bound_holds_the_truth_about_as_often_as_it_says() -> None:
    """Two methods of equal skill: the 95 % upper bound lies below zero in about 5 of 100 draws."""
    thresholds = Thresholds(bootstrap_samples=200)
    wrong = sum(
        compare(scored(2.0, seed=seed, series=40), scored(2.0, seed=seed + 1000, series=40), thresholds).wape_upper < 0
        for seed in range(60)
    )
    assert wrong <= 9


def test_estimates_equal_the_metrics() -> None:
    difference = compare(scored(2.0), scored(3.0, seed=8), THRESHOLDS)
    own, rival = scored(2.0), scored(3.0, seed=8)
    wapes = [100 * (rows["actual"] - rows["p50"]).abs().sum() / rows["actual"].sum() for rows in (own, rival)]
    assert difference.wape == pytest.approx(wapes[0] - wapes[1])


def test_other_rows_are_refused() -> None:
    with pytest.raises(BadFrame, match="on the same rows"):
        decide(scored(2.0), scored(2.6).head(100), BASELINES, THRESHOLDS)
    with pytest.raises(BadFrame, match="some outcomes differ"):
        decide(scored(2.0), scored(2.6).with_columns(pl.col("actual") + 1), BASELINES, THRESHOLDS)
    with pytest.raises(BadFrame, match="keys repeat"):
        decide(pl.concat([scored(2.0), scored(2.0)]), None, BASELINES, THRESHOLDS)
    with pytest.raises(BadFrame, match="at least one baseline"):
        decide(scored(2.0), None, {}, THRESHOLDS)
    with pytest.raises(BadFrame, match="at least two series"):
        decide(scored(2.0, series=1), None, {"naive": scored(2.0, series=1)}, THRESHOLDS)


def test_nothing_sold_decides_nothing() -> None:
    silent = scored(2.0).with_columns(actual=pl.lit(0.0))
    assert not decide(silent, None, {"naive": silent}, THRESHOLDS).promoted


def test_wrong_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        Thresholds(confidence=0.2)
    with pytest.raises(ValueError, match="coverage_80_from"):
        Thresholds(coverage_80_from=0.9, coverage_80_to=0.8)
