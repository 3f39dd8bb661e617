"""A lake in an archive and out of it: in another home, with its history, and not when a byte differs."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from resources import spark_server
from resources.backup import MANIFEST, ArchiveError, backup, register, unpack
from resources.commits import Provenance
from resources.lake import Lake, Publication
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor
from resources.table_files import STAGED, staging_place
from tests.conftest import throwaway_settings

KEY = ("gold", "promotion_plans")


def rows(share: float) -> pl.DataFrame:
    instant = datetime(2017, 1, 2, 5, tzinfo=UTC)
    return pl.DataFrame({
        "store_id": ["7", "8"], "product_group": "TEAS", "week_start_date": date(2017, 1, 2), "display_products": 1,
        "mailer_products": 0, "display_share": share, "mailer_share": 0.0, "event_at": instant, "known_at": instant,
    })  # fmt: skip


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Settings]:
    settings = throwaway_settings(tmp_path / "restored")
    yield settings
    spark_server.stop(settings)


@pytest.mark.spark
def test_a_lake_is_the_same_in_another_home(lake: Lake, elsewhere: Settings, tmp_path: Path):
    contracts = load_contracts()
    plans = contracts[KEY]
    made = Provenance("code", {"silver.fct_promotions": "3"}, "2017-01-02")
    published = lake.write(plans, rows(0.25), made)
    lake.publish(plans, published, made)
    newest = lake.write(plans, rows(0.5), Provenance("later"))
    with closing(sqlite3.connect(lake.settings.home / "runs.db")) as runs:
        runs.execute("CREATE TABLE IF NOT EXISTS run (id TEXT)")
    archive = tmp_path / "lake.tar"
    try:
        with staging_place(lake.settings, "rows.parquet") as (files, path):
            files.open_output_stream(path).close()
            manifest = backup(lake, [plans], archive)
        with pytest.raises(ArchiveError, match="exists"):
            backup(lake, [plans], archive)
    finally:
        lake.spark.sql(f"DROP VIEW {plans.published_name}")
        lake.spark.sql(f"DROP TABLE {plans.audit_name}")
    assert "runs.db" in manifest["files"]
    assert not [name for name in manifest["files"] if STAGED in name]
    assert unpack(elsewhere, archive) == manifest
    with closing(Lake(elsewhere, SparkDoor(elsewhere))) as restored:
        register(restored, contracts, manifest)
        assert set(restored.read(plans.published_name)["display_share"]) == {0.25}
        assert restored.publication(plans) == Publication(published, made)
        assert restored.newest(plans).version == newest
        assert restored.write(plans, rows(0.75), Provenance("latest")) == newest + 1
    with pytest.raises(ArchiveError, match="holds a lake"):
        unpack(elsewhere, archive)


def archive_of(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "lake.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            (folder / "content").write_bytes(content)
            archive.add(folder / "content", name)
    return path


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"lake.yaml": b"x"}, "no manifest"),
        ({MANIFEST: b'{"format": 99, "files": {}}'}, "format 99"),
        ({MANIFEST: json.dumps({"format": 1, "files": {"lake.yaml": "0" * 64}}).encode()}, "lake.yaml is missing"),
        (
            {"lake.yaml": b"x", MANIFEST: json.dumps({"format": 1, "files": {"lake.yaml": "0" * 64}}).encode()},
            "differs",
        ),
        ({"../outside": b"x"}, "cannot be unpacked"),
    ],
)
def test_an_archive_that_is_not_whole_changes_nothing(tmp_path: Path, files: dict[str, bytes], sentence: str):
    settings = throwaway_settings(tmp_path / "home")
    with pytest.raises(ArchiveError, match=sentence):
        unpack(settings, archive_of(tmp_path, files))
    assert not settings.home.exists()
    assert not (tmp_path / "outside").exists()


def test_a_truncated_archive_is_refused(tmp_path: Path):
    archive = archive_of(tmp_path, {"lake.yaml": b"x" * 100_000})
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(throwaway_settings(tmp_path / "home"), archive)


def test_a_lake_in_two_folders_is_neither_archived_nor_restored(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path / "home"), "LIFTLAKE_WAREHOUSE": str(tmp_path / "tables")})
    with pytest.raises(ArchiveError, match="copy both folders"):
        backup(Lake(settings, SparkDoor(settings)), [], tmp_path / "lake.tar")
    with pytest.raises(ArchiveError, match="copy both folders"):
        unpack(settings, archive_of(tmp_path, {"lake.yaml": b"x"}))
    assert not settings.home.exists()
