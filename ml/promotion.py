"""The gate: whether a challenger becomes champion.

Belongs here: a decision from scored rows and thresholds, with its reasons and evidence. Does not belong here: who is
champion and where that is recorded.

Methods are compared on the same rows. Rows of one series err together, so the uncertainty of a difference comes from a
block bootstrap that draws whole series (Kuensch, Annals of Statistics 17, 1989), the same draw for both methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.backtest import CUTOFF
from ml.evaluation import VALUE_COLUMNS, absolute_error, metrics, row_pinball
from ml.features import HORIZON
from ml.frame_checks import SERIES_KEY, BadFrame, require_columns, require_unique

ROW_KEY: tuple[str, ...] = (CUTOFF, *SERIES_KEY, HORIZON)
_PERCENT = 100.0
_LEAST_SERIES = 2
_EVEN_ODDS = 0.5
_NO_GUARDS: Mapping[str, pl.Expr] = MappingProxyType({})


@dataclass(frozen=True)
class Thresholds:
    """What a challenger has to reach. Data, so that a decision can be repeated.

    Attributes:
        confidence: one-sided confidence with which each difference must be below zero.
        min_gain_wape: the least gain over the champion, in points of WAPE.
        coverage_80_from, coverage_80_to: range of the coverage of [p10, p90].
        max_abs_bias: largest absolute bias of p50, in percent.
        bootstrap_samples, seed: of the block bootstrap.
    """

    confidence: float = 0.95
    min_gain_wape: float = 0.0
    coverage_80_from: float = 0.75
    coverage_80_to: float = 0.90
    max_abs_bias: float = 20.0
    bootstrap_samples: int = 1000
    seed: int = 20171204

    def __post_init__(self) -> None:
        if not _EVEN_ODDS < self.confidence < 1 or self.bootstrap_samples < 1 or self.min_gain_wape < 0:
            raise ValueError("confidence must lie between 0.5 and 1, bootstrap_samples >= 1, min_gain_wape >= 0.")
        if not 0 <= self.coverage_80_from < self.coverage_80_to <= 1:
            raise ValueError("coverage_80_from must be below coverage_80_to, both between 0 and 1.")


@dataclass(frozen=True)
class Decision:
    """The outcome of the gate: reasons for it in sentences, and the numbers behind them."""

    promoted: bool
    reasons: tuple[str, ...]
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Challenger less rival with one-sided bounds: points of WAPE, percent of the rival's pinball loss."""

    wape: float
    wape_lower: float
    wape_upper: float
    pinball: float
    pinball_upper: float


def decide(
    challenger: pl.DataFrame,
    champion: pl.DataFrame | None,
    baselines: Mapping[str, pl.DataFrame],
    thresholds: Thresholds,
    guards: Mapping[str, pl.Expr] = _NO_GUARDS,
) -> Decision:
    """Promote the challenger, or keep what is.

    It must be surely better than every baseline in WAPE and in pinball loss, be surely better than the champion in WAPE
    by the least gain, not worse in pinball and not surely worse in WAPE on any guarded slice, and keep coverage and
    bias in range. A tie promotes nobody.

    Args:
        challenger: scored rows (ml.backtest.SCORED_COLUMNS or those of ROW_KEY with the values) of one method.
        champion: scored rows of the champion, None when there is none.
        baselines: scored rows per baseline; at least one.
        thresholds: what counts as better.
        guards: name of a guarded slice to the condition of its rows; one with fewer than two series guards nothing.

    Returns:
        The decision. reasons: what speaks against promotion when there is anything, else what speaks for it.

    Raises:
        BadFrame: the rows of two methods do not have the same keys and outcomes, or there are fewer than two series.
    """
    if not baselines:
        raise BadFrame("The gate needs at least one baseline to compare with.")
    own = metrics(_checked(challenger, "challenger")).row(0, named=True)
    if own["wape"] is None:
        return Decision(promoted=False, reasons=("The outcomes add up to zero: nothing can be judged.",))
    evidence = {f"challenger.{name}": float(value) for name, value in own.items()}
    objections, merits = _range_checks(own, thresholds)
    rivals = dict(baselines) if champion is None else {**baselines, "champion": champion}
    for name, rows in sorted(rivals.items()):
        difference = compare(challenger, rows, thresholds)
        evidence |= {f"versus_{name}.{key}": value for key, value in vars(difference).items()}
        verdicts = _against_champion(difference, thresholds) if name == "champion" else _against(name, difference)
        for is_met, sentence in verdicts:
            (merits if is_met else objections).append(sentence)
    if champion is not None:
        losses = _slice_differences(challenger, champion, thresholds, guards)
        evidence |= {f"guard.{name}.{key}": value for name, loss in losses.items() for key, value in vars(loss).items()}
        objections += [_slice_sentence(name, loss) for name, loss in losses.items() if loss.wape_lower > 0]
    return Decision(not objections, tuple(objections or merits), evidence)


def compare(challenger: pl.DataFrame, rival: pl.DataFrame, thresholds: Thresholds) -> Difference:
    """Paired differences on the same rows, with upper bounds from the block bootstrap over series.

    Raises:
        BadFrame: the rows do not have the same keys and outcomes, or there are fewer than two series.
    """
    sums = _series_sums(challenger, rival)
    if sums.height < _LEAST_SERIES:
        raise BadFrame("A comparison needs at least two series.")
    matrix = sums.select("actual", "error", "rival_error", "pinball", "rival_pinball").to_numpy()
    draws = np.random.default_rng(thresholds.seed).multinomial(
        sums.height, np.full(sums.height, 1.0 / sums.height), size=thresholds.bootstrap_samples
    )
    wape, pinball = _differences(matrix.sum(axis=0)[np.newaxis, :])
    wapes, pinballs = _differences(draws.astype(np.float64) @ matrix)
    upper = [float(np.nanquantile(values, thresholds.confidence)) for values in (wapes, pinballs)]
    lower = float(np.nanquantile(wapes, 1 - thresholds.confidence))
    return Difference(float(wape[0]), lower, upper[0], float(pinball[0]), upper[1])


def _slice_differences(
    challenger: pl.DataFrame, champion: pl.DataFrame, thresholds: Thresholds, guards: Mapping[str, pl.Expr]
) -> dict[str, Difference]:
    """The differences of the guarded slices that have series enough and sold anything; a row's slice is its own."""
    found = {}
    for name, condition in guards.items():
        own = challenger.filter(condition)
        if own.select(SERIES_KEY).n_unique() >= _LEAST_SERIES and own["actual"].sum() > 0:
            found[name] = compare(own, champion.join(own.select(ROW_KEY), on=ROW_KEY, how="semi"), thresholds)
    return found


def _differences(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences of WAPE (points) and pinball (percent of the rival's) from sums of shape (n_draws, 5)."""
    actual, error, rival_error, pinball, rival_pinball = sums.T
    wape = np.divide(_PERCENT * (error - rival_error), actual, out=np.full(len(sums), np.nan), where=actual > 0)
    # A rival without any loss cannot be beaten: the difference is zero or worse.
    share = np.divide(pinball - rival_pinball, rival_pinball, out=pinball.copy(), where=rival_pinball > 0)
    return wape, _PERCENT * share


def _series_sums(challenger: pl.DataFrame, rival: pl.DataFrame) -> pl.DataFrame:
    losses = [absolute_error().alias("error"), row_pinball().alias("pinball")]
    left = _checked(challenger, "challenger").select(*ROW_KEY, "actual", *losses)
    right = _checked(rival, "rival").select(*ROW_KEY, "actual", *losses)
    right = right.rename({name: f"rival_{name}" for name in ("actual", "error", "pinball")})
    both = left.join(right, on=ROW_KEY, how="inner")
    is_same_outcome = both.select((pl.col("actual") == pl.col("rival_actual")).all()).item()
    if both.height != left.height or both.height != right.height or not is_same_outcome:
        raise BadFrame(
            f"Methods must be compared on the same rows: {left.height} and {right.height} rows share {both.height} keys"
            + ("." if is_same_outcome else ", and some outcomes differ.")
        )
    ordered = both.sort(ROW_KEY).group_by(SERIES_KEY, maintain_order=True)
    return ordered.agg(pl.col("actual", "error", "rival_error", "pinball", "rival_pinball").sum())


def _checked(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    require_columns(rows, (*ROW_KEY, *VALUE_COLUMNS), f"scored rows of the {name}")
    require_unique(rows, ROW_KEY, f"scored rows of the {name}")
    return rows


def _range_checks(own: Mapping[str, float], thresholds: Thresholds) -> tuple[list[str], list[str]]:
    objections: list[str] = []
    merits: list[str] = []
    is_covered = thresholds.coverage_80_from <= own["coverage_80"] <= thresholds.coverage_80_to
    (merits if is_covered else objections).append(
        f"[p10, p90] holds {own['coverage_80']:.1%} of outcomes; "
        f"the range is {thresholds.coverage_80_from:.1%} to {thresholds.coverage_80_to:.1%}."
    )
    is_centred = abs(own["bias"]) <= thresholds.max_abs_bias
    (merits if is_centred else objections).append(
        f"The bias of p50 is {own['bias']:+.1f} %; the limit is {thresholds.max_abs_bias:.1f} % either way."
    )
    return objections, merits


def _against(name: str, difference: Difference) -> list[tuple[bool, str]]:
    return [
        (difference.wape_upper < 0, _sentence("WAPE", "points", name, difference.wape, difference.wape_upper, 0.0)),
        (
            difference.pinball_upper < 0,
            _sentence("Pinball loss", "%", name, difference.pinball, difference.pinball_upper, 0.0),
        ),
    ]


def _against_champion(difference: Difference, thresholds: Thresholds) -> list[tuple[bool, str]]:
    limit = -thresholds.min_gain_wape
    return [
        (
            difference.wape_upper < limit,
            _sentence("WAPE", "points", "the champion", difference.wape, difference.wape_upper, limit),
        ),
        (
            difference.pinball <= 0,
            f"Pinball loss differs from the champion's by {difference.pinball:+.2f} %; it must not be higher.",
        ),
    ]


def _slice_sentence(name: str, loss: Difference) -> str:
    return (
        f"On the slice {name} WAPE differs from that of the champion by {loss.wape:+.2f} points (lower bound "
        f"{loss.wape_lower:+.2f}); it must not be surely higher there."
    )


def _sentence(metric: str, unit: str, rival: str, estimate: float, upper: float, limit: float) -> str:
    return (
        f"{metric} differs from that of {rival} by {estimate:+.2f} {unit} (upper bound {upper:+.2f}); "
        f"the bound must be below {limit:+.2f}."
    )
