"""What a feature is: its declaration, and the version of a set of declarations.

Belongs here: the words in which features are declared. Does not belong here: the demand features (ml.features), how
they are computed (ml.panels, ml.kernels).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import polars as pl

Kernel = Literal[
    "lag",
    "mean",
    "std",
    "max",
    "weighted_mean",
    "exponential_smoothing",
    "expanding_mean",
    "mean_change",
    "quotient",
    "quotient_change",
    "weeks_since_positive",
    "age",
    "target",
    "target_less_mean",
    "calendar",
    "key",
]
Availability = Literal["past", "known_future", "static"]
Dtype = Literal["DOUBLE", "BIGINT", "INT", "STRING"]
POLARS_DTYPES: dict[Dtype, pl.DataType] = {
    "DOUBLE": pl.Float64(),
    "BIGINT": pl.Int64(),
    "INT": pl.Int32(),
    "STRING": pl.String(),
}


@dataclass(frozen=True)
class Feature:
    """One input column of a model.

    Attributes:
        name: the column.
        source: a column of the series, `a/b` for a quotient, or `store.`, `group.`, `all.` (sums over a
            pool of series), `plans.` (promotion plans), `cutoff.` or `target.` (calendar of that week).
        kernel: what is done with it; see ml.kernels and ml.panels.evaluate.
        window: window or lag in weeks; two numbers compare a short with a long window.
        availability: `past` uses weeks up to the cutoff, `known_future` is planned ahead for the target
            week and known at the cutoff, `static` belongs to the series or the question.
        dtype: Spark SQL type. STRING columns are categorical.
        description: what the value means, with its unit.
    """

    name: str
    source: str
    kernel: Kernel
    window: tuple[int, ...]
    availability: Availability
    dtype: Dtype
    description: str


def from_past(name: str, source: str, kernel: Kernel, window: tuple[int, ...], description: str) -> Feature:
    """A value of weeks up to the cutoff."""
    return Feature(name, source, kernel, window, "past", "DOUBLE", description)


def from_plans(name: str, source: str, kernel: Kernel, window: tuple[int, ...], description: str) -> Feature:
    """A value that is planned ahead and known at the cutoff."""
    return Feature(name, source, kernel, window, "known_future", "DOUBLE", description)


def from_calendar(name: str, source: str, dtype: Dtype, description: str) -> Feature:
    """A fact of the cutoff's or the target week's place in the calendar."""
    return Feature(name, source, "calendar", (), "known_future", dtype, description)


def static_key(name: str, dtype: Dtype, description: str) -> Feature:
    """A part of the key, as an input."""
    return Feature(name, name, "key", (), "static", dtype, description)


def set_version(name: str, features: Sequence[Feature]) -> str:
    """The name of a feature set with a digest of what its declarations mean, as `demand-1f0c9a7b33de`.

    A change of source, kernel, window, availability, type or order is another set; a reworded description is not.
    """
    meanings = [{k: v for k, v in asdict(feature).items() if k != "description"} for feature in features]
    return f"{name}-{hashlib.sha256(json.dumps(meanings, sort_keys=True).encode()).hexdigest()[:12]}"
