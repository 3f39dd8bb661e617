"""The sales that a lift is measured on, as arrays, and which of their cells promotions touched.

Belongs here: frames to arrays [store, week]; the masks. Does not belong here: a counterfactual, a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.frame_checks import WEEK, require_columns, require_consecutive, require_unique

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MEASURES = ("transactions", "quantity_units", "net_sales_usd")
# Where a group is promoted in more of its cells than this, promotions are its normal state and mask nothing.
MOST_BUSY_SHARE = 0.5
# A promotion in so many stores at once moves all of them alike: the effect of the week holds it.
EVERYWHERE_SHARE = 0.9


@dataclass(frozen=True)
class Panel:
    """Sales of the stores whose promotions are known.

    Attributes:
        stores, weeks: labels of the axes, ascending.
        lines, groups: sums by line and by group, [measure, store, week].
        group_of: the group of each line.
        promoted: by line and kind, [store, week]: whether a promotion ran.
        after_weeks: weeks after a promotion in which it still acts.
    """

    stores: list[str]
    weeks: list[date]
    lines: Mapping[str, Floats]
    groups: Mapping[str, Floats]
    group_of: Mapping[str, str]
    promoted: Mapping[tuple[str, str], Bools]
    after_weeks: int

    def line(self, name: str) -> Floats:
        """Zero where it never sold."""
        return self.lines.get(name, np.zeros((len(MEASURES), len(self.stores), len(self.weeks))))

    @cached_property
    def total(self) -> Floats:
        return np.sum(list(self.groups.values()), axis=0)

    def promoted_line(self, line: str, kind: str) -> Bools:
        """Cells in which a line was promoted: by `kind`, or by another kind that was not everywhere at once."""
        found = np.zeros((len(self.stores), len(self.weeks)), dtype=bool)
        for (name, own_kind), cells in self.promoted.items():
            if name == line:
                found |= cells & ((own_kind == kind) | ~_everywhere(cells))
        return found

    def touched_line(self, line: str, kind: str) -> Bools:
        """The same and the weeks after, in which the promotion still acts."""
        return with_after(self.promoted_line(line, kind), self.after_weeks)

    def touched_group(self, group: str) -> Bools:
        """Cells of a group that a promotion of any of its lines touched, unless it was everywhere at once.

        None where promotions are the normal state of the group.
        """
        return self._touched_groups[group]

    def touched_others(self, group: str) -> Bools:
        """Cells of all other groups together."""
        others = [cells for name, cells in self._touched_groups.items() if name != group]
        return _unless_normal(np.any(others, axis=0)) if others else np.zeros((len(self.stores), len(self.weeks)), bool)

    @cached_property
    def _touched_groups(self) -> dict[str, Bools]:
        found = {name: np.zeros((len(self.stores), len(self.weeks)), dtype=bool) for name in self.groups}
        for (line, _), cells in self.promoted.items():
            found[self.group_of[line]] |= with_after(cells & ~_everywhere(cells), self.after_weeks)
        return {name: _unless_normal(cells) for name, cells in found.items()}


def lift_panel(
    events: pl.DataFrame, line_weeks: pl.DataFrame, group_weeks: pl.DataFrame, weeks: Sequence[date], after_weeks: int
) -> Panel:
    """The panel of the stores that have a promotion of any kind; another store's promotions are not known.

    Args:
        events: gold.promotion_events.
        line_weeks, group_weeks: one row per store_id, product_line or product_group, and week_start_date: MEASURES.
        weeks: the business weeks that are over and wholly delivered, contiguous; rows of others are left out.
        after_weeks: weeks after a promotion in which it still acts.

    Raises:
        BadFrame: columns are missing, keys repeat, weeks have holes.
    """
    ordered = sorted(weeks)
    require_consecutive(ordered)
    require_columns(line_weeks, ("store_id", "product_group", "product_line", WEEK, *MEASURES), "line_weeks")
    require_columns(group_weeks, ("store_id", "product_group", WEEK, *MEASURES), "group_weeks")
    require_unique(line_weeks, ("store_id", "product_line", WEEK), "line_weeks")
    require_unique(group_weeks, ("store_id", "product_group", WEEK), "group_weeks")
    stores = sorted(set(events["store_id"]) & set(group_weeks["store_id"]))
    lines = events.select("product_line", "product_group").unique()
    return Panel(
        stores=stores,
        weeks=ordered,
        lines=_sums(line_weeks.join(lines, on="product_line", how="semi"), "product_line", stores, ordered),
        groups=_sums(group_weeks, "product_group", stores, ordered),
        group_of=dict(lines.iter_rows()),
        promoted=_promoted(events, stores, ordered),
        after_weeks=after_weeks,
    )


def event_cells(rows: pl.DataFrame, stores: Sequence[str], weeks: Sequence[date]) -> Bools:
    """[store, week]: whether the event ran; `rows` of gold.promotion_events."""
    cells = np.zeros((len(stores), len(weeks)), dtype=bool)
    index = {store: position for position, store in enumerate(stores)}
    for store, first, last in rows.select("store_id", "first_week_start_date", "last_week_start_date").iter_rows():
        if store in index:
            start, end = ((day - weeks[0]).days // 7 for day in (first, last))
            cells[index[store], max(start, 0) : max(end + 1, 0)] = True
    return cells


def following(cells: Bools, after_weeks: int) -> Bools:
    """The weeks after a promotion in the same store, as many as `after_weeks`, that are not promoted again."""
    return with_after(cells, after_weeks) & ~cells


def _promoted(events: pl.DataFrame, stores: list[str], weeks: list[date]) -> dict[tuple[str, str], Bools]:
    parts = events.partition_by("product_line", "kind", as_dict=True, maintain_order=True)
    return {(str(line), str(kind)): event_cells(rows, stores, weeks) for (line, kind), rows in parts.items()}


def _sums(frame: pl.DataFrame, label: str, stores: list[str], weeks: list[date]) -> dict[str, Floats]:
    inside = frame.filter(pl.col("store_id").is_in(stores) & pl.col(WEEK).is_in(weeks)).with_columns(
        _store=pl.col("store_id").replace_strict(stores, range(len(stores)), return_dtype=pl.Int64),
        _week=(pl.col(WEEK) - pl.lit(weeks[0])).dt.total_days() // 7,
    )
    found: dict[str, Floats] = {}
    parts = inside.partition_by(label, as_dict=True, maintain_order=True)
    for (name,), rows in sorted(parts.items()):
        sums = np.zeros((len(MEASURES), len(stores), len(weeks)))
        values = rows.select(pl.col(MEASURES).cast(pl.Float64)).to_numpy().T
        sums[:, rows["_store"].to_numpy(), rows["_week"].to_numpy()] = values
        found[str(name)] = sums
    return found


def with_after(cells: Bools, after_weeks: int) -> Bools:
    spread = cells.copy()
    for lag in range(1, after_weeks + 1):
        spread[:, lag:] |= cells[:, :-lag]
    return spread


def _everywhere(cells: Bools) -> Bools:
    """[week]: whether nearly all stores ran it."""
    return cells.mean(axis=0) >= EVERYWHERE_SHARE


def _unless_normal(cells: Bools) -> Bools:
    return cells if cells.mean() <= MOST_BUSY_SHARE else np.zeros_like(cells)
