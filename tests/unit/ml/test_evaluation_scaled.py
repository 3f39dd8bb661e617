"""Classes of volume and scaled errors, against loops and the single-series metrics; a later week changes nothing."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml.evaluation_points import NotMeasurable, rmsse, wrmsse
from ml.evaluation_scaled import past_facts, scaled_metrics
from ml.frame_checks import BadFrame

WEEKS = [date(2024, 1, 1) + timedelta(weeks=number) for number in range(14)]
SERIES = [(f"s{number}", "tea") for number in range(9)]
History = dict[tuple[str, str], list[tuple[date, float | None]]]


@pytest.fixture(scope="module")
def histories() -> History:
    """Sparse counts; some series start late, one never sells, one is constant, one misses a week, week 0 is partial."""
    random = np.random.default_rng(11)
    found: History = {}
    for number, key in enumerate(SERIES):
        counts: list[float | None] = [float(value) for value in random.poisson(0.3 + number, size=len(WEEKS))]
        counts[0] = None
        if number == 0:
            counts[1:] = [0.0] * (len(WEEKS) - 1)
        if number == 1:
            counts[1:] = [4.0] * (len(WEEKS) - 1)
        weeks = list(zip(WEEKS, counts, strict=True))
        found[key] = [pair for pair in weeks if not (number == 4 and pair[0] == WEEKS[6])]
    return found


@pytest.fixture(scope="module")
def features(histories: History) -> pl.DataFrame:
    rows = []
    for number, ((store, group), weeks) in enumerate(histories.items()):
        for place, (week, value) in enumerate(weeks):
            known = [old for _, old in weeks[: place + 1] if old is not None]
            mean = sum(known) / len(known) if known else None
            sales = None if mean is None else (number - 2) * 1.5 * mean
            rows += [(store, group, week, horizon, value, mean, sales, sales) for horizon in (1, 2)]
    names = (
        "transactions_lag_0",
        "transactions_expanding_mean",
        "net_sales_usd_mean_8",
        "net_sales_usd_expanding_mean",
    )
    columns = ["store_id", "product_group", "week_start_date", "horizon_weeks", *names]
    return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)


def loop_scale(history: list[tuple[date, float | None]], cutoff: date) -> float | None:
    """Mean squared difference of consecutive weeks since the first sale up to the cutoff; None where it is 0."""
    squares, sold, before = [], False, None
    for week, value in history:
        if week > cutoff or value is None:
            continue
        sold = sold or value != 0
        if sold and before is not None and before[0] == week - timedelta(weeks=1):
            squares.append((value - before[1]) ** 2)
        before = (week, value) if sold else None
    return sum(squares) / len(squares) if squares and sum(squares) > 0 else None


def test_past_facts_equal_loops(features: pl.DataFrame, histories: History) -> None:
    found = past_facts(features, "transactions")
    assert found.height == sum(len(weeks) for weeks in histories.values())
    means = {
        row[:3]: row[3]
        for row in features.select("store_id", "product_group", "week_start_date", "transactions_expanding_mean").rows()
    }
    classes: set[str] = set()
    for store, group, week, volume, scale, sales in found.iter_rows():
        wanted = loop_scale(histories[store, group], week)
        assert scale == (None if wanted is None else pytest.approx(wanted))
        others = [mean for key, mean in means.items() if key[2] == week and mean is not None]
        mine = means[store, group, week]
        if mine is None:
            assert (volume, sales) == (None, None)
            continue
        below = sum(other < mine for other in others)
        assert volume == ("thin" if 3 * below < len(others) else "middle" if 3 * below < 2 * len(others) else "busy")
        classes.add(volume)
    assert classes == {"thin", "middle", "busy"}


def test_no_later_week_changes_what_was_known(features: pl.DataFrame) -> None:
    cutoff = WEEKS[9]
    known = pl.col("week_start_date") <= cutoff
    bent = features.with_columns(
        pl.when(known).then(pl.col(name)).otherwise(pl.col(name) * 31 + 5).alias(name) for name in features.columns[4:]
    )
    assert past_facts(bent, "transactions").filter(known).equals(past_facts(features, "transactions").filter(known))
    assert not past_facts(bent, "transactions").equals(past_facts(features, "transactions"))


def test_order_of_rows_does_not_matter(features: pl.DataFrame) -> None:
    shuffled = features.sample(fraction=1.0, shuffle=True, seed=4)
    assert past_facts(shuffled, "transactions").equals(past_facts(features, "transactions"))


def test_scaled_metrics_equal_the_metrics_of_single_series(features: pl.DataFrame, histories: History) -> None:
    cutoff = WEEKS[10]
    past = past_facts(features, "transactions").filter(pl.col("week_start_date") == cutoff)
    random = np.random.default_rng(12)
    rows = past.join(pl.DataFrame({"horizon_weeks": [1, 2, 3]}), how="cross").with_columns(
        actual=pl.Series(random.poisson(4.0, size=3 * past.height).astype(float)),
        p50=pl.Series(random.gamma(2.0, 2.0, size=3 * past.height)),
        method=pl.lit("m"),
    )
    scores, weights = {}, {}
    for (store, group), mine in rows.group_by("store_id", "product_group"):
        # The series that misses a week is left to the loop above: an array has no calendar.
        history = [value for week, value in histories[str(store), str(group)] if week <= cutoff and value is not None]
        if store == "s4":
            continue
        try:
            scores[str(store)] = rmsse(history, mine["actual"].to_numpy(), mine["p50"].to_numpy())
        except NotMeasurable:
            continue
        weights[str(store)] = max(0.0, mine["recent_sales_usd"][0])
    assert len(scores) == len(SERIES) - 3
    found = scaled_metrics(rows.filter(pl.col("store_id") != "s4"), ["method"]).row(0, named=True)
    assert found["rmsse"] == pytest.approx(sum(scores.values()) / len(scores))
    assert found["wrmsse"] == pytest.approx(wrmsse(scores, weights))


def test_without_a_scale_or_a_sale_there_is_no_number(features: pl.DataFrame) -> None:
    past = past_facts(features, "transactions").filter(pl.col("week_start_date") == WEEKS[-1])
    rows = past.with_columns(actual=pl.lit(1.0), p50=pl.lit(2.0), method=pl.lit("m"))
    unscaled = scaled_metrics(rows.filter(pl.col("naive_squared_error").is_null()), ["method"]).row(0, named=True)
    assert (unscaled["rmsse"], unscaled["wrmsse"]) == (None, None)
    unsold = scaled_metrics(rows.with_columns(recent_sales_usd=pl.lit(-1.0)), ["method"]).row(0, named=True)
    assert unsold["rmsse"] is not None
    assert unsold["wrmsse"] is None


def test_missing_columns_are_named(features: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="net_sales_usd_mean_8"):
        past_facts(features.drop("net_sales_usd_mean_8"), "transactions")
