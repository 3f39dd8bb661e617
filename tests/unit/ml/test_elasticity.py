"""Responses: what was planted is found, what data cannot tell is refused in words, and curves keep to what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from math import exp

import numpy as np
import polars as pl
import pytest

from benchmarks.elasticity import panels, planted
from benchmarks.market import MarketSettings
from benchmarks.market_tables import make_market
from ml.elasticity import Limits, Response, price_responses, promotion_responses
from ml.response_curves import CURVE_SCHEMA, response_curves

MARKET = MarketSettings(stores=40, groups=3, weeks=52)


def test_planted_elasticities_are_recovered() -> None:
    """Products differ, two price zones, promotions where more is sold anyway, pull-forward, cannibalisation."""
    misses, held = [], []
    for seed in range(4):
        market = make_market(MARKET, seed)
        truth = planted(market)
        for found in price_responses(panels(market)[0]):
            assert found.effect is not None
            assert found.effect_lower is not None
            assert found.effect_upper is not None
            misses.append(found.effect / truth[found.product_group] - 1)
            held.append(found.effect_lower <= truth[found.product_group] <= found.effect_upper)
    assert abs(np.mean(misses)) < 0.05
    assert np.mean(np.abs(misses) <= 0.15) >= 0.8
    assert np.mean(held) >= 0.85


def test_one_elasticity_for_all_products_is_found_in_every_group() -> None:
    same = replace(MARKET, elasticity=(-2.0, -2.0))
    for found in price_responses(panels(make_market(same, 0))[0]):
        assert found.effect == pytest.approx(-2.0, rel=0.15)


def test_no_effect_is_not_found() -> None:
    market = make_market(replace(MARKET, has_effect=False, regular_price_steps=0.0), 2)
    prices, promotions = panels(market)
    for found in (*price_responses(prices), *promotion_responses(promotions)):
        if found.status != "refused":
            assert found.effect_lower is not None
            assert found.effect_upper is not None
            assert found.effect_lower <= 0 <= found.effect_upper or found.status == "contradicts"


WEEKS = [date(2017, 1, 2) + timedelta(weeks=number) for number in range(30)]


def panel(answer: float, seed: int = 0, products: int = 6, stores: int = 12, spread: float = 0.15) -> pl.DataFrame:
    """A price panel of one group whose demand answers to the price by `answer`."""
    dice = np.random.default_rng(seed)
    rows = [(str(s), str(p), "TEA", week) for s in range(stores) for p in range(products) for week in WEEKS]
    columns = ["store_id", "product_id", "product_group", "week_start_date"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    price = dice.normal(0, spread, frame.height)
    return frame.with_columns(
        log_price=pl.Series(price),
        transactions=pl.Series(dice.poisson(np.exp(1.0 + answer * price)).astype(np.float64)),
        display=pl.lit(0.0),
        mailer=pl.lit(0.0),
    )


def promoted(answer: float, share: np.ndarray, seed: int = 0, stores: int = 12) -> pl.DataFrame:
    """A promotion panel of one group; `share` on display is by store and week."""
    dice = np.random.default_rng(seed)
    rows = [(str(s), "TEA", week) for s in range(stores) for week in WEEKS]
    frame = pl.DataFrame(rows, schema=["store_id", "product_group", "week_start_date"], orient="row")
    shown = np.broadcast_to(share, (stores, len(WEEKS))).ravel()
    return frame.with_columns(
        transactions=pl.Series(dice.poisson(np.exp(2.5 + answer * shown)).astype(np.float64)),
        display=pl.Series(shown),
        mailer=pl.lit(0.0),
        display_before=pl.lit(0.0),
        mailer_before=pl.lit(0.0),
        log_price=pl.lit(0.0),
        log_elsewhere=pl.lit(0.0),
    )


def some_stores(seed: int = 1) -> np.ndarray:
    dice = np.random.default_rng(seed)
    return np.where(dice.random((12, len(WEEKS))) < 0.3, dice.uniform(0.1, 0.5, (12, len(WEEKS))), 0.0)


def only(found: list[Response], lever: str) -> Response:
    return next(one for one in found if one.lever == lever)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_share_on_display_adds_is_found(seed: int) -> None:
    found = only(promotion_responses(promoted(0.8, some_stores(), seed)), "display")
    assert found.effect_lower is not None
    assert found.effect_upper is not None
    assert found.effect_lower < 0.8 < found.effect_upper
    assert found.effect_upper - found.effect_lower < 0.8


def test_a_law_of_economics_yields_only_to_sure_data() -> None:
    unsure = price_responses(panel(0.0, seed=7))[0]
    assert (unsure.status, unsure.effect) == ("constrained", 0.0)
    assert unsure.effect_lower is not None
    assert unsure.effect_upper is not None
    assert unsure.effect_lower < 0 < unsure.effect_upper
    assert "not surely" in (unsure.reason or "")
    sure = price_responses(panel(1.5))[0]
    assert sure.status == "contradicts"
    assert sure.effect == pytest.approx(1.5, rel=0.15)
    assert "rises with its own price, and surely so" in (sure.reason or "")
    display = only(promotion_responses(promoted(-0.9, some_stores())), "display")
    assert display.status == "contradicts"
    assert "falls with promotion (display)" in (display.reason or "")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (panel(-2.0, spread=0.001), "prices differ by less than 1%"),
        (panel(-2.0, products=3), "3 products sold often enough; 5 are needed"),
        (panel(-2.0, stores=4), "4 stores of the 10 needed"),
        (panel(-2.0).filter(pl.col("week_start_date") < WEEKS[8]), "8 weeks of the 26 needed"),
        (panel(-2.0).with_columns(pl.col("transactions") * 0), "0 stores of the 10 needed, 0 weeks"),
    ],
)
def test_a_price_that_cannot_be_told_is_refused(rows: pl.DataFrame, words: str) -> None:
    (found,) = price_responses(rows)
    assert found.status == "refused"
    assert words in (found.reason or "")
    assert found.effect is found.effect_lower is found.effect_upper is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (promoted(0.5, np.where(np.arange(30) % 4 == 0, 0.3, 0.0)), "planned alike in all stores"),
        (promoted(0.5, np.where(np.arange(30) == 4, some_stores(), 0.0)), "weeks of stores; 30 are needed"),
        (promoted(0.5, np.full(30, 0.4)), "planned alike in all stores"),
        (promoted(0.5, some_stores(), stores=12).filter(pl.col("store_id") < "12").head(90), "too small a sample"),
        (
            promoted(0.5, some_stores()).with_columns(mailer=pl.col("display")),
            "move together",
        ),
    ],
)
def test_a_promotion_that_cannot_be_compared_is_refused(rows: pl.DataFrame, words: str) -> None:
    found = only(promotion_responses(rows), "display")
    assert found.status == "refused"
    assert words in (found.reason or "")


def test_every_group_that_is_asked_for_has_an_answer_or_a_reason() -> None:
    nothing = panel(-2.0).clear()
    (found,) = price_responses(nothing, groups=["RARE"])
    assert (found.product_group, found.status) == ("RARE", "refused")
    assert "no product was sold in enough weeks" in (found.reason or "")
    beside = promotion_responses(promoted(0.8, some_stores()), groups=["TEA", "NEW"])
    assert [(one.product_group, one.lever, one.status) for one in beside][-2:] == [
        ("NEW", "display", "refused"),
        ("NEW", "mailer", "refused"),
    ]
    # A lake that plans no promotions is not asked about them.
    assert promotion_responses(promoted(0.8, some_stores()).clear(), groups=["TEA"]) == []


def test_a_curve_is_the_answer_at_the_levels_that_were_seen() -> None:
    priced, shown = price_responses(panel(-2.0))[0], only(promotion_responses(promoted(0.8, some_stores())), "display")
    refused = price_responses(panel(-2.0, products=3))[0]
    curves = response_curves([priced, shown, replace(refused, product_group="COFFEE")])
    assert dict(curves.schema) == CURVE_SCHEMA
    assert curves.filter(pl.col("status") == "refused").select("level", "demand_index", "lower", "upper").rows() == [
        (1.0, 1.0, 1.0, 1.0)
    ]
    for found, lever in ((priced, "price"), (shown, "display")):
        own = curves.filter(pl.col("lever") == lever, pl.col("product_group") == "TEA")
        assert own["level"].min() == pytest.approx(min(found.low or 0.0, 1.0))
        assert own["level"].max() == pytest.approx(found.high)
        usual = own.filter(pl.col("level") == (1.0 if lever == "price" else 0.0))
        assert usual.select("demand_index", "lower", "upper").rows() == [(1.0, 1.0, 1.0)]
        for level, index, lower, upper in own.select("level", "demand_index", "lower", "upper").iter_rows():
            answers = [float(effect or 0.0) for effect in (found.effect, found.effect_lower, found.effect_upper)]
            wanted = [level**answer if lever == "price" else exp(level * answer) for answer in answers]
            assert (index, lower, upper) == pytest.approx((wanted[0], *sorted(wanted[1:])))
        assert own["demand_index"].is_sorted(descending=lever == "price")


def test_a_greater_confidence_is_a_wider_interval() -> None:
    rows = panel(-2.0)
    wide, narrow = price_responses(rows, Limits(confidence=0.99))[0], price_responses(rows, Limits(confidence=0.8))[0]
    assert wide.effect == narrow.effect
    assert (wide.effect_upper or 0.0) > (narrow.effect_upper or 0.0)
