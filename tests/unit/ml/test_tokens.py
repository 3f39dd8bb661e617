"""Tokens: a known answer, one per household, nothing without a key."""

from __future__ import annotations

import polars as pl
import pytest

from ml.tokens import household_token, household_tokens


def test_known_answer() -> None:
    """Test case 2 of RFC 4231: key "Jefe", data "what do ya want for nothing?"."""
    token = household_token("what do ya want for nothing?", b"Jefe")
    assert token == "hk1_5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_one_row_per_household() -> None:
    rows = household_tokens(pl.Series(["1", "2"]), b"key")
    assert rows.columns == ["household_id", "household_token", "key_version"]
    assert rows["household_token"].n_unique() == 2
    assert rows["key_version"].to_list() == ["hk1", "hk1"]
    rotated = household_tokens(pl.Series(["1"]), b"other", 2)
    assert (rotated["household_token"][0][:4], rotated["key_version"][0]) == ("hk2_", "hk2")
    assert household_tokens(pl.Series(["1"]), b"other")["household_token"][0] != rows["household_token"][0]


@pytest.mark.parametrize("ids", [["1", "1"], ["1", None]])
def test_repeated_or_missing_ids_are_refused(ids: list[str | None]) -> None:
    with pytest.raises(ValueError, match="present and unique"):
        household_tokens(pl.Series(ids), b"key")
