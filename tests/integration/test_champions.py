"""One champion, whoever promotes and rolls back at once and whatever is killed on its way."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from assets.models.gate import published_history
from assets.models.rollback import Request, append, roll_back
from definitions import build_graph
from ml.champions import NoRollback, champion_at, gate_row, require_linear
from ml.features import FEATURE_SET, compute_features
from ml.forecaster import fit_calibrated, labelled
from ml.labels import build_labels
from ml.packaging import BundleError, save_bundle
from ml.promotion import Decision
from ml.splits import rolling_origin
from resources import spark_server
from resources.champions import alias_finding, champion_of, project_champion
from resources.commits import Provenance
from resources.lake import Lake
from resources.registry import MODEL_NAME, Registry
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor
from tests.integration.champion_calls import CALLED, back, killed_back, promote
from tests.unit.ml.demand_data import make_demand
from tests.unit.ml.prepared_data import SMALL

pytestmark = pytest.mark.spark
AT_ONCE, WEEKS, HORIZONS = 4, 49, (1, 2)
CALLS = 50
# In CI one kill: that which leaves the alias behind.
IN_CI = {("publish", False)}
MADE_FROM = Provenance("made by this test")
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Hall:
    """A lake with the models that were champions one after the other."""

    environment: dict[str, str]
    versions: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment)

    def opened(self) -> closing[Lake]:
        return closing(Lake(self.settings, SparkDoor(self.settings)))

    def history(self) -> pl.DataFrame:
        with self.opened() as lake:
            return published_history(lake, build_graph(self.settings))

    def one_truth(self) -> str:
        """The champion, after proof that the history is one line and, once mended, the alias its projection."""
        require_linear(self.history())
        with self.opened() as lake:
            assert alias_finding(lake, Registry(self.settings), mend=True)[0].is_met
            champion = champion_of(lake)
        assert champion == Registry(self.settings).champion() == champion_at(self.history())
        assert champion is not None
        return champion


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    home = tmp_path_factory.mktemp("hall")
    cache = str(load_settings().jar_cache)
    environment = {"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": cache, "LIFTLAKE_SPARK_MEMORY": "1g"}
    settings = load_settings(environment)
    try:
        yield Hall(environment, prepare(settings))
    finally:
        spark_server.stop(settings)


def prepare(settings: Settings) -> tuple[str, ...]:
    """Three models that were promoted one after the other, with all that a rollback needs of them."""
    graph, registry = build_graph(settings), Registry(settings)
    demand = make_demand(seed=21, weeks=WEEKS, stores=6, groups=3)
    features = compute_features(demand.series, demand.plans, demand.weeks, HORIZONS)
    features = features.filter(pl.col("week_start_date") > demand.weeks[8], pl.col("transactions_lag_0").is_not_null())
    rows = labelled(features, build_labels(demand.series, HORIZONS), "transactions")
    fold = rolling_origin(demand.weeks, 1, max(HORIZONS), 1, calibration_weeks=4, min_train_cutoffs=5)[-1]
    cutoff = graph.cutoff_week()
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        lake.prepare()
        publish(lake, graph.contract("gold", "demand_features"), features)
        versions, models = [], []
        for seed in (1, 2, 3):
            fitted = fit_calibrated(rows, fold, "transactions", replace(SMALL, seed=seed))
            partial = settings.artifacts / "models" / f"seed{seed}"
            version = save_bundle(partial, fitted, {"cutoff_week_start_date": str(cutoff)})
            folder = partial.rename(partial.with_name(version))
            registry.record(version, folder, {}, {})
            versions.append(version)
            models.append(model_row(version, cutoff))
        publish(lake, graph.contract("models", "demand_models"), pl.DataFrame(models))
        contract = graph.contract("models", "champion_history")
        lake.publish(contract, lake.write(contract, published_history(lake, graph), MADE_FROM), MADE_FROM)
        for version in versions:
            history = published_history(lake, graph)
            decision = Decision(promoted=True, reasons=("it is better",))
            append(lake, graph, history, gate_row(MODEL_NAME, history, settings.as_of, version, decision))
        project_champion(lake, registry)
    return tuple(versions)


def publish(lake: Lake, contract: object, rows: pl.DataFrame) -> None:
    lake.publish(contract, lake.write(contract, rows, MADE_FROM), MADE_FROM)  # type: ignore[arg-type]


def model_row(version: str, cutoff: date) -> dict[str, object]:
    return {
        "model_version": version, "training_set_id": "0" * 64, "cutoff_week_start_date": cutoff,
        "feature_set": FEATURE_SET, "measure": "transactions", "parameters": SMALL.to_json(), "calibration": "{}",
        "artifact_path": f"models/{version}", "data_version": "0" * 64, "fallback": None,
    }  # fmt: skip


def test_a_rollback_moves_history_and_alias(hall: Hall):
    _, second, third = hall.versions
    assert hall.one_truth() == third
    with hall.opened() as lake:
        before = lake.publication(build_graph(hall.settings).contract("models", "champion_history"))
        row = roll_back(lake, build_graph(hall.settings), Registry(hall.settings), Request("it erred", "ann"))
        after = lake.publication(build_graph(hall.settings).contract("models", "champion_history"))
    assert row.select("decision", "model_version", "previous_model_version", "decided_by").row(0) == (
        "rolled_back", second, third, "ann",
    )  # fmt: skip
    assert before is not None
    assert after is not None
    # The gate is not behind for it.
    assert (after.version > before.version, after.provenance) == (True, before.provenance)
    assert Registry(hall.settings).champion() == second
    with hall.opened() as lake:
        graph, registry = build_graph(hall.settings), Registry(hall.settings)
        with pytest.raises(NoRollback, match="by now, not"):
            roll_back(lake, graph, registry, Request("it erred", "ann", instead_of=third))
        roll_back(lake, graph, registry, Request("a mistake", "bob", target=third[:8], instead_of=second[:8]))
    assert hall.one_truth() == third


def test_a_target_that_does_not_load_or_score_is_refused_before_anything_moves(hall: Hall):
    champion, history = hall.one_truth(), hall.history()
    target = hall.settings.artifacts / "models" / hall.versions[1] / "model.cbm"
    whole = target.read_bytes()
    with hall.opened() as lake:
        graph, registry = build_graph(hall.settings), Registry(hall.settings)
        for broken in (whole[:-20], b"not a model"):
            target.write_bytes(broken)
            with pytest.raises(BundleError, match="do not match"):
                roll_back(lake, graph, registry, Request("it erred", "ann"))
        hide(target.parent)
        with pytest.raises(BundleError):
            roll_back(lake, graph, registry, Request("it erred", "ann"))
        target.parent.with_suffix(".hidden").rename(target.parent)
        target.write_bytes(whole)
    assert hall.one_truth() == champion
    assert hall.history().equals(history)


POINTS = [
    pytest.param(owner, name, before, marks=() if (name, before) in IN_CI else pytest.mark.certify)
    for owner, name in CALLED
    for before in (True, False)
]


def hide(folder: Path) -> None:
    folder.rename(folder.with_suffix(".hidden"))


@pytest.mark.parametrize(("owner", "name", "before"), POINTS)
def test_killed_on_its_way_there_is_one_truth_and_the_doctor_mends_the_alias(
    hall: Hall, owner: str, name: str, before: bool
):
    old, history = hall.one_truth(), hall.history()
    process = SPAWN.Process(target=killed_back, args=(hall.environment, owner, name), kwargs={"before": before})
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    is_published = name == "project_champion" or (name, before) == ("publish", False)
    alias = Registry(hall.settings).champion()
    champion = hall.one_truth()
    assert (champion != old) == is_published
    assert (alias != champion) == (is_published and (name, before) != ("project_champion", False))
    assert hall.history().height == history.height + is_published
    # What the killed one left unpublished is no part of the next decision.
    assert promote(hall.environment, hall.versions[2], "and on") == hall.one_truth() == hall.versions[2]
    assert hall.history().height == history.height + is_published + 1


@pytest.mark.certify
def test_calls_at_once_leave_one_line(hall: Hall):
    start = hall.history().height
    with ProcessPoolExecutor(AT_ONCE, mp_context=SPAWN) as pool:
        asked = [
            pool.submit(back, hall.environment, f"call {number}")
            if number % 2
            else pool.submit(promote, hall.environment, hall.versions[number // 2 % 3], f"call {number}")
            for number in range(CALLS)
        ]
        done = [number for number, call in enumerate(asked) if call.result() is not None]
    hall.one_truth()
    added = hall.history().filter(pl.col("ordinal") > start)
    assert sorted(added["reasons"].list.first()) == sorted(f"call {number}" for number in done)
    assert len(done) >= CALLS // 2
