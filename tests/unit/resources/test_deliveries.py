"""Which file belongs to which table."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.deliveries import matching_files, source_files, table_of
from resources.mapping import load_mapping
from resources.source_bytes import SourceFileError


def test_a_longer_pattern_keeps_its_files_to_itself(tmp_path: Path):
    for name in ("campaigns.parquet", "campaign_descriptions.parquet"):
        (tmp_path / name).touch()
    mapping = load_mapping("completejourney")
    assert [path.name for path in source_files(mapping, "offer_exposures", (tmp_path,))] == ["campaigns.parquet"]
    assert [path.name for path in source_files(mapping, "campaigns", (tmp_path,))] == ["campaign_descriptions.parquet"]


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SourceFileError, match=r"transactions\*\.parquet"):
        source_files(load_mapping("completejourney"), "pos_lines", (tmp_path,))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("transactions.parquet", "pos_lines"),
        ("transactions_2.parquet.gz", "pos_lines"),
        ("transactions.parquet.part", None),
        (".transactions.parquet", None),
        ("_transactions.parquet", None),
        ("notes.txt", None),
    ],
)
def test_unfinished_and_foreign_files_belong_to_no_table(tmp_path: Path, name: str, table: str | None):
    mapping = load_mapping("completejourney")
    assert table_of(mapping, name) == table
    (tmp_path / name).touch()
    assert [found for found, _ in matching_files(mapping, tmp_path)] == ([table] if table else [])
