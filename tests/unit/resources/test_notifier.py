"""Notifications: every channel gets a message at least once, and no address or key is written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from resources.notifier import RETOLD, Message, notify
from resources.settings import Settings, load_settings
from tests.receivers import SECRET, Receiver, listening

INCIDENT = Message(
    "drift demand 2017-12-04 incident", "incident", "The features are broken.", ("price: missing", "lag: rows"),
    "gold.demand_features", "team:demand-science", "docs/runbooks/drift.md",
)  # fmt: skip
REQUEST = Message(
    "drift demand 2017-12-11 retrain", "request", "The model is trained anew.", ("Drifted: price.",),
    "models.demand_models", "team:demand-science", "docs/runbooks/drift.md",
)  # fmt: skip
MENDED = Message(
    "mended drift demand 2017-12-04 incident", "mended", "The features are whole.", ("price: was missing",),
    "gold.demand_features", "team:demand-science", "docs/runbooks/drift.md", (INCIDENT.subject,),
)  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as server:
        yield server


def settings_of(home: Path, **variables: str) -> Settings:
    return load_settings({"LIFTLAKE_HOME": str(home), **variables})


def everywhere(home: Path, receiver: Receiver) -> Settings:
    return settings_of(
        home,
        LIFTLAKE_WEBHOOK_URL=receiver.url("webhook"),
        LIFTLAKE_SLACK_URL=receiver.url("slack"),
        LIFTLAKE_PAGERDUTY_KEY=f"key-{SECRET}",
        LIFTLAKE_PAGERDUTY_URL=receiver.url("pagerduty"),
    )


def written(home: Path) -> str:
    return (home / "notifications.jsonl").read_text(encoding="utf-8")


def test_every_channel_says_what_whose_and_what_to_do(tmp_path: Path, receiver: Receiver) -> None:
    assert notify(everywhere(tmp_path, receiver), [INCIDENT, REQUEST]) == []
    by_channel: dict[str, list[dict]] = {}
    for channel, body in receiver.got:
        by_channel.setdefault(channel, []).append(body)
    assert {name: len(bodies) for name, bodies in by_channel.items()} == {"webhook": 2, "slack": 2, "pagerduty": 1}
    (page,) = by_channel["pagerduty"]
    assert (page["event_action"], page["dedup_key"], page["payload"]["severity"]) == ("trigger", INCIDENT.id, "error")
    assert page["routing_key"] == f"key-{SECRET}"
    assert by_channel["webhook"][0]["id"] == INCIDENT.id
    for body in (by_channel["webhook"][0], by_channel["slack"][0], page):
        text = json.dumps(body)
        assert all(part in text for part in ("price: missing", "team:demand-science", "docs/runbooks/drift.md"))
    assert set(by_channel["slack"][0]) == {"text"}
    assert SECRET not in written(tmp_path)


def test_told_again_it_is_no_second_message(tmp_path: Path, receiver: Receiver) -> None:
    for _ in range(3):
        notify(everywhere(tmp_path, receiver), [INCIDENT])
    assert len(receiver.got) == 3
    assert len(written(tmp_path).splitlines()) == 4


def test_what_was_not_taken_goes_out_later(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 503
    failed = notify(everywhere(tmp_path, receiver), [INCIDENT])
    assert [sentence.split()[0] for sentence in failed] == ["webhook", "slack", "pagerduty"]
    assert all("HTTP 503" in sentence for sentence in failed)
    receiver.status = 200
    assert notify(everywhere(tmp_path, receiver), []) == []
    assert {channel for channel, _ in receiver.got} == {"webhook", "slack", "pagerduty"}
    assert SECRET not in written(tmp_path) + " ".join(failed) + caplog.text


def test_what_is_mended_is_told_once_and_closes_its_page(tmp_path: Path, receiver: Receiver) -> None:
    settings = everywhere(tmp_path, receiver)
    notify(settings, [INCIDENT])
    receiver.got.clear()
    for _ in range(3):
        assert notify(settings, [MENDED]) == []
    assert [channel for channel, _ in receiver.got] == ["webhook", "slack", "pagerduty"]
    webhook, slack, page = (body for _, body in receiver.got)
    assert (webhook["kind"], webhook["id"], webhook["ends"]) == ("mended", MENDED.id, [INCIDENT.subject])
    assert "price: was missing" in slack["text"]
    assert page == {"routing_key": f"key-{SECRET}", "dedup_key": INCIDENT.id, "event_action": "resolve"}
    assert SECRET not in written(tmp_path)


def test_a_page_that_could_not_be_sent_in_time_is_opened_before_it_is_closed(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status = 503
    notify(everywhere(tmp_path, receiver), [INCIDENT])
    receiver.status = 202
    for _ in range(2):
        notify(everywhere(tmp_path, receiver), [MENDED])
    pages = [body["event_action"] for channel, body in receiver.got if channel == "pagerduty"]
    assert pages == ["trigger", "resolve"]


def test_no_page_is_closed_that_was_never_opened(tmp_path: Path, receiver: Receiver) -> None:
    notify(everywhere(tmp_path, receiver), [MENDED])
    assert [channel for channel, _ in receiver.got] == ["webhook", "slack"]


def test_a_receiver_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    with listening() as gone:
        address = gone.url("webhook")
    (sentence,) = notify(settings_of(tmp_path, LIFTLAKE_WEBHOOK_URL=address), [INCIDENT])
    assert "ConnectionRefusedError" in sentence or "URLError" in sentence
    assert SECRET not in sentence
    (sentence,) = notify(settings_of(tmp_path, LIFTLAKE_WEBHOOK_URL="no address"), [])
    assert "ValueError" in sentence


def test_the_log_alone_is_the_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert notify(settings_of(tmp_path), [INCIDENT]) == []
    (line,) = written(tmp_path).splitlines()
    assert json.loads(line)["message"]["summary"] == INCIDENT.summary
    assert INCIDENT.summary in caplog.text


def test_a_channel_that_is_set_later_gets_what_was_told_before(tmp_path: Path, receiver: Receiver) -> None:
    notify(settings_of(tmp_path), [INCIDENT, REQUEST])
    notify(settings_of(tmp_path, LIFTLAKE_SLACK_URL=receiver.url("slack")), [])
    assert [channel for channel, _ in receiver.got] == ["slack", "slack"]


def test_of_years_of_messages_a_late_channel_gets_the_newest(tmp_path: Path, receiver: Receiver) -> None:
    told = [replace(INCIDENT, subject=f"week {week}") for week in range(RETOLD + 30)]
    notify(settings_of(tmp_path), told)
    late = settings_of(tmp_path, LIFTLAKE_WEBHOOK_URL=receiver.url("webhook"))
    for _ in range(2):
        notify(late, [])
    assert [body["id"] for _, body in receiver.got] == [message.id for message in told[-RETOLD:]]


def test_nothing_to_tell_leaves_no_file(tmp_path: Path) -> None:
    assert notify(settings_of(tmp_path), []) == []
    assert list(tmp_path.iterdir()) == []
