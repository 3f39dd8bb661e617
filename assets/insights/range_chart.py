"""How far totals may lie from their estimate, one line per group, as inline SVG.

Here: one chart. Not here: the other charts (charts.py), or which figures are drawn (drawings.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assets.insights import formats, svg
from assets.insights.svg import Scale

ROW_PX, STACKED_ROW_PX = 26, 40
LABEL_PX, TEXT_PX = 250, 124
STACKED_BELOW_PX = 420
TOP_PX, BOTTOM_PX = 22, 6


@dataclass(frozen=True)
class RangeRow:
    """Low and high as fractions of the estimate (-0.1 is 10 % below); `mark` likewise, for a second dot."""

    label: str
    low: float
    high: float
    text: str
    mark: float | None = None


def range_chart(title: str, rows: Sequence[RangeRow], width: int, mark_class: str) -> Markup:
    """Horizontal ranges around zero, the estimate; on a narrow page the label stands above its range."""
    is_stacked = width < STACKED_BELOW_PX
    each, left = (STACKED_ROW_PX, 6) if is_stacked else (ROW_PX, LABEL_PX)
    lowest = min([-0.1, *(row.low for row in rows), *(row.mark for row in rows if row.mark is not None)])
    highest = max([0.1, *(row.high for row in rows), *(row.mark for row in rows if row.mark is not None)])
    x = Scale(lowest, highest, left, width - 8 if is_stacked else width - TEXT_PX)
    height = TOP_PX + each * len(rows) + BOTTOM_PX
    parts: list[Markup] = []
    for step in _steps(lowest, highest):
        parts.append(svg.line((x(step), TOP_PX - 4), (x(step), height - BOTTOM_PX), "grid" if step else "base"))
        parts.append(svg.text(x(step), 12, formats.change(step, 0) if step else "expected", "tick middle"))
    for place, row in enumerate(rows):
        top = TOP_PX + each * place
        y = top + (28 if is_stacked else each / 2)
        label = f"{row.label}: {row.text}" if is_stacked else row.label
        parts.append(svg.text(6, top + 16 if is_stacked else y + 4, label, "value on-lines"))
        if not is_stacked:
            parts.append(svg.text(width - 6, y + 4, row.text, "tick end"))
        parts.append(
            svg.rectangle((x(row.low), y - 4), x(row.high) - x(row.low), 8, "range", f"{row.label}: {row.text}")
        )
        parts.append(svg.dot((x(0), y), 3.5, "forecast-dot"))
        if row.mark is not None:
            parts.append(svg.dot((x(row.mark), y), 3.5, mark_class))
    said = "; ".join(f"{row.label} {row.text}" for row in rows)
    return svg.drawing(width, height, f"{title}. {said}", parts, "chart")


def _steps(lowest: float, highest: float) -> list[float]:
    """Round steps through zero, about four to seven of them."""
    reach = highest - lowest
    step = next(size for size in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, reach) if reach / size <= 6)  # noqa: PLR2004 - labels that fit a phone
    return [index * step for index in range(math.ceil(lowest / step), math.floor(highest / step) + 1)]
