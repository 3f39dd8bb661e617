"""Fixtures that every test may use: settings of a throwaway lake, one Spark server for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from resources import spark_server
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, Settings, load_settings
from resources.spark import SparkDoor


def throwaway_settings(home: Path) -> Settings:
    """Settings of a lake in `home` that shares the project's JAR cache, so that tests download once."""
    shared = load_settings().jar_cache
    return load_settings({"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": str(shared)})


@pytest.fixture(scope="session")
def lake_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the lake that all integration tests of this session share."""
    assert (PROJECT_ROOT / "pyproject.toml").exists()
    return throwaway_settings(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="session")
def lake(lake_settings: Settings) -> Iterator[Lake]:
    """One lake on one real Spark server for the whole session."""
    opened = Lake(lake_settings, SparkDoor(lake_settings))
    opened.prepare()
    yield opened
    opened.close()
    spark_server.stop(lake_settings)


@pytest.fixture(scope="session")
def spark(lake: Lake) -> SparkSession:
    """A session of the shared server."""
    return lake.spark
