"""Refusals name the frame, the offending rows and the mend."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from ml.frame_checks import BadFrame, require_columns, require_contiguous_weeks, require_unique

FRAME = pl.DataFrame(
    {"key": ["a", "a", "b"], "week_start_date": [date(2017, 1, 2), date(2017, 1, 9), date(2017, 3, 6)]}
)


def test_good_frames_pass() -> None:
    require_columns(FRAME, ["key"], "frame")
    require_unique(FRAME, ["key", "week_start_date"], "frame")
    require_contiguous_weeks(FRAME, ("key",), "frame")


def test_bad_frames_are_named() -> None:
    with pytest.raises(BadFrame, match=r"sales lacks the columns \['units'\]"):
        require_columns(FRAME, ["key", "units"], "sales")
    with pytest.raises(BadFrame, match=r"1 keys repeat, for example \[\('a', 2\)\]"):
        require_unique(FRAME, ["key"], "sales")
    with pytest.raises(BadFrame, match=r"1 rows do not follow .*2017, 3, 6"):
        require_contiguous_weeks(FRAME, (), "sales")
