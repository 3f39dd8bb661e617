"""What sensors judge: which files are complete, which weeks an ingest touched, which decision asks for training."""

from pathlib import Path

import dagster as dg

from assets.automation.sensors import complete_files, file_sizes, ingested_weeks, requested_weeks
from definitions import build_definitions, build_graph
from resources.mapping import load_mapping
from resources.settings import Settings, load_settings

MAPPING = load_mapping("completejourney")


def test_a_file_is_read_only_when_it_stopped_growing(tmp_path: Path):
    file = tmp_path / "transactions_2018.parquet"
    file.write_bytes(b"half")
    first = file_sizes(tmp_path, MAPPING)
    assert complete_files(first, {}) == {}
    file.write_bytes(b"half and more")
    second = file_sizes(tmp_path, MAPPING)
    assert complete_files(second, first) == {}
    third = file_sizes(tmp_path, MAPPING)
    assert list(complete_files(third, second)) == [file.name]


def test_other_files_and_missing_folders_are_no_files(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert file_sizes(tmp_path, MAPPING) == {}
    assert file_sizes(tmp_path / "nowhere", MAPPING) == {}


def test_weeks_of_an_ingest_come_from_its_materialisations():
    @dg.asset
    def receipts() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"first_week": "2017-01-09", "last_week": "2017-01-16"})

    @dg.asset
    def lookups() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"files": "none"})

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([receipts, lookups], instance=instance)
        assert ingested_weeks(instance, done.run_id) == ("2017-01-09", "2017-01-16")
        nothing = dg.materialize([lookups], instance=instance)
        assert ingested_weeks(instance, nothing.run_id) is None


def decided(instance: dg.DagsterInstance, week: str, response: str, *, fails: bool = False) -> None:
    """A run that publishes a drift decision, or whose check refuses it."""

    @dg.asset(key=["models", "drift_decisions"])
    def decisions() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"week": week, "response": response})

    @dg.asset_check(asset=decisions, blocking=True)
    def contract() -> dg.AssetCheckResult:
        if fails:
            raise dg.Failure("refused")
        return dg.AssetCheckResult(passed=True)

    dg.materialize([decisions, contract], instance=instance, raise_on_error=False)


def test_drift_asks_once_for_each_decision_that_stands():
    with dg.DagsterInstance.ephemeral() as instance:
        decided(instance, "2017-12-04", "nothing")
        assert requested_weeks(instance) == []
        decided(instance, "2017-12-18", "retrain_requested")
        decided(instance, "2017-12-11", "retrain_requested")
        decided(instance, "2017-12-25", "retrain_requested", fails=True)
        decided(instance, "2018-01-01", "incident")
        assert requested_weeks(instance) == ["2017-12-11", "2017-12-18"]
        # Decided again, otherwise: the later decision counts.
        decided(instance, "2017-12-11", "retrain_suppressed")
        assert requested_weeks(instance) == ["2017-12-18"]


def test_the_sensor_requests_the_retraining_of_the_week_under_one_key(graph_settings: Settings):
    week = {"LIFTLAKE_AS_OF": "2017-12-11T05:00:00Z", "LIFTLAKE_HOME": str(graph_settings.home)}
    definitions = build_definitions(build_graph(load_settings(week)))
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("drift_response")
    with dg.DagsterInstance.ephemeral() as instance:
        decided(instance, "2017-12-04", "retrain_requested")
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, repository_def=repository)
            result = sensor.evaluate_tick(context)
            assert [(request.run_key, request.partition_key) for request in result.run_requests or []] == [
                ("retrain-2017-12-04", "2017-12-04")
            ]
    job = definitions.resolve_job_def("retrain")
    made = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert {
        "models/demand_studies",
        "models/demand_models",
        "models/champion_history",
        "forecasts/demand_forecasts",
    } <= made
    assert not {name for name in made if name.split("/")[0] in ("bronze", "silver", "gold")}
