"""Histograms of columns on bins that were fixed once, so that counts of any rows can be added up.

Belongs here: bins from reference rows, and counts of rows in them by group. Does not belong here: distances between
histograms (ml.drift).

Bins with edges of their own cannot be merged; here the edges are those of the reference, whatever is counted later.
Values beyond its range fall into the outer bins, whose means show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.frame_checks import BadFrame, require_columns

SUBJECT, BIN, UPPER, CATEGORY = "subject", "bin", "upper", "category"
MISSING = 0
HISTOGRAM_SCHEMA: Mapping[str, pl.DataType] = {
    SUBJECT: pl.String(),
    BIN: pl.Int32(),
    UPPER: pl.Float64(),
    CATEGORY: pl.String(),
    "row_count": pl.Int64(),
    "value_sum": pl.Float64(),
}
_DEFAULT_BINS, _MOST_CATEGORIES = 20, 200


@dataclass(frozen=True)
class Bins:
    """The bins of one column.

    Bin 0 holds what is missing (null or NaN). A number x is in bin i when uppers[i-2] < x <= uppers[i-1]; the last bin
    has no upper end. A text is in the bin of its category; the last bin holds texts that the reference did not have.

    Attributes:
        subject: the column.
        uppers: upper ends of all bins of numbers but the last, ascending; empty for texts.
        categories: the texts of the reference; None for a number.
    """

    subject: str
    uppers: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        known = len(self.uppers) if self.categories is None else len(self.categories)
        return known + 2

    def place(self, values: pl.Series) -> NDArray[np.int64]:
        """The bin of every value."""
        if self.categories is not None:
            known = {text: number for number, text in enumerate(self.categories, start=1)}
            codes = values.replace_strict(known, default=self.count - 1, return_dtype=pl.Int64)
            return np.where(values.is_null().to_numpy(), MISSING, codes.to_numpy())
        numbers = _numbers(values)
        codes = 1 + np.searchsorted(np.asarray(self.uppers), numbers, side="left")
        return np.where(np.isnan(numbers), MISSING, codes)


def make_bins(rows: pl.DataFrame, subjects: Sequence[str], bins: int = _DEFAULT_BINS) -> list[Bins]:
    """Bins of about equally many reference rows; a value that many rows share gets a bin of its own.

    Args:
        rows: the reference. Columns of texts get a bin for each of their most frequent values.
        subjects: columns.
        bins: how many at most, besides those for missing values.

    Raises:
        BadFrame: a column is absent, or there are no rows.
    """
    require_columns(rows, subjects, "reference rows")
    if rows.is_empty():
        raise BadFrame("Bins need reference rows; there are none.")
    return [_bins_of(rows[name], bins) for name in subjects]


def _bins_of(values: pl.Series, bins: int) -> Bins:
    if values.dtype == pl.String:
        counted = values.drop_nulls().value_counts(name="n").sort("n", values.name, descending=[True, False])
        return Bins(values.name, categories=tuple(counted[values.name].head(_MOST_CATEGORIES).sort()))
    numbers = _numbers(values)
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        return Bins(values.name)
    # Edges are values of the reference: the same in any order of the rows.
    uppers = np.unique(np.quantile(numbers, np.arange(1, bins) / bins, method="inverted_cdf"))
    return Bins(values.name, tuple(float(upper) for upper in uppers))


def histograms(rows: pl.DataFrame, bins: Sequence[Bins], by: str | None = None) -> pl.DataFrame:
    """Counts of rows by column and bin, in one pass over the rows; bins without a row are left out.

    Args:
        rows: with the columns of `bins`.
        bins: from `make_bins`.
        by: a column to count apart, a week for example; none for all rows together.

    Returns:
        HISTOGRAM_SCHEMA, after `by` where it is given; sorted. value_sum is 0 for texts and missing values.

    Raises:
        BadFrame: a column is absent.
    """
    require_columns(rows, [item.subject for item in bins] + ([] if by is None else [by]), "rows to count")
    groups = pl.Series("group", [0] * rows.height) if by is None else rows[by].rank("dense").cast(pl.Int64) - 1
    names = pl.Series("all", [None]) if by is None else rows[by].unique().sort()
    parts = [_counted(rows[item.subject], item, groups.to_numpy(), len(names)) for item in bins] if rows.height else []
    schema = {"_group": pl.Int64(), **HISTOGRAM_SCHEMA}
    found = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
    found = found.sort("_group", SUBJECT, BIN)
    if by is None:
        return found.drop("_group")
    return found.select(names.gather(found["_group"]).alias(by), *HISTOGRAM_SCHEMA)


def _counted(values: pl.Series, bins: Bins, groups: NDArray[np.int64], group_count: int) -> pl.DataFrame:
    """The counts of one column; adding up goes in the order of the rows."""
    cells = groups * bins.count + bins.place(values)
    size = group_count * bins.count
    counts = np.bincount(cells, minlength=size)
    weights = np.zeros(len(cells)) if bins.categories is not None else np.nan_to_num(_numbers(values), nan=0.0)
    sums = np.bincount(cells, weights=weights, minlength=size)
    at = np.flatnonzero(counts)
    number = at % bins.count
    ends = [None, *(bins.uppers or [None] * (bins.count - 2)), None]
    texts = [None, *(bins.categories or [None] * (bins.count - 2)), None]
    return pl.DataFrame(
        {
            "_group": at // bins.count,
            SUBJECT: [bins.subject] * len(at),
            BIN: number,
            UPPER: [ends[item] for item in number],
            CATEGORY: [texts[item] for item in number],
            "row_count": counts[at],
            "value_sum": sums[at],
        },
        schema={"_group": pl.Int64(), **HISTOGRAM_SCHEMA},
    )


def merged(parts: Sequence[pl.DataFrame], by: Sequence[str] = ()) -> pl.DataFrame:
    """Histograms on the same bins added up; counts are exact in any order."""
    together = pl.concat(parts).group_by(*by, SUBJECT, BIN, UPPER, CATEGORY).agg(pl.col("row_count", "value_sum").sum())
    return together.select(*by, *HISTOGRAM_SCHEMA).sort(*by, SUBJECT, BIN)


def bins_of(reference: pl.DataFrame) -> list[Bins]:
    """The bins that a reference histogram was made on, in the order of their names.

    Raises:
        BadFrame: bins are missing: the histogram is not that of the reference itself.
    """
    found = []
    for (subject,), rows in reference.unique([SUBJECT, BIN]).sort(SUBJECT, BIN).group_by(SUBJECT, maintain_order=True):
        texts, uppers = rows[CATEGORY].drop_nulls().to_list(), rows[UPPER].drop_nulls().to_list()
        numbers = rows.filter(pl.col(BIN) > MISSING)[BIN]
        known = max(len(texts), len(uppers))
        if rows[BIN].max() not in (known, known + 1, MISSING) or (len(numbers) and numbers[0] != 1):
            raise BadFrame(f"The histogram of {subject} lacks bins: it is not that of a reference.")
        found.append(Bins(str(subject), tuple(uppers), tuple(texts) if texts else None))
    return found


def _numbers(values: pl.Series) -> NDArray[np.float64]:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
