"""The keys that a stream keeps are those that its table has, whatever was done to the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.known_keys import KnownKeys
from resources.lake import Lake

pytestmark = pytest.mark.spark
TABLE, KEY = "bronze.kept", ("code", "part")
ASKED = pl.DataFrame({"code": ["a", "b", "c", None, None, "z"], "part": ["1", "2", None, None, "1", "9"]})


@pytest.fixture
def table(lake: Lake) -> Iterator[Contract]:
    lake.prepare()
    lake.spark.sql(f"CREATE TABLE {TABLE} (code STRING, part STRING, at TIMESTAMP, amount DECIMAL(18,4)) USING delta")
    yield replace(load_contracts()["bronze", "telemetry_events"], name="kept")
    lake.spark.sql(f"DROP TABLE {TABLE}")


def insert(lake: Lake, *keys: tuple[str | None, str | None]) -> None:
    rows = [f"({', '.join('NULL' if part is None else repr(part) for part in key)}, NULL, NULL)" for key in keys]
    lake.spark.sql(f"INSERT INTO {TABLE} VALUES {', '.join(rows)}")


def expected(lake: Lake) -> pl.DataFrame:
    """The table asked: null is a key like any other."""
    held = lake.query(f"SELECT DISTINCT code, part FROM {TABLE}")
    return held.join(ASKED, on=KEY, how="semi", nulls_equal=True).sort(KEY)


def test_they_follow_what_is_done_to_the_table(lake: Lake, table: Contract):
    keys = KnownKeys(lake, table, KEY)
    told: list[int] = []

    def same() -> None:
        found = keys.among(ASKED)
        assert found is not None
        assert_frame_equal(found.sort(KEY), expected(lake))
        told.append(found.height)

    same()
    insert(lake, ("a", "1"), ("x", "1"), ("a", "1"))
    same()
    insert(lake, ("c", None), (None, None))
    same()
    insert(lake, ("b", "2"))
    insert(lake, (None, "1"))
    same()
    lake.spark.sql(f"DELETE FROM {TABLE} WHERE code = 'a'")
    same()
    lake.spark.sql(f"UPDATE {TABLE} SET part = '2' WHERE part = '1'")
    same()
    lake.spark.sql(f"OPTIMIZE {TABLE}")
    insert(lake, ("z", "9"))
    same()
    assert told == [0, 1, 3, 5, 4, 3, 4]


def test_more_than_are_kept_are_not_told(lake: Lake, table: Contract):
    insert(lake, ("a", "1"), ("b", "2"))
    keys = KnownKeys(lake, table, KEY, most=3)
    assert keys.among(ASKED) is not None
    insert(lake, ("c", None), ("z", "9"))
    assert keys.among(ASKED) is None
    assert KnownKeys(lake, table, KEY, most=3).among(ASKED) is None
    lake.spark.sql(f"DELETE FROM {TABLE} WHERE code = 'z'")
    assert keys.among(ASKED) is not None


def test_the_rows_that_a_version_added_are_those_of_a_query(lake: Lake, table: Contract):
    columns = ("at", "amount", "code")
    lake.spark.sql(
        f"INSERT INTO {TABLE} VALUES ('a', '1', TIMESTAMP'2017-12-05 01:02:03.000004', 1.5), ('b', 'x', NULL, NULL)"
    )
    newest = lake.newest(table).version
    found = lake.added(TABLE, newest, columns)
    assert found is not None
    assert_frame_equal(found.sort("code"), lake.query(f"SELECT {', '.join(columns)} FROM {TABLE} ORDER BY code"))
    lake.spark.sql(f"DELETE FROM {TABLE} WHERE code = 'a'")
    assert lake.added(TABLE, newest + 1, columns) is None
    assert lake.added(TABLE, newest + 2, columns) is None
