"""Which file belongs to which table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from resources.deliveries import matching_files, source_files, table_of, tables_of
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


def test_with_a_manifest_only_files_that_are_whole_are_taken(tmp_path: Path):
    mapping, content = load_mapping("completejourney"), b"all of it"
    for name in ("transactions_1.parquet", "transactions_2.parquet", "transactions_3.parquet"):
        (tmp_path / name).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{sha256}  transactions_1.parquet\n{sha256} *transactions_2.parquet\n")
    (tmp_path / "transactions_2.parquet").write_bytes(content[:-1])
    assert [file.name for _, file in matching_files(mapping, tmp_path)] == ["transactions_1.parquet"]
    (tmp_path / "transactions_2.parquet").write_bytes(content)
    names = ["transactions_1.parquet", "transactions_2.parquet"]
    assert [file.name for _, file in matching_files(mapping, tmp_path)] == names


def test_a_manifest_of_another_form_is_refused(tmp_path: Path):
    (tmp_path / "SHA256SUMS").write_text("transactions.parquet\n")
    with pytest.raises(SourceFileError, match="line 1"):
        matching_files(load_mapping("completejourney"), tmp_path)


def test_products_are_read_out_of_the_files_of_the_lines(tmp_path: Path):
    mapping = load_mapping("online_retail")
    assert table_of(mapping, "2010-12-01.csv") == "pos_lines"
    assert tables_of(mapping, "pos_lines") == ["pos_lines", "products"]
    (tmp_path / "2010-12-01.csv").touch()
    assert source_files(mapping, "products", (tmp_path,)) == [tmp_path / "2010-12-01.csv"]
    # A source without a folder of its own has no file that could be missing.
    assert source_files(mapping, "products", ()) == []
