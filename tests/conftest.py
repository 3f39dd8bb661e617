"""Fixtures that every test may use: settings of a throwaway lake, one Spark server for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from resources import spark_server
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, Settings, load_settings
from resources.spark import SparkDoor

# `make certify` tries twenty times as much as CI.
CERTIFY_TIMES = 20 if os.environ.get("LIFTLAKE_CERTIFY") else 1
settings.register_profile("liftlake", max_examples=50 * CERTIFY_TIMES, deadline=None)
settings.load_profile("liftlake")


def tries(in_ci: int, to_certify: int) -> int:
    """How often a law is tried: so often in CI, and to certify."""
    return in_ci if CERTIFY_TIMES == 1 else to_certify


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes by its nature runs only to certify."""
    if CERTIFY_TIMES == 1:
        for item in items:
            if item.get_closest_marker("certify"):
                item.add_marker(pytest.mark.skip(reason="make certify"))


def throwaway_settings(home: Path) -> Settings:
    """Settings of a lake in `home` that shares the project's JAR cache, so that tests download once."""
    shared = load_settings().jar_cache
    return load_settings({"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": str(shared)})


@pytest.fixture(scope="session")
def graph_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a lake that is only looked at as a graph: dbt's project is parsed once for all such tests."""
    return throwaway_settings(tmp_path_factory.mktemp("graph"))


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
