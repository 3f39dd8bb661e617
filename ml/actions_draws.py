"""Randomness that can be repeated: the same seed and key draw the same number on every machine, whatever else is drawn.

Belongs here: draws named by what they decide on, and the hold-out that they choose. Does not belong here: what is drawn
for (actions, actions_candidates).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import polars as pl

from ml.actions_limits import Refused
from ml.actions_optimizer import ARM, CANDIDATE_KEY
from ml.frame_checks import require_columns, require_unique

TREATED, HOLD_OUT = "treated", "hold_out"
# Within which a hold-out is drawn: the rows of one have the same propensity.
STRATUM: tuple[str, ...] = (*ARM, "is_exploration")
# Of what is tried to learn of it: two sides of a size tell most (Cochran, Sampling Techniques, 1977, ch. 5).
EXPLORATION_HOLD_OUT = 0.5
_STEPS = 2**53


def uniform(seed: int, purpose: str, *key: object) -> float:
    """A number above 0 and below 1 from SHA-256 of seed, purpose and key; as good as independent between keys."""
    digest = hashlib.sha256("\x00".join(map(str, (seed, purpose, *key))).encode()).digest()
    return ((int.from_bytes(digest[:8], "big") >> 11) + 0.5) / _STEPS


def uniforms(rows: pl.DataFrame, columns: Sequence[str], seed: int, purpose: str) -> pl.Series:
    """One such number for each row, named by its values in `columns`."""
    return pl.Series([uniform(seed, purpose, *key) for key in rows.select(columns).iter_rows()], dtype=pl.Float64)


def normals(rows: pl.DataFrame, columns: Sequence[str], seed: int, purpose: str) -> pl.Series:
    """One draw of the standard normal distribution for each row, the same for rows of equal values in `columns`."""
    keys: Iterable[tuple[object, ...]] = rows.select(columns).iter_rows()
    return pl.Series([NormalDist().inv_cdf(uniform(seed, purpose, *key)) for key in keys], dtype=pl.Float64)


def held_out(rows: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The rows with `cell` (treated or hold_out) and `propensity`, the probability with which each was to be treated.

    Complete randomisation within each STRATUM (Imbens and Rubin, Causal Inference, 2015, ch. 9): of n rows k are held
    out, those with the least draws, so that each is treated with probability 1 - k / n. The whole part of share * n is
    held out; of the rest, one more or not by a draw, so that the expected share is `share` however small the stratum.

    Args:
        rows: one per CANDIDATE_KEY, with is_exploration.
        share: 0 or more, below 1; of exploring rows EXPLORATION_HOLD_OUT where that is more, none where it is 0.
        seed: of the draws; a row's draw depends on the seed and its key alone.

    Raises:
        Refused: a share that is none. BadFrame: columns are missing or a key repeats.
    """
    if not 0 <= share < 1:
        raise Refused(f"hold_out_share must be 0 or more and below 1, not {share}.")
    require_columns(rows, (*CANDIDATE_KEY, "is_exploration"), "The chosen activities")
    require_unique(rows, CANDIDATE_KEY, "The chosen activities")
    drawn = rows.with_columns(_draw=uniforms(rows, CANDIDATE_KEY, seed, "hold-out"))
    shares = {False: share, True: max(share, EXPLORATION_HOLD_OUT) if share else 0.0}
    sizes = drawn.group_by(STRATUM).agg(_size=pl.len(), _first=pl.col("_draw").min()).sort(STRATUM)
    counts = [
        math.floor(shares[explores] * size + uniform(seed, "hold-out count", *arm, explores, first))
        for *arm, explores, size, first in sizes.select(*STRATUM, "_size", "_first").iter_rows()
    ]
    sizes = sizes.with_columns(_held=pl.Series(counts, dtype=pl.Int64)).drop("_first")
    is_held = pl.col("_draw").rank("ordinal").over(STRATUM) <= pl.col("_held")
    return (
        drawn.join(sizes, on=STRATUM, how="left")
        .with_columns(
            cell=pl.when(is_held).then(pl.lit(HOLD_OUT)).otherwise(pl.lit(TREATED)),
            propensity=1.0 - pl.col("_held") / pl.col("_size"),
        )
        .drop("_draw", "_size", "_held")
        .sort(CANDIDATE_KEY)
    )
