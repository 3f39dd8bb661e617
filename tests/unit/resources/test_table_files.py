"""The files of the tables, told without Spark: whether one was written, and the place of what a server is to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.settings import Settings, load_settings
from resources.table_files import (
    STAGED,
    has_files,
    log_of,
    make_warehouse,
    staging_place,
    table_files,
    within_warehouse,
)


def test_a_table_is_there_once_it_has_a_log(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")})
    assert not has_files(settings, "gold_audit.sales")
    make_warehouse(settings)
    assert not has_files(settings, "gold_audit.sales")
    (Path(settings.warehouse) / "gold_audit.db" / "sales").mkdir(parents=True)
    assert not has_files(settings, "gold_audit.sales")
    table_files(settings).create_dir(log_of("gold_audit.sales"))
    assert has_files(settings, "gold_audit.sales")


@pytest.mark.parametrize("location", ["file:/lake/tables/a.db/b%20c.parquet", "/lake/tables/a.db/b%20c.parquet"])
def test_a_file_that_spark_names_is_found(tmp_path: Path, location: str):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_WAREHOUSE": "/lake/tables"})
    assert within_warehouse(settings, location) == "a.db/b c.parquet"
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_WAREHOUSE": "s3://brand/lake/tables"})
    assert within_warehouse(settings, "s3a://brand/lake/tables/a.db/b%20c.parquet") == "a.db/b c.parquet"


def write_and_fail(settings: Settings) -> None:
    with staging_place(settings, "rows.parquet") as (files, path):
        with files.open_output_stream(path) as stream:
            stream.write(b"rows")
        raise KeyError(path)


def test_what_a_server_was_to_read_is_gone_whatever_happens(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_WAREHOUSE": str(tmp_path / "tables")})
    staged = tmp_path / "tables" / STAGED / "rows.parquet"
    with staging_place(settings, "rows.parquet") as (files, path):
        with files.open_output_stream(path) as stream:
            stream.write(b"rows")
        assert staged.read_bytes() == b"rows"
    assert not staged.exists()
    with pytest.raises(KeyError):
        write_and_fail(settings)
    assert not staged.exists()
    # A writer that fails before it writes has nothing to remove.
    with staging_place(settings, "rows.parquet"):
        pass
