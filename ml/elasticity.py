"""How demand answers to its own price and to promotions, per product group, with intervals.

Belongs here: the two models, their refusals, the curves. Does not belong here: the panels (ml.elasticity_panel), the
estimator (ml.elasticity_fit), what one promotion added (that is measured with a design of its own).

Price: baskets with a product in a store's week against its price, in the tradition of store-level sales models
(Wittink et al., SCAN*PRO, 1988; van Heerde, Leeflang and Wittink, Decomposing the Sales Promotion Bump with Store Data,
Marketing Science 23, 2004): a constant elasticity, with displays and mailers beside it and effects of store and product
and of store and week. What all products of the group do in a store's week is thereby left out, season, shocks and
holidays with it, and a price is told from the others of its group: what a product takes from them is in the answer.

Promotions: baskets with the group in a store's week against the share of its products on display and in the mailer,
with effects of store and of week, so that a chain's promotion is told by the stores that differ in it and what one
product takes from another of the group is no gain. Held beside it are the group's prices, what the store sells of all
else in the week, and the promotions of the three weeks before, which have borrowed from it (van Heerde, Leeflang and
Wittink, Journal of Marketing Research 37, 2000).

Intervals are at 95 %, robust to dependence within clusters (stores and products; stores and weeks), from Student's t
with as many degrees of freedom as the smaller way of clustering has clusters less one (Cameron and Miller, Journal of
Human Resources 50, 2015), and of one response each: they are not widened for looking at many. Prices and promotions are
not set at random, so that an answer is an association within stores and weeks, not proof of a cause.

Demand that rises with its own price or falls with more promotion is not believed unless the interval says so: the
answer is then taken to be none (the constrained estimate), with the interval as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import stdtrit

from ml.elasticity_fit import Codes, NotEstimable, PoissonFit, fit_poisson, spread_left
from ml.frame_checks import WEEK

Lever = Literal["price", "display", "mailer"]
Status = Literal["estimated", "constrained", "contradicts", "refused"]
PROMOTIONS: tuple[Literal["display", "mailer"], ...] = ("display", "mailer")
# Held beside the promotions of a week.
BESIDE = ("display_before", "mailer_before", "log_price", "log_elsewhere")
# Rows, transactions, stores, weeks.
Size = tuple[int, int, int, int]
# A column of which the effects leave no more is one of theirs.
_NO_SPREAD = 1e-5
_NEVER_OFTEN = "no product was sold in enough weeks of a store"
_TOO_YOUNG = "no store has weeks enough with plans for them and for the weeks before"


@dataclass(frozen=True)
class Limits:
    """Below what nothing is said.

    Attributes:
        stores, weeks, products, transactions: least of each behind an answer; products are of a price alone.
        promoted_store_weeks: least store weeks of a group with such a promotion.
        price_spread: least standard deviation of the log price beside the effects.
        share_spread: least standard deviation of a share beside the effects, over its mean where there is any.
        confidence: of the intervals.
    """

    stores: int = 10
    weeks: int = 26
    products: int = 5
    transactions: int = 500
    promoted_store_weeks: int = 30
    price_spread: float = 0.01
    share_spread: float = 0.02
    confidence: float = 0.95


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Response:
    """The answer of a group to a lever, or why there is none.

    Attributes:
        effect: percent of demand per percent of price, or the log change of demand at a share of 1; as are its bounds.
        low, high: the levels between which nine tenths of the observations lie: price ratios, or shares where promoted.
    """

    product_group: str
    lever: Lever
    status: Status
    reason: str | None
    row_count: int
    transactions: int
    store_count: int
    week_count: int
    cluster_count: int | None
    effect: float | None = None
    effect_lower: float | None = None
    effect_upper: float | None = None
    low: float | None = None
    high: float | None = None


def price_responses(
    panel: pl.DataFrame, limits: Limits = DEFAULT_LIMITS, *, groups: Collection[str] = ()
) -> list[Response]:
    """The elasticity of each product group's products to their own price.

    Args:
        panel: of `ml.elasticity_panel.price_panel`.
        limits: below what nothing is said.
        groups: product groups to answer for; one without a row in the panel is refused.
    """
    found = [_price_response(group, part, limits) for group, part in _by_group(panel, "product_id")]
    absent = sorted(set(groups) - {response.product_group for response in found})
    return found + [_refused(group, "price", (0, 0, 0, 0), _NEVER_OFTEN) for group in absent]


def promotion_responses(
    panel: pl.DataFrame, limits: Limits = DEFAULT_LIMITS, *, groups: Collection[str] = ()
) -> list[Response]:
    """The answer of each product group to the share of its products on display and in the mailer.

    Args:
        panel: of `ml.elasticity_panel.promotion_panel`; empty where the lake plans no promotions, and then no group has
            an answer to them or a refusal.
        limits: below what nothing is said.
        groups: product groups to answer for; one without a row in the panel is refused.
    """
    found = [found for group, part in _by_group(panel) for found in _promotion_responses(group, part, limits)]
    absent = sorted(set(groups) - {response.product_group for response in found}) if found else []
    return found + [_refused(group, lever, (0, 0, 0, 0), _TOO_YOUNG) for group in absent for lever in PROMOTIONS]


def _price_response(group: str, part: pl.DataFrame, limits: Limits) -> Response:
    products = part.filter(pl.col("transactions") > 0)["product_id"].n_unique()
    size, reason = _size(part), _too_small(part, limits)
    if reason is None and products < limits.products:
        reason = f"{products} products sold often enough; {limits.products} are needed to tell prices apart"
    if reason is not None:
        return _refused(group, "price", size, reason)
    effects = [_codes(part, "store_id", "product_id"), _codes(part, "store_id", WEEK)]
    clusters = [_codes(part, "store_id"), _codes(part, "product_id")]
    try:
        model = _Model(part, ("log_price", *PROMOTIONS), effects)
        if model.spread("log_price") < limits.price_spread:
            reason = f"prices differ by less than {limits.price_spread:.0%} within a product, a store and its weeks"
            return _refused(group, "price", size, reason)
        fit = model.fit(("log_price", *PROMOTIONS), clusters)
    except NotEstimable as problem:
        return _refused(group, "price", size, str(problem))
    low, high = (float(np.exp(part["log_price"].quantile(share) or 0.0)) for share in (0.05, 0.95))
    return _answer(group, "price", fit, 0, size, limits, (low, high))


def _promotion_responses(group: str, part: pl.DataFrame, limits: Limits) -> list[Response]:
    size, small = _size(part), _too_small(part, limits)
    if small is not None:
        return [_refused(group, lever, size, small) for lever in PROMOTIONS]
    by_store_and_week = [_codes(part, "store_id"), _codes(part, WEEK)]
    try:
        model = _Model(part, (*PROMOTIONS, *BESIDE), by_store_and_week)
        refusals: dict[Lever, str | None] = {lever: _not_compared(part, model, lever, limits) for lever in PROMOTIONS}
        asked: list[Lever] = [lever for lever in PROMOTIONS if refusals[lever] is None]
        found = [_refused(group, lever, size, reason) for lever, reason in refusals.items() if reason is not None]
        if not asked:
            return found
        # A promotion that is too rare to be told is still no part of the others' answer.
        fit = model.fit((*asked, *(lever for lever in PROMOTIONS if lever not in asked), *BESIDE), by_store_and_week)
    except NotEstimable as problem:
        return [_refused(group, lever, size, str(problem)) for lever in PROMOTIONS]
    for place, lever in enumerate(asked):
        span = (0.0, float(part.filter(pl.col(lever) > 0)[lever].quantile(0.95) or 0.0))
        found.append(_answer(group, lever, fit, place, size, limits, span))
    return found


class _Model:
    """The rows of a group as a fit takes them, and how much of each column its effects leave."""

    def __init__(self, part: pl.DataFrame, columns: Sequence[str], effects: Sequence[Codes]) -> None:
        self._part, self._effects = part, effects
        self._outcome = part["transactions"].to_numpy()
        left = spread_left(self._outcome, part.select(columns).to_numpy(), effects)
        self._spreads = dict(zip(columns, left.tolist(), strict=True))

    def spread(self, column: str) -> float:
        return self._spreads[column]

    def fit(self, columns: Sequence[str], clusters: Sequence[Codes]) -> PoissonFit:
        """The fit of the columns that vary; a column that does not is told by the effects alone."""
        varying = [column for column in columns if self._spreads[column] > _NO_SPREAD]
        return fit_poisson(self._outcome, self._part.select(varying).to_numpy(), self._effects, clusters)


def _not_compared(part: pl.DataFrame, model: _Model, lever: Lever, limits: Limits) -> str | None:
    """Why a promotion of a group cannot be told from its absence."""
    promoted = part.filter(pl.col(lever) > 0)
    if promoted.height < limits.promoted_store_weeks:
        return f"promoted in {promoted.height} weeks of stores; {limits.promoted_store_weeks} are needed"
    if model.spread(lever) < limits.share_spread * promoted.select(pl.col(lever).mean()).item():
        return "planned alike in all stores of a week: there is nothing to compare it with"
    return None


def _answer(
    group: str, lever: Lever, fit: PoissonFit, place: int, size: Size, limits: Limits,
    span: tuple[float, float],
) -> Response:  # fmt: skip
    effect, spread = float(fit.coefficients[place]), float(fit.errors[place])
    reach = float(stdtrit(max(fit.clusters - 1, 1), 0.5 + limits.confidence / 2)) * spread
    answer = Response(
        group, lever, "estimated", None, *size, fit.clusters, effect, effect - reach, effect + reach, *span
    )
    if effect * (-1.0 if lever == "price" else 1.0) >= 0:
        return answer
    found = "rises with its own price" if lever == "price" else f"falls with promotion ({lever})"
    if abs(effect) > reach:
        reason = f"demand {found}, and surely so in these data: a sign of what is left out, not a lever"
        return replace(answer, status="contradicts", reason=reason)
    reason = f"demand {found} in these data, but not surely: taken to be no answer"
    return replace(answer, status="constrained", reason=reason, effect=0.0)


def _refused(group: str, lever: Lever, size: Size, reason: str) -> Response:
    return Response(group, lever, "refused", reason, *size, None)


def _size(part: pl.DataFrame) -> Size:
    """Rows, transactions, and stores and weeks with any."""
    sold = part.filter(pl.col("transactions") > 0)
    return part.height, int(part["transactions"].sum()), sold["store_id"].n_unique(), sold[WEEK].n_unique()


def _too_small(part: pl.DataFrame, limits: Limits) -> str | None:
    _, transactions, stores, weeks = _size(part)
    least = (
        (stores, limits.stores, "stores"),
        (weeks, limits.weeks, "weeks"),
        (transactions, limits.transactions, "transactions"),
    )
    short = [f"{found} {name} of the {wanted} needed" for found, wanted, name in least if found < wanted]
    return f"too small a sample: {', '.join(short)}" if short else None


def _by_group(panel: pl.DataFrame, *further: str) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each group, in an order that is always the same."""
    ordered = panel.sort("product_group", "store_id", *further, WEEK)
    return [(str(group), part) for (group,), part in ordered.partition_by("product_group", as_dict=True).items()]


def _codes(rows: pl.DataFrame, *key: str) -> Codes:
    return rows.select(pl.struct(key).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
