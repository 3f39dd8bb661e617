"""The same features and tables on a real standalone cluster of which a worker dies at work; to certify, the same lake."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from benchmarks.cluster import bench_cluster, cluster_settings
from benchmarks.cluster_processes import WORKERS, Cluster
from benchmarks.program import Options
from checks.contracts.loader import load_contracts
from ml.features import compute_features
from resources.commits import Provenance
from resources.conform import conform
from resources.lake import Lake
from resources.settings import load_settings
from resources.spark import SparkDoor
from resources.spark_features import features_in_spark
from tests.unit.ml.demand_data import Demand, make_demand

pytestmark = [pytest.mark.spark, pytest.mark.e2e]
CONTRACT = load_contracts()["gold", "demand_features"]
HORIZONS = (1, 2, 4)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(cluster_settings(tmp_path_factory.mktemp("cluster"))) as started:
        yield started


@pytest.fixture
def lake(cluster: Cluster, tmp_path: Path) -> Iterator[Lake]:
    """An empty lake whose tables lie in a folder outside of its home."""
    variables = {"LIFTLAKE_HOME": str(tmp_path / "home"), "LIFTLAKE_WAREHOUSE": str(tmp_path / "shared")}
    settings = load_settings({**variables, "SPARK_REMOTE": cluster.url})
    opened = Lake(settings, SparkDoor(settings))
    yield opened
    opened.close()


def test_a_worker_that_dies_at_work_changes_no_bit(cluster: Cluster, lake: Lake):
    """Features by both workers' Python, with our code as an artifact, and the Delta table that is made of them."""
    assert len(cluster.alive()) == WORKERS
    demand = make_demand(seed=11, weeks=60, stores=48, groups=6)
    cutoffs = demand.weeks[8:56]
    with ThreadPoolExecutor(1) as beside:
        working = beside.submit(on_workers, lake, demand, cutoffs)
        assert cluster.kill_working(working.done)
        assert not working.done()
        found = working.result()
    assert len(cluster.alive()) == WORKERS - 1
    wanted = pl.from_arrow(conform(compute_features(demand.series, demand.plans, cutoffs, HORIZONS), CONTRACT))
    assert isinstance(wanted, pl.DataFrame)
    assert_frame_equal(found, wanted, check_exact=True)
    lake.prepare()
    lake.write(CONTRACT, found, Provenance("made for a test"))
    assert (lake.settings.warehouse / "gold_audit.db" / CONTRACT.name / "_delta_log").is_dir()
    stored = lake.read(CONTRACT.audit_name)
    assert_frame_equal(stored.sort(CONTRACT.primary_key), wanted.sort(CONTRACT.primary_key), check_exact=True)


def on_workers(lake: Lake, demand: Demand, cutoffs: list[date]) -> pl.DataFrame:
    series, plans = (
        lake.spark.createDataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        for frame in (demand.series, demand.plans)
    )
    past = series.where(f"week_start_date <= DATE'{max(cutoffs)}'")
    return features_in_spark(lake.spark, past, plans, CONTRACT, cutoffs, HORIZONS)


@pytest.mark.certify
def test_the_sample_is_the_same_lake_on_a_cluster():
    figures = bench_cluster(Options())
    metrics = figures["metrics"]
    assert metrics["tables"] > 40
    assert (metrics["differing"], metrics["differing_with_worker_killed"]) == (0, 0)
