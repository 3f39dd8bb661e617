"""A lake whose tables lie in an S3-compatible store: written, published, inspected and kept as in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.store import Store
from checks.contracts.loader import load_contracts
from resources import spark_server
from resources.commits import Provenance
from resources.lake import Lake
from resources.lake_file import Retention
from resources.preconditions import look, unmet
from resources.settings import Settings, load_settings
from resources.soundness import inspect_lake
from resources.spark import SparkDoor
from resources.table_files import STAGED, has_files
from resources.upkeep import keep_tables
from tests.integration.test_doctor import plans

pytestmark = pytest.mark.spark
CONTRACT = load_contracts()["gold", "promotion_plans"]
NOTHING_IS_YOUNG = Retention(table_days=0)
LONG_AGO = datetime(2017, 1, 2, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def store(lake_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(lake_settings, tmp_path_factory.mktemp("store")) as started:
        yield started


@pytest.fixture(scope="module")
def settings(store: Store, lake_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose tables lie in the store, and the environment from which every process takes who it is."""
    home = {"LIFTLAKE_HOME": str(tmp_path_factory.mktemp("home")), "LIFTLAKE_JAR_CACHE": str(lake_settings.jar_cache)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.variables("lake/tables").items():
            patch.setenv(name, value)
        yield load_settings({**home, **store.variables("lake/tables")})


@pytest.fixture(scope="module")
def lake(settings: Settings) -> Iterator[Lake]:
    with closing(Lake(settings, SparkDoor(settings))) as opened:
        opened.prepare()
        yield opened
    spark_server.stop(settings)


def test_a_table_is_written_published_and_read(lake: Lake, store: Store):
    assert not has_files(lake.settings, CONTRACT.audit_name)
    for share in (0.1, 0.2, 0.3):
        made = Provenance(f"made with {share}")
        version = lake.write(CONTRACT, plans(share), made)
        if share < 0.3:
            lake.publish(CONTRACT, version, made)
    assert has_files(lake.settings, CONTRACT.audit_name)
    assert lake.read(CONTRACT.published_name)["display_share"].to_list() == [0.2]
    assert lake.newest_of([CONTRACT])[CONTRACT.key] == lake.newest(CONTRACT)
    # Everything of the tables is in the store, and nothing of what was on its way.
    assert not Path(lake.settings.home / "warehouse").exists()
    assert {key.split("/")[0] for key in store.objects()} == {"lake"}
    assert not [key for key in store.objects() if STAGED in key and key.endswith(".parquet")]


def test_the_doctor_looks_into_the_store(lake: Lake, store: Store):
    lake.write(CONTRACT, plans(0.1), Provenance("made"))
    # As long as somebody writes, nothing is called an orphan.
    lake.release()
    (store_found,) = [finding for finding in look(lake.settings) if finding.name == "Store"]
    assert (store_found.is_met, store_found.found) == (True, f"{lake.settings.warehouse} answers")
    assert [finding.is_met for finding in inspect_lake(lake.settings)] == [True]
    folder = store.folder / "objects" / "liftlake" / "lake" / "tables" / "gold_audit.db" / CONTRACT.name
    stray_file = folder / "part-stray.parquet"
    stray_file.write_bytes(b"left by a stopped write")
    os.utime(stray_file, (LONG_AGO, LONG_AGO))
    (stray,) = inspect_lake(lake.settings)
    assert "part-stray.parquet" in stray.found
    (dry,) = keep_tables(lake, [CONTRACT], NOTHING_IS_YOUNG, is_dry=True)
    (freed,) = keep_tables(lake, [CONTRACT], NOTHING_IS_YOUNG, is_dry=False)
    assert freed == dry
    assert (freed.files, freed.bytes) == (1, len(b"left by a stopped write"))
    lake.release()
    assert [finding.is_met for finding in inspect_lake(lake.settings)] == [True]


def test_a_store_that_refuses_is_named_before_anything_starts(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    assert unmet(settings) is None
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of another store")
    lacking = unmet(settings)
    assert lacking is not None
    assert lacking.name == "Store"
    assert "AWS_SECRET_ACCESS_KEY" in lacking.mend
    assert "of another store" not in f"{lacking.found} {lacking.mend}"
