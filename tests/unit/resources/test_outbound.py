"""Sending events: each channel gets every event at least once, in order, whatever fails on the way."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.kills import die_at
from checks.contracts.loader import load_event_contracts
from checks.contracts.model import EVENTS
from resources.outbound import Outcome, book_path, read_book, send_waiting
from resources.outbound_events import CONTENT_TYPE, KINDS, Event, event_of
from resources.settings import Settings, SettingsError, load_settings
from tests.receivers import SECRET, Receiver, listening

SPAWN = multiprocessing.get_context("spawn")
NOW = datetime(2017, 12, 4, 5, tzinfo=UTC)
PROMOTED = next(kind for kind in KINDS if kind.name == "model_promoted")
CONTRACT = load_event_contracts()[EVENTS, PROMOTED.name]


def promotion(ordinal: int, at: datetime = NOW, model: str = "demand") -> Event:
    row = {
        "model_name": model, "ordinal": ordinal, "model_version": f"{ordinal:064x}", "previous_model_version": None,
        "decision": "promoted", "decided_as_of": at,
    }  # fmt: skip
    return event_of(PROMOTED, CONTRACT, "shop", row)


EVENTS_HERE = [promotion(1), promotion(2), promotion(3, model="offers")]


def variables(home: Path, receiver: Receiver, at: datetime = NOW) -> dict[str, str]:
    address = receiver.url("events")
    return {"LIFTLAKE_HOME": str(home), "LIFTLAKE_EVENTS_WEBHOOK": address, "LIFTLAKE_AS_OF": at.isoformat()}


def sent(environment: dict[str, str], events: list[Event]) -> Outcome:
    def find(since: datetime) -> list[Event]:
        return [event for event in events if datetime.fromisoformat(event.time) >= since]

    return send_waiting(load_settings(environment), find)


def ids(receiver: Receiver) -> list[str]:
    return [body["id"] for _, body in receiver.got]


def written(home: Path) -> str:
    return (home / "events.jsonl").read_text(encoding="utf-8")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as server:
        yield server


def test_an_event_arrives_once_as_it_is(tmp_path: Path, receiver: Receiver) -> None:
    for count in (3, 0, 0):
        assert sent(variables(tmp_path, receiver), EVENTS_HERE) == Outcome({"webhook": count}, [])
    assert [body for _, body in receiver.got] == [event.envelope() for event in EVENTS_HERE]
    assert receiver.content_types == {CONTENT_TYPE}
    assert SECRET not in written(tmp_path)


def test_without_a_channel_nothing_is_looked_for_or_stored(tmp_path: Path) -> None:
    def find(_since: datetime) -> list[Event]:
        raise AssertionError("looked for events")

    assert send_waiting(load_settings({"LIFTLAKE_HOME": str(tmp_path)}), find) == Outcome({}, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [302, 400, 429, 500, 503])
def test_what_was_not_taken_waits_with_all_that_follows(tmp_path: Path, receiver: Receiver, status: int) -> None:
    receiver.script = [200, status]
    outcome = sent(variables(tmp_path, receiver), EVENTS_HERE)
    assert outcome.taken == {"webhook": 1}
    (sentence,) = outcome.problems
    assert "2 events wait" in sentence
    assert f"HTTP {status}" in sentence
    assert SECRET not in sentence
    assert sent(variables(tmp_path, receiver), EVENTS_HERE) == Outcome({"webhook": 2}, [])
    assert ids(receiver) == [event.id for event in EVENTS_HERE]


def test_a_receiver_that_does_not_answer_in_time_gets_it_again(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.is_answering.clear()
    with monkeypatch.context() as patched:
        patched.setattr("resources.webhooks.TIMEOUT_SECONDS", 0.1)
        outcome = sent(variables(tmp_path, receiver), EVENTS_HERE[:1])
    assert outcome.taken == {"webhook": 0}
    assert "TimeoutError" in outcome.problems[0]
    receiver.is_answering.set()
    sent(variables(tmp_path, receiver), EVENTS_HERE[:1])
    assert set(ids(receiver)) == {EVENTS_HERE[0].id}


def test_a_slow_receiver_holds_nothing_up(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("resources.outbound.PATIENCE_SECONDS", -1.0)
        outcome = sent(variables(tmp_path, receiver), EVENTS_HERE)
    assert outcome.taken == {"webhook": 0}
    assert "3 events wait" in outcome.problems[0]
    assert sent(variables(tmp_path, receiver), EVENTS_HERE).taken == {"webhook": 3}


def test_a_receiver_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with listening() as gone:
        environment = variables(tmp_path, gone)
    (sentence,) = sent(environment, EVENTS_HERE).problems
    assert "3 events wait" in sentence
    assert SECRET not in sentence + written(tmp_path)


def test_a_late_channel_gets_what_holds_now_and_no_history(tmp_path: Path, receiver: Receiver) -> None:
    years = [promotion(number, NOW - timedelta(weeks=100 - number)) for number in range(1, 101)]
    assert sent(variables(tmp_path, receiver), years).taken == {"webhook": 2}
    assert ids(receiver) == [event.id for event in years[-2:]]


def test_an_outage_of_months_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 503
    weeks = [promotion(number, NOW + timedelta(weeks=number)) for number in range(1, 21)]
    for number in range(1, 21):
        at = NOW + timedelta(weeks=number)
        assert sent(variables(tmp_path, receiver, at), weeks[:number]).problems
    receiver.status = 200
    assert sent(variables(tmp_path, receiver, at), weeks).taken == {"webhook": 20}
    assert ids(receiver) == [event.id for event in weeks]


def test_an_event_that_breaks_its_contract_is_said_and_not_sent(tmp_path: Path, receiver: Receiver) -> None:
    bad = replace(EVENTS_HERE[0], data={**EVENTS_HERE[0].data, "decision": "kept"})
    outcome = sent(variables(tmp_path, receiver), [bad, EVENTS_HERE[1]])
    assert outcome.taken == {"webhook": 1}
    (sentence,) = outcome.problems
    assert "decision: decision_enum" in sentence


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_line_of_the_book_that_was_cut_off_is_none(tmp_path: Path, receiver: Receiver, kept: int) -> None:
    environment = variables(tmp_path, receiver)
    sent(environment, EVENTS_HERE)
    whole = written(tmp_path)
    lines = whole.splitlines(keepends=True)
    book_path(load_settings(environment)).write_text("".join(lines[:-1]) + lines[-1][:kept], encoding="utf-8")
    assert len(read_book(load_settings(environment)).taken) == 2
    assert sent(environment, EVENTS_HERE).taken == {"webhook": 1}
    assert written(tmp_path) == whole
    assert ids(receiver) == [event.id for event in (*EVENTS_HERE, EVENTS_HERE[2])]


def killed(environment: dict[str, str], events: list[Event], *, before: bool) -> None:
    """Send events, and die by SIGKILL around the booking of the first."""
    die_at("resources.outbound", "_book", before=before)
    sent(environment, events)


@pytest.mark.parametrize("before", [True, False])
def test_killed_around_the_booking_every_event_arrives_with_its_one_id(
    tmp_path: Path, receiver: Receiver, before: bool
) -> None:
    environment = variables(tmp_path, receiver)
    running = SPAWN.Process(target=killed, args=(environment, EVENTS_HERE), kwargs={"before": before})
    running.start()
    running.join()
    assert running.exitcode == -signal.SIGKILL
    assert ids(receiver) == [EVENTS_HERE[0].id]
    assert sent(environment, EVENTS_HERE).problems == []
    again = EVENTS_HERE if before else EVENTS_HERE[1:]
    assert ids(receiver) == [event.id for event in (EVENTS_HERE[0], *again)]
    assert receiver.got[0] == next(item for item in receiver.got if item[1]["id"] == EVENTS_HERE[0].id)


@given(script=st.lists(st.sampled_from([200, 204, 404, 500]), max_size=12), count=st.integers(0, 6))
def test_whatever_is_answered_each_event_comes_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, script: list[int], count: int
) -> None:
    events = [promotion(number, NOW + timedelta(seconds=number)) for number in range(1, count + 1)]
    home = tmp_path_factory.mktemp("answers")
    with listening() as server:
        server.script = list(script)
        # A failed sending has used up one refusal at least.
        failed = [sent(variables(home, server), events).problems for _ in range(len(script) + 1)]
        assert failed[-1] == []
        assert ids(server) == [event.id for event in events]


def test_a_topic_needs_brokers(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LIFTLAKE_KAFKA_BROKERS"):
        load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_EVENTS_TOPIC": "events"})


def test_a_broker_that_is_not_there_stops_no_other_channel(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.topics.ANSWER_SECONDS", 1.0)
    topic = {"LIFTLAKE_KAFKA_BROKERS": "127.0.0.1:1", "LIFTLAKE_EVENTS_TOPIC": "orders"}
    outcome = sent({**variables(tmp_path, receiver), **topic}, EVENTS_HERE)
    assert outcome.taken == {"topic orders": 0, "webhook": 3}
    (sentence,) = outcome.problems
    assert sentence.startswith("topic orders: 3 events wait")
    assert "127.0.0.1" not in sentence
    entries = [json.loads(line) for line in written(tmp_path).splitlines()]
    assert {entry["channel"] for entry in entries if "id" in entry} == {"webhook"}


def test_the_address_is_no_part_of_what_settings_show(tmp_path: Path, receiver: Receiver) -> None:
    settings: Settings = load_settings(variables(tmp_path, receiver))
    assert SECRET not in repr(settings)
