"""The same features and tables on a real standalone cluster that loses a worker at work; to certify, the same lake."""

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
from resources.settings import Settings, load_settings
from resources.soundness import inspect_lake
from resources.spark import SparkDoor
from resources.spark_features import features_in_spark
from resources.spark_server import SparkServerError
from resources.table_files import folder_of
from tests.unit.ml.demand_data import Demand, make_demand

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
CONTRACT = load_contracts()["gold", "demand_features"]
HORIZONS = (1, 2, 4)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(cluster_settings(tmp_path_factory.mktemp("cluster"))) as started:
        yield started


@pytest.fixture(scope="module")
def lake(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """An empty lake whose tables lie in the cluster's store."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.variables("tables").items():
            patch.setenv(name, value)
        settings = settings_of(cluster, tmp_path_factory.mktemp("lake"), "tables")
        opened = Lake(settings, SparkDoor(settings))
        opened.prepare()
        yield opened
        opened.close()


def settings_of(cluster: Cluster, home: Path, folder: str) -> Settings:
    return load_settings({"LIFTLAKE_HOME": str(home), **cluster.variables(folder)})


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
    lake.write(CONTRACT, found, Provenance("made for a test"))
    (location,) = lake.query(f"DESCRIBE DETAIL {CONTRACT.audit_name}")["location"]
    assert location == f"{lake.settings.warehouse}/{folder_of(CONTRACT.audit_name)}"
    assert location.startswith("s3a://")
    stored = lake.read(CONTRACT.audit_name)
    assert_frame_equal(stored.sort(CONTRACT.primary_key), wanted.sort(CONTRACT.primary_key), check_exact=True)
    assert [finding.is_met for finding in inspect_lake(lake.settings)] == [True]


def on_workers(lake: Lake, demand: Demand, cutoffs: list[date]) -> pl.DataFrame:
    series, plans = (
        lake.spark.createDataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        for frame in (demand.series, demand.plans)
    )
    past = series.where(f"week_start_date <= DATE'{max(cutoffs)}'")
    return features_in_spark(lake.spark, past, plans, CONTRACT, cutoffs, HORIZONS)


def test_a_catalog_with_another_lake_is_refused(cluster: Cluster, lake: Lake, tmp_path: Path):
    other = settings_of(cluster, tmp_path, "others")
    with pytest.raises(SparkServerError, match=f"has a lake in {lake.settings.warehouse}, and this one lies in"):
        SparkDoor(other).session()


@pytest.mark.certify
def test_the_sample_is_the_same_lake_on_a_cluster():
    figures = bench_cluster(Options())
    metrics = figures["metrics"]
    assert metrics["tables"] > 40
    assert (metrics["differing"], metrics["differing_with_worker_killed"]) == (0, 0)
