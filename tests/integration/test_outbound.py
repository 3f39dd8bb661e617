"""Events out of a lake's tables: what happened in it, once each, to a webhook and through a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from pydantic import SecretStr

from benchmarks.broker import Broker
from checks.contracts.loader import load_contracts, load_event_contracts
from checks.contracts.messages import broken_rules
from checks.contracts.spark_schema import arrow_schema
from ml.features import TARGET_WEEK
from resources.champions import HISTORY
from resources.commits import Provenance
from resources.lake import Lake
from resources.outbound import announce, book_path, send_waiting
from resources.outbound_events import ACTIONS, CONTENT_TYPE, DRIFT, FORECASTS, Event, events_since
from resources.settings import Settings
from resources.topics import TopicError, Topics
from tests.receivers import listening

pytestmark = pytest.mark.spark
TOPIC, MADE = "liftlake-events", Provenance("made by this test")
TABLES = (HISTORY, FORECASTS, DRIFT, ACTIONS)
AT, ISSUE = datetime(2017, 12, 4, 5, tzinfo=UTC), date(2017, 11, 27)
MODEL, OLD = "a" * 64, "b" * 64


def publish(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    contract = load_contracts()[tuple(name.split("."))]  # type: ignore[index]  a layer and a name
    schema = pl.DataFrame(arrow_schema(contract).empty_table()).schema
    defaults = dict.fromkeys(schema)
    version = lake.write(contract, pl.DataFrame([{**defaults, **row} for row in rows], schema=schema), MADE)
    if contract.layer != "bronze":
        lake.publish(contract, version, MADE)


def forecast_rows(lift: float = 0.0, model: str = MODEL) -> list[dict[str, Any]]:
    """Two stores, two groups, two horizons, by the model and the simple rule; and an issue of a month before."""
    return [
        {
            "issue_week_start_date": issue, "issued_as_of": datetime(issue.year, issue.month, issue.day, 5, tzinfo=UTC)
            + timedelta(weeks=1), "store_id": store, "product_group": group, "horizon_weeks": ahead,
            TARGET_WEEK: issue + timedelta(weeks=ahead), "method": method, "measure": "transactions",
            "p10": 1.0, "p50": 2.0 + (lift if store == "s2" and ahead == 2 else 0), "p90": 9.0,
            "model_version": model if method == "catboost" else method, "data_version": "d",
        }
        for issue in (ISSUE - timedelta(weeks=4), ISSUE)
        for store in ("s1", "s2")
        for group in ("BEER", "WATER")
        for ahead in (1, 2)
        for method in ("catboost", "mean_8")
    ]  # fmt: skip


def decision(ordinal: int, name: str, version: str, previous: str | None, at: datetime) -> dict[str, Any]:
    return {
        "model_name": "demand", "ordinal": ordinal, "model_version": version, "previous_model_version": previous,
        "decision": name, "decided_as_of": at, "decided_by": "ann" if name == "rolled_back" else None,
        "reasons": ["Ann knows why."], "evidence": "{}",
    }  # fmt: skip


HISTORY_ROWS = [
    decision(1, "promoted", OLD, None, AT - timedelta(weeks=9)),
    decision(2, "kept", OLD, OLD, AT - timedelta(days=6)),
    decision(3, "promoted", MODEL, OLD, AT),
    decision(4, "rolled_back", OLD, MODEL, AT + timedelta(hours=1)),
]


def drift(week: date, cause: str, response: str) -> dict[str, Any]:
    return {
        "model_name": "demand", "week_start_date": week, "model_version": OLD, "cause": cause, "response": response,
        "reasons": ["Drifted: price."], "evidence": "[]", "decided_as_of": AT,
    }  # fmt: skip


def entry(number: int, name: str, kind: str) -> dict[str, Any]:
    """Entries 1 and 3 are about one cell."""
    return {
        "entry_number": number, "batch_id": f"batch{number > 2}", "decision": name, "issue_week_start_date": ISSUE,
        TARGET_WEEK: date(2017, 12, 11), "store_id": "s1" if number != 2 else "s2", "product_group": "BEER",
        "kind": kind, "cell": "treated", "is_hold_out": False, "propensity": 0.9, "is_randomised": True,
        "decided_by": "ann", "decided_at": AT, "note": "Ann knows why.", "incremental_transactions": 2.5,
        "base_transactions": 10.0, "base_transactions_sd": 1.0, "net_sales_usd_per_transaction": 3.0,
        "lift_percent": 25.0, "lift_sd_percent": 5.0, "net_share": 1.0, "assumed_cost_usd": 12,
        "assumptions_version": "v", "lift_version": "v", "model_version": MODEL, "data_version": "d",
    }  # fmt: skip


@pytest.fixture
def told(lake: Lake) -> Iterator[Lake]:
    lake.prepare()
    publish(lake, HISTORY, HISTORY_ROWS)
    publish(lake, FORECASTS, forecast_rows())
    publish(lake, DRIFT, [
        drift(ISSUE - timedelta(weeks=1), "blip", "nothing"), drift(ISSUE, "covariate_drift", "retrain_requested"),
    ])  # fmt: skip
    publish(
        lake, ACTIONS, [entry(1, "approved", "display"), entry(2, "approved", "mailer"), entry(3, "edited", "none")]
    )
    yield lake
    for name in TABLES:
        layer, _, table = name.partition(".")
        lake.spark.sql(f"DROP {'TABLE' if layer == 'bronze' else 'VIEW'} {name}")
        if layer != "bronze":
            lake.spark.sql(f"DROP TABLE {layer}_audit.{table}")
    for path in lake.settings.home.glob("events.*"):
        path.unlink()


def shown(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.type.removeprefix("liftlake."), event.subject, event.time) for event in events]


EXPECTED = [
    ("model.promoted", "demand", "2017-12-04T05:00:00Z"),
    ("forecast.published", "demand", "2017-12-04T05:00:00Z"),
    ("drift.found", "demand", "2017-12-04T05:00:00Z"),
    ("action.approved", "2017-12-11/s1/BEER", "2017-12-04T05:00:00Z"),
    ("action.approved", "2017-12-11/s2/BEER", "2017-12-04T05:00:00Z"),
    ("action.approved", "2017-12-11/s1/BEER", "2017-12-04T05:00:00Z"),
    ("model.promoted", "demand", "2017-12-04T06:00:00Z"),
]


def test_what_happened_is_told_in_its_order_and_nothing_else(told: Lake) -> None:
    events = events_since(told, AT - timedelta(weeks=1))
    assert shown(events) == EXPECTED
    assert [event.data["kind"] for event in events[3:6]] == ["display", "mailer", "none"]
    published = {name: value for name, value in events[1].data.items() if name != "content_digest"}
    assert published == {
        "issue_week_start_date": "2017-11-27", "model_name": "demand", "issued_as_of": "2017-12-04T05:00:00Z",
        "method": "catboost", "model_version": MODEL, "measure": "transactions", "decision_ordinal": 3,
        "first_target_week_start_date": "2017-12-04", "last_target_week_start_date": "2017-12-11", "series_count": 4,
        "store_count": 2,
    }  # fmt: skip
    assert events[3].data["assumed_cost_usd"] == "12.0000"
    contracts = {item.published_name: item for item in load_event_contracts().values()}
    assert all(broken_rules(contracts[event.dataschema.split(":")[2]], event.data) == [] for event in events)
    assert "nn knows" not in json.dumps([event.envelope() for event in events])
    # From the beginning of the lake there are more: the first champion, and the issue of a month before.
    assert len(events_since(told, datetime(2000, 1, 1, tzinfo=UTC))) == len(EXPECTED) + 2


def test_published_again_it_is_the_same_event_and_with_other_rows_another(told: Lake) -> None:
    since = AT - timedelta(weeks=1)
    before = events_since(told, since)
    publish(told, FORECASTS, list(reversed(forecast_rows())))
    assert events_since(told, since) == before
    publish(told, FORECASTS, forecast_rows(lift=0.5))
    after = events_since(told, since)
    assert [event.id == other.id for event, other in zip(before, after, strict=True)] == [
        event.type != "liftlake.forecast.published" for event in before
    ]


def test_forecasts_that_come_back_with_a_rollback_are_told_again(told: Lake) -> None:
    """The same rows for the third time they are published, and the second time they are news."""
    ids, digests = [], []
    for known, by in ((1, OLD), (3, MODEL), (4, MODEL), (4, OLD)):
        publish(told, HISTORY, HISTORY_ROWS[:known])
        publish(told, FORECASTS, forecast_rows(model=by))
        (event,) = [item for item in events_since(told, AT) if item.type == "liftlake.forecast.published"]
        ids.append(event.id)
        digests.append(event.data["content_digest"])
    assert (digests[0], digests[1]) == (digests[3], digests[2])
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


def test_a_lake_without_a_champion_tells_of_the_simple_rule(told: Lake) -> None:
    publish(told, FORECASTS, [row for row in forecast_rows() if row["method"] != "catboost"])
    (event,) = [item for item in events_since(told, AT) if item.type == "liftlake.forecast.published"]
    assert [event.data[name] for name in ("method", "model_version", "decision_ordinal")] == ["mean_8", None, 0]


def test_a_publication_sends_them_and_is_not_stopped_by_one_who_does_not_take_them(told: Lake) -> None:
    with listening() as receiver:
        settings = told.settings.model_copy(update={"events_webhook": SecretStr(receiver.url("events"))})
        lake = Lake(settings, told._door)
        receiver.status = 500
        announce(lake)
        assert receiver.got == []
        receiver.status = 200
        announce(lake)
        announce(lake)
        assert [body["id"] for _, body in receiver.got] == [event.id for event in events_since(told, AT)]


@pytest.fixture(scope="module")
def broker(lake_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(lake_settings, tmp_path_factory.mktemp("broker")) as started:
        yield started


def messages(broker: Broker, partitions: int) -> list[Message]:
    """Everything that the topic holds, by partition and offset."""
    config = {"bootstrap.servers": broker.brokers, "group.id": "reader", "enable.auto.commit": False, "log_level": 0}
    places = [TopicPartition(TOPIC, number, 0) for number in range(partitions)]
    found: list[Message] = []
    with closing(Consumer(config)) as consumer:
        ends = {place.partition: consumer.get_watermark_offsets(place)[1] for place in places}
        consumer.assign(places)
        while len(found) < sum(ends.values()):
            found += consumer.consume(100, timeout=10)
    return sorted(found, key=lambda message: (message.partition(), message.offset()))  # type: ignore[return-value]


def test_each_kind_arrives_at_a_topic_with_its_id_in_the_order_of_its_subject(
    told: Lake, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.topics.ANSWER_SECONDS", 2.0)
    update = {"home": tmp_path, "kafka_brokers": broker.brokers, "events_topic": TOPIC}
    settings = told.settings.model_copy(update=update)
    find = partial(events_since, told)
    with pytest.raises(TopicError, match="LIFTLAKE_EVENTS_TOPIC"):
        Topics(settings).send(TOPIC, [], CONTENT_TYPE)
    assert "create it" in send_waiting(settings, find).problems[0]
    broker.create(TOPIC, 3)
    assert send_waiting(settings, find).taken == {f"topic {TOPIC}": len(EXPECTED)}
    assert send_waiting(settings, find).taken == {f"topic {TOPIC}": 0}
    events, arrived = find(AT - timedelta(weeks=1)), messages(broker, 3)
    bodies = [json.loads(message.value() or b"") for message in arrived]
    assert {body["id"]: body for body in bodies} == {event.id: event.envelope() for event in events}
    assert len(bodies) == len(events)
    assert all(message.key() == body["subject"].encode() for message, body in zip(arrived, bodies, strict=True))
    assert all(dict(message.headers() or [])["content-type"] == CONTENT_TYPE.encode() for message in arrived)
    for subject in {event.subject for event in events}:
        own = [event.id for event in events if event.subject == subject]
        assert [body["id"] for body in bodies if body["subject"] == subject] == own
    broker.kill()
    book_path(settings).unlink()
    (sentence,) = send_waiting(settings, find).problems
    assert f"{len(EXPECTED)} events wait" in sentence
    broker.start()
    assert send_waiting(settings, find).problems == []
    again = [json.loads(message.value() or b"")["id"] for message in messages(broker, 3)]
    assert sorted(again) == sorted([event.id for event in events] * 2)
