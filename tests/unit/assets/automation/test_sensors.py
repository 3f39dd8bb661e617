"""What sensors judge: which files are complete, which weeks an ingest touched, which decision asks for training."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from assets.automation.backfills import asked_by
from assets.automation.jobs import INGEST
from assets.automation.sensors import (
    REQUESTED_BY,
    complete_files,
    file_sizes,
    is_waiting,
    requested_weeks,
    topic_requests,
    touched_by,
)
from assets.graph import TOUCHED_WEEKS
from definitions import build_definitions, build_graph
from resources.mapping import load_mapping
from resources.offsets import TopicState
from resources.settings import Settings, load_settings
from resources.spans import as_texts

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


PASSES = dg.AssetCheckResult(passed=True)
LATE = [date(2017, 1, 9) + timedelta(weeks=number) for number in (0, 1, 30)]


def ingested(
    instance: dg.DagsterInstance, weeks: Sequence[date], *, check: dg.AssetCheckResult = PASSES
) -> dg.ExecuteInProcessResult:
    """An ingest of the landing folder that brought receipt lines of these weeks, and lookups without any new record."""

    @dg.asset(key=["bronze", "pos_lines"])
    def receipts() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={TOUCHED_WEEKS: as_texts(weeks)})

    @dg.asset(key=["bronze", "products"])
    def lookups() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"files": "none"})

    @dg.asset_check(asset=receipts, name="contract", blocking=True)
    def contract() -> dg.AssetCheckResult:
        return check

    @dg.asset_check(asset=lookups, name="contract", blocking=True)
    def contract_of_lookups() -> dg.AssetCheckResult:
        return PASSES

    job = dg.define_asset_job(INGEST).resolve(
        asset_graph=dg.Definitions(
            [receipts, lookups], asset_checks=[contract, contract_of_lookups]
        ).resolve_asset_graph()
    )
    return job.execute_in_process(instance=instance, tags=REQUESTED_BY, raise_on_error=False)


def test_weeks_of_an_ingest_come_from_what_its_check_let_pass():
    broken = {"rules": dg.MetadataValue.json([])}
    with dg.DagsterInstance.ephemeral() as instance:
        done = ingested(instance, LATE)
        assert touched_by(instance, done.run_id) == {("bronze", "pos_lines"): tuple(LATE)}
        refused = ingested(instance, LATE, check=dg.AssetCheckResult(passed=False, metadata=broken))
        assert touched_by(instance, refused.run_id) == {}


def test_late_rows_ask_for_one_backfill_of_exactly_the_weeks_they_touch(graph_settings: Settings):
    """Once, however often a tick comes, and whatever becomes of the cursor: lost, rewound, or of another folder."""
    definitions = build_definitions(build_graph(graph_settings))
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("landing_folder")
    with dg.DagsterInstance.ephemeral() as instance:
        for key in definitions.resolve_asset_graph().get_all_asset_keys():
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        ingested(instance, LATE)
        for cursor in (None, "{}", None, '{"transactions.parquet": [1, 2]}'):
            context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
            assert not sensor.evaluate_tick(context).run_requests
        (record,) = instance.get_backfills()
        weeks = asked_by(instance, definitions.resolve_asset_graph(), record.backfill_id)
        covered = build_graph(graph_settings).week_dates()
        assert weeks["silver", "fct_receipt_lines"] == tuple(LATE)
        assert weeks["gold", "demand_series"] == tuple(week for week in covered if week >= LATE[0])
        assert ("gold", "promotion_plans") not in weeks
        assert ("silver", "dim_store") not in weeks
        assert {key for key in weeks if key[0] not in ("silver", "gold")} == set()
        assert record.tags == REQUESTED_BY
        ingested(instance, LATE[:1])
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance, repository_def=repository))
        assert len(instance.get_backfills()) == 2


def test_a_table_that_was_never_made_is_asked_for_whole(graph_settings: Settings):
    definitions = build_definitions(build_graph(graph_settings))
    repository = definitions.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["silver", "fct_receipt_lines"]))
        ingested(instance, LATE)
        context = dg.build_sensor_context(instance=instance, repository_def=repository)
        repository.get_sensor_def("landing_folder").evaluate_tick(context)
        (record,) = instance.get_backfills()
        weeks = asked_by(instance, definitions.resolve_asset_graph(), record.backfill_id)
        assert weeks["silver", "fct_receipt_lines"] == tuple(LATE)
        assert weeks["gold", "demand_series"] == tuple(build_graph(graph_settings).week_dates())


def test_files_that_landed_are_asked_for_again_only_after_a_run_that_failed(graph_settings: Settings, tmp_path: Path):
    """Thrice at most; whoever mends the cause says `liftlake run`, or delivers another file."""
    (tmp_path / "transactions.parquet").write_bytes(b"x")
    definitions = build_definitions(build_graph(graph_settings.model_copy(update={"landing": tmp_path})))
    repository = definitions.get_repository_def()
    sensor, cursor, keys = repository.get_sensor_def("landing_folder"), None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for tick in range(6):
            context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
            found = sensor.evaluate_tick(context)
            cursor = found.cursor
            keys.append([request.run_key for request in found.run_requests or ()])
            if tick in {2, 3, 4}:
                ended(instance, (found.run_requests or [])[0].tags, dg.DagsterRunStatus.FAILURE)
    assert keys[0] == keys[5] == []
    assert keys[1] == keys[2]
    assert len({key for tick in keys for key in tick}) == 3


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


def read_up_to(instance: dg.DagsterInstance, topic_id: str, next_offsets: dict[str, int]) -> None:
    """An ingest that says how far it read the topic."""

    @dg.asset(key=["bronze", "telemetry_events"])
    def events() -> dg.MaterializeResult:
        position = json.dumps({"topic_id": topic_id, "next_offsets": next_offsets})
        return dg.MaterializeResult(metadata={"topic_position": position})

    dg.materialize([events], instance=instance)


def ended(instance: dg.DagsterInstance, tags: Mapping[str, str], status: dg.DagsterRunStatus) -> None:
    create_run_for_test(instance, tags=dict(tags), status=status)


def test_what_waits_in_a_topic_is_asked_for_once():
    """No second request while one is under way or after it read everything; a failed one is asked for thrice."""
    state = {"telemetry_events": TopicState("a", {0: 0, 1: 0}, {0: 5, 1: 0})}
    with dg.DagsterInstance.ephemeral() as instance:
        assert topic_requests(instance, {"telemetry_events": TopicState("a", {0: 5}, {0: 5})}) == []
        keys = []
        for _ in range(3):
            (request,) = topic_requests(instance, state)
            assert topic_requests(instance, state)[0].run_key == request.run_key
            keys.append(request.run_key)
            ended(instance, request.tags, dg.DagsterRunStatus.FAILURE)
        assert len(set(keys)) == 3
        assert topic_requests(instance, state) == []
        more = {"telemetry_events": TopicState("a", {0: 0, 1: 0}, {0: 6, 1: 0})}
        (request,) = topic_requests(instance, more)
        ended(instance, request.tags, dg.DagsterRunStatus.STARTED)
        assert topic_requests(instance, more) == []


def test_a_topic_waits_where_it_goes_further_than_it_was_read():
    now = TopicState("a", {0: 2, 1: 0}, {0: 5, 1: 0})
    with dg.DagsterInstance.ephemeral() as instance:
        assert is_waiting(instance, "telemetry_events", now)
        read_up_to(instance, "a", {"0": 4, "1": 0})
        assert is_waiting(instance, "telemetry_events", now)
        read_up_to(instance, "a", {"0": 5, "1": 0})
        assert not is_waiting(instance, "telemetry_events", now)
        # Created anew: a run has to say so.
        assert is_waiting(instance, "telemetry_events", TopicState("b", {0: 0}, {0: 0}))
