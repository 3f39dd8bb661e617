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

    Complete randomisation within each ARM (Imbens and Rubin, Causal Inference, 2015, ch. 9): of n rows k are held
    out, those with the least draws, so that each is treated with probability 1 - k / n. The whole part of share * n is
    held out; of the rest, one more or not by a draw, so that the expected share is `share` however small the stratum.

    Args:
        rows: one per CANDIDATE_KEY.
        share: 0 or more, below 1.
        seed: of the draws; a row's draw depends on the seed and its key alone.

    Raises:
        Refused: a share that is none. BadFrame: columns are missing or a key repeats.
    """
    if not 0 <= share < 1:
        raise Refused(f"hold_out_share must be 0 or more and below 1, not {share}.")
    require_columns(rows, CANDIDATE_KEY, "The chosen activities")
    require_unique(rows, CANDIDATE_KEY, "The chosen activities")
    drawn = rows.with_columns(_draw=uniforms(rows, CANDIDATE_KEY, seed, "hold-out"))
    sizes = drawn.group_by(ARM).agg(_size=pl.len(), _first=pl.col("_draw").min()).sort(ARM)
    counts = [
        math.floor(share * size + uniform(seed, "hold-out count", *key, first))
        for *key, size, first in sizes.select(*ARM, "_size", "_first").iter_rows()
    ]
    sizes = sizes.with_columns(_held=pl.Series(counts, dtype=pl.Int64)).drop("_first")
    is_held = pl.col("_draw").rank("ordinal").over(ARM) <= pl.col("_held")
    return (
        drawn.join(sizes, on=ARM, how="left")
        .with_columns(
            cell=pl.when(is_held).then(pl.lit(HOLD_OUT)).otherwise(pl.lit(TREATED)),
            propensity=1.0 - pl.col("_held") / pl.col("_size"),
        )
        .drop("_draw", "_size", "_held")
        .sort(CANDIDATE_KEY)
    )
