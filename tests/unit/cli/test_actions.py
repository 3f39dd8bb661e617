"""A review is a CSV that a person may have touched: what is no review is refused with what it needs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cli.actions import read_review
from ml.actions_limits import Refused


def test_an_exported_csv_is_read_back(tmp_path: Path):
    rows = pl.DataFrame({
        "note": [1.5], "store_id": ["0042"], "product_group": ["TEA"], "target_week_start_date": [date(2017, 12, 4)],
        "kind": ["display"],
    })  # fmt: skip
    rows.write_csv(tmp_path / "review.csv")
    found = read_review(tmp_path / "review.csv")
    assert found.rows() == [(date(2017, 12, 4), "0042", "TEA", "display")]


@pytest.mark.parametrize(
    "content",
    ["store_id,kind\n1,display\n", "target_week_start_date,store_id,product_group,kind\nsoon,1,TEA,display\n", ""],
)
def test_what_is_no_review_is_refused(tmp_path: Path, content: str):
    (tmp_path / "review.csv").write_text(content, encoding="utf-8")
    with pytest.raises(Refused, match=r"review\.csv is no review: .* It needs the columns target_week_start_date"):
        read_review(tmp_path / "review.csv")
    with pytest.raises(Refused, match="is no review"):
        read_review(tmp_path / "missing.csv")
